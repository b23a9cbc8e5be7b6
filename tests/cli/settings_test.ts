import { deepEqual, equal, throws } from "node:assert/strict";
import { parseConfig } from "../../cli/config.ts";
import { CliError } from "../../cli/errors.ts";
import { type ServeFlags, serveSettings } from "../../cli/settings.ts";

const context = { cores: 2, path: (text: string) => `/home/user/${text}` };

function settings(flags: ServeFlags, toml = "") {
  return serveSettings(flags, parseConfig(toml, "bailiwick.toml"), context);
}

function fault(message: RegExp) {
  return (error: unknown) => {
    equal(error instanceof CliError, true, String(error));
    if (!(error instanceof CliError)) return false;
    equal(error.exitCode, 2);
    equal(error.message.includes("\n"), false, "one line");
    return message.test(error.message) || (console.error(error.message), false);
  };
}

Deno.test("without flags and file the defaults of the contract hold", () => {
  const { data, dns, ssh, web, workers, acme } = settings({});
  equal(data, "/home/user/.bailiwick");
  deepEqual(dns, [{ host: "127.0.0.1", port: 5300 }]);
  deepEqual(ssh, { host: "127.0.0.1", port: 2222 });
  deepEqual(web, { host: "127.0.0.1", port: 8053 });
  equal(workers, 2);
  deepEqual(acme, { kind: "local", provisioners: [] });
});

Deno.test("flags win over the configuration file", () => {
  const { dns, ssh } = settings({ dns: ["[::1]:53", "127.0.0.1:0"] }, 'dns = "127.0.0.1:1"\nssh = "off"');
  deepEqual(dns, [{ host: "::1", port: 53 }, { host: "127.0.0.1", port: 0 }]);
  equal(ssh, "off");
});

Deno.test("a fault in the configuration names file, place and key", () => {
  throws(() => parseConfig("dns = [", "b.toml"), fault(/^b\.toml:1:\d+: /));
  throws(
    () => parseConfig("[acme]\nagreeterms = true\n", "b.toml"),
    fault(/^b\.toml: unknown key acme\.agreeterms$/),
  );
  throws(() => parseConfig("workers = 0", "b.toml"), fault(/^b\.toml: workers: /));
  throws(
    () => parseConfig('[repository]\npoll = "often"', "b.toml"),
    fault(/repository\.poll: "often" is not a duration/),
  );
});

