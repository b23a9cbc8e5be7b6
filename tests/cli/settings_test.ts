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

Deno.test("a remote without a pinned host key is refused", () => {
  const remote = '[repository]\nremote = "ssh://git@git.example.test/zones.git"\nidentity = "id"\n';
  throws(() => settings({}, remote), fault(/host-key/));
  throws(() => settings({}, '[repository]\npoll = "5s"'), fault(/repository\.poll is set without/));
  const pinned = settings({}, `${remote}host-key = "SHA256:${"A".repeat(43)}"`);
  equal(pinned.remote?.pollMs, 30_000);
  equal(pinned.remote?.identity, "/home/user/id");
});

Deno.test("the documented example is valid and knows every key", async () => {
  const text = await Deno.readTextFile(new URL("../../deploy/bailiwick.example.toml", import.meta.url));
  deepEqual(settings({}, text).dns, settings({}).dns);
  const everything = text.replace(/^#(?=[a-z[])/gm, "");
  const config = parseConfig(everything, "example");
  deepEqual(Object.keys(config).sort(), [
    "acme",
    "data",
    "dns",
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
  deepEqual(Object.keys(config.repository ?? {}).sort(), [
    "branch",
    "host-key",
    "identity",
    "poll",
    "remote",
  ]);
});