Deno.test("a public authority without agreed terms is refused, naming the terms", () => {
  throws(
    () => settings({ acme: "staging" }),
    fault(/agree-terms = true.*https:\/\/letsencrypt\.org\/repository\//),
  );
  const agreed = settings({ acme: "staging" }, "[acme]\nagree-terms = true");
  equal(agreed.acme.kind, "directory");
});

Deno.test("bad addresses and workers are named with their flag", () => {
  throws(() => settings({ dns: ["localhost"] }), fault(/^--dns: "localhost" is not HOST:PORT/));
  throws(() => settings({ web: "127.0.0.1:99999" }), fault(/^--web: /));
  throws(() => settings({ workers: "many" }), fault(/^--workers: "many"/));
  throws(() => settings({ acme: "http://a.test" }), fault(/^--acme: "http:\/\/a\.test"/));
});

const PIN = `SHA256:${"A".repeat(43)}`;

function remote(url: string, ...lines: string[]) {
  return settings({}, [`[repository]`, `remote = "${url}"`, ...lines].join("\n")).remote;
}

Deno.test("an SSH remote is followed with a key or an agent, and with a pinned host key or not at all", () => {
  const ssh = (...lines: string[]) => remote("ssh://git@git.example.test/zones.git", ...lines);
  throws(() => ssh('identity = "id"'), fault(/repository\.host-key .* no pin, no connection/));
  throws(() => ssh(`host-key = "${PIN}"`), fault(/repository\.identity is missing/));
  throws(() => ssh('identity = "id"', 'host-key = "MD5:1"'), fault(/repository\.host-key: "MD5:1"/));
  const pinned = ssh('identity = "id"', `host-key = "${PIN}"`);
  equal(pinned?.pollMs, 30_000);
  equal(pinned?.depth, 1);
  deepEqual(pinned?.access, {
    kind: "ssh",
    identity: { kind: "file", path: "/home/user/id" },
    hostKeys: [PIN],
    knownHosts: undefined,
  });
  deepEqual(ssh('identity = "agent"', 'known-hosts = "kh"', 'depth = "full"')?.access, {
    kind: "ssh",
    identity: { kind: "agent" },
    hostKeys: [],
    knownHosts: "/home/user/kh",
  });
  throws(
    () => ssh('identity = "id"', `host-key = "${PIN}"`, 'roots = "r"'),
    fault(/repository\.roots is not for ssh/),
  );
});

Deno.test("an HTTPS remote takes its secrets from files, never from the URL", () => {
  const url = "https://git.example.test/zones.git";
  deepEqual(remote(url, 'roots = "r.pem"', 'token-file = "t"', 'proxy = "environment"')?.access, {
    kind: "https",
    roots: "/home/user/r.pem",
    clientCertificate: undefined,
    proxy: "environment",
    tokenFile: "/home/user/t",
    passwordFile: undefined,
  });
  throws(() => remote("https://me:secret@git.example.test/z.git"), (error: unknown) => {
    return fault(/no name or password in the URL/)(error) && !String(error).includes("secret");
  });
  throws(() => remote(url, 'client-key = "k"'), fault(/client-certificate and .*client-key go together/));
  throws(() => remote(url, 'token-file = "t"', 'password-file = "p"'), fault(/exclude each other/));
  throws(
    () => remote("http://git.example.test/zones.git"),
    fault(/not an ssh:\/\/, https:\/\/ or git:\/\/ URL/),
  );
});

Deno.test("git:// is followed only by who says that it is insecure", () => {
  throws(() => remote("git://git.example.test/zones.git"), fault(/repository\.insecure = true accepts that/));
  equal(remote("git://git.example.test/zones.git", "insecure = true")?.access.kind, "git");
  throws(() => settings({}, '[repository]\npoll = "5s"'), fault(/repository\.poll is set without/));
});

Deno.test("a bundle and a remote exclude each other", () => {
  const toml = '[repository]\nremote = "git://h.test/z"\ninsecure = true';
  throws(() => settings({ zones: "z.pack" }, toml), fault(/a bundle \(z\.pack\) cannot be served while/));
  equal(settings({ zones: "z.pack" }).bundle, "/home/user/z.pack");
  equal(settings({ zones: "z" }).bundle, undefined);
});

Deno.test("collection, signatures, git:// and HTTP are set without a remote too", () => {
  deepEqual(settings({}).repository, {
    graceMs: 14 * 86_400_000,
    requireSigned: false,
    allowedSigners: undefined,
  });
  deepEqual(settings({}).git, { daemon: "off", http: "off", passwordFile: undefined });
  const set = settings(
    {},
    [
      "[repository]",
      'grace = "3d"',
      "require-signed = true",
      'allowed-signers = "s"',
      "[git]",
      'daemon = "127.0.0.1:0"',
      'http = "127.0.0.1:8080"',
      'password-file = "p"',
    ].join("\n"),
  );
  deepEqual(set.repository, { graceMs: 3 * 86_400_000, requireSigned: true, allowedSigners: "/home/user/s" });
  deepEqual(set.git, {
    daemon: { host: "127.0.0.1", port: 0 },
    http: { host: "127.0.0.1", port: 8080 },
    passwordFile: "/home/user/p",
  });
  throws(() => settings({}, '[repository]\ngrace = "5m"'), fault(/repository\.grace: at least 1h/));
  throws(
    () => settings({}, '[repository]\nallowed-signers = "s"'),
    fault(/without repository\.require-signed/),
  );
  throws(
    () => settings({}, '[git]\npassword-file = "p"'),
    fault(/git\.password-file is set without git\.http/),
  );
});

Deno.test("how DNS is answered has defaults: limits on, one random cookie secret, names told to nobody", () => {
  const { service } = settings({});
  equal(service.cookieSecrets, undefined);
  deepEqual(service.settings, {
    nsid: new Uint8Array(0),
    version: "",
    id: "",
    keepalive: 100,
    udpPayload: 1232,
  });
  equal(service.rateLimit?.perSecond, 200);
  equal(service.rateLimit?.slip, 2);
  deepEqual(service.rateLimit?.exempt.map(({ bits }) => bits), [8, 128]);
  deepEqual(service.tcp, { maxConnections: 10_000, maxPerAddress: 64, idleMs: 10_000, messageMs: 5000 });
});

Deno.test("the [dns] table holds the addresses and how they answer; addresses alone do too", () => {
  const set = settings(
    {},
    [
      "[dns]",
      'listen = ["127.0.0.1:53", "[::1]:53"]',
      "udp-payload = 1400",
      'nsid = "ns1"',
      'version = "v"',
      'id = "i"',
      `cookie-secrets = ["${"Ab".repeat(16)}", "${"00".repeat(16)}"]`,
      "[dns.rate-limit]",
      "per-second = 50",
      "errors = 10",
      "slip = 0",
      "ipv4-prefix = 32",
      "ipv6-prefix = 64",
      'exempt = ["10.0.0.0/8", "2001:db8::/32", "192.0.2.1"]',
      "[dns.tcp]",
      "max-connections = 5",
      "max-per-address = 2",
      'idle = "2s"',
      'message = "500ms"',
      'keepalive = "0s"',
    ].join("\n"),
  );
  deepEqual(set.dns.map(({ port }) => port), [53, 53]);
  const { service } = set;
  deepEqual(service.cookieSecrets, [new Uint8Array(16).fill(0xab), new Uint8Array(16)]);
  deepEqual(service.settings, {
    nsid: new TextEncoder().encode("ns1"),
    version: "v",
    id: "i",
    keepalive: 0,
    udpPayload: 1400,
  });
  equal(service.rateLimit?.perSecond, 50);
  equal(service.rateLimit?.kinds?.error, 10);
  equal(service.rateLimit?.kinds?.answer, undefined);
  equal(service.rateLimit?.slip, 0);
  deepEqual(service.rateLimit?.exempt.map(({ bits }) => bits), [8, 32, 32]);
  deepEqual(service.tcp, { maxConnections: 5, maxPerAddress: 2, idleMs: 2000, messageMs: 500 });
  equal(settings({}, "[dns.rate-limit]\nenabled = false").service.rateLimit, undefined);
  deepEqual(settings({}, "[dns]\ncookie-secrets = []").service.cookieSecrets, []);
  deepEqual(settings({ dns: ["[::1]:1"] }, '[dns]\nlisten = "h:2"').dns, [{ host: "::1", port: 1 }]);
});

Deno.test("faults of the [dns] table are named with their key, and secrets are kept out of messages", () => {
  const bad = (line: string, message: RegExp) => throws(() => settings({}, line), fault(message));
  bad("[dns]\nnsids = 1", /unknown key dns\.nsids$/);
  bad("[dns.tcp]\nidle-time = 1", /unknown key dns\.tcp\.idle-time$/);
  bad("[dns]\nudp-payload = 511", /dns\.udp-payload: /);
  bad(`[dns]\nnsid = "${"a".repeat(129)}"`, /dns\.nsid: longer than 128 octets/);
  bad("[dns.rate-limit]\nper-second = 0", /dns\.rate-limit\.per-second: /);
  bad('[dns.rate-limit]\nexempt = ["10.0.0.1/8"]', /dns\.rate-limit\.exempt: "10\.0\.0\.1\/8" is no network/);
  bad('[dns.tcp]\nidle = "1ms"', /dns\.tcp\.idle: from 100ms to 1h/);
  throws(() => settings({}, '[dns]\ncookie-secrets = ["5ec2e7"]'), (error: unknown) => {
    return fault(/dns\.cookie-secrets\.0: a cookie secret is 32/)(error) && !String(error).includes("5ec2e7");
  });
});

Deno.test("the documented example is valid and knows every key", async () => {
  const text = await Deno.readTextFile(new URL("../../deploy/bailiwick.example.toml", import.meta.url));
  deepEqual(settings({}, text).dns, settings({}).dns);
  const { kinds: _, ...limit } = settings({}, text).service.rateLimit ?? {};
  const { kinds: __, ...defaults } = settings({}).service.rateLimit ?? {};
  deepEqual(limit, defaults);
  deepEqual(settings({}, text).service.tcp, settings({}).service.tcp);
  deepEqual(settings({}, text).service.settings, settings({}).service.settings);
  const everything = text.replace(/^#(?=[a-z[])/gm, "");
  const config = parseConfig(everything, "example");
  deepEqual(Object.keys(config).sort(), [
    "acme",
    "data",
    "dns",
    "git",
    "keys",
    "log",
    "repository",
    "ssh",
    "web",
    "workers",
    "zones",
  ]);
  deepEqual(Object.keys(config.acme ?? {}).sort(), [
    "agree-terms",
    "authority",
    "contact",
    "provisioners",
    "roots",
  ]);
  deepEqual(Object.keys(config.dns ?? {}).sort(), [
    "cookie-secrets",
    "id",
    "listen",
    "nsid",
    "rate-limit",
    "tcp",
    "udp-payload",
    "version",
  ]);
  deepEqual(Object.keys(config.dns?.["rate-limit"] ?? {}).sort(), [
    "answers",
    "any",
    "enabled",
    "errors",
    "exempt",
    "ipv4-prefix",
    "ipv6-prefix",
    "nodata",
    "nxdomain",
    "per-second",
    "referrals",
    "slip",
  ]);
  deepEqual(Object.keys(config.dns?.tcp ?? {}).sort(), [
    "idle",
    "keepalive",
    "max-connections",
    "max-per-address",
    "message",
  ]);
  deepEqual(Object.keys(config.git ?? {}).sort(), ["daemon", "http", "password-file"]);
  deepEqual(Object.keys(config.repository ?? {}).sort(), [
    "allowed-signers",
    "branch",
    "client-certificate",
    "client-key",
    "depth",
    "grace",
    "host-key",
    "identity",
    "insecure",
    "known-hosts",
    "password-file",
    "poll",
    "proxy",
    "remote",
    "require-signed",
    "roots",
    "token-file",
  ]);
});
