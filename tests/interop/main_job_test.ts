/** The whole path with the programs that people use: git over OpenSSH, dig, nsupdate, openssl. */
import { deepEqual, equal, match, notEqual, ok } from "node:assert/strict";
import { dig } from "../tools/dig.ts";
import { gitEnvironment, hostAndPort, runCommand, type RunningServer, serverIn } from "../tools/server.ts";
import { realTest, run } from "../tools/real.ts";

const EXAMPLES = new URL("../../zones", import.meta.url).pathname;

realTest("start, dig, clone, edit, push, dig, certify, openssl verify", {
  needs: ["git", "ssh", "dig", "openssl"],
}, async ({ dir }) => {
  const server = await serverIn(dir, ["--zones", EXAMPLES]);
  try {
    match(
      server.ready,
      /^ready dns=127\.0\.0\.1:\d+ ssh=127\.0\.0\.1:\d+ web=http:\/\/127\.0\.0\.1:\d+ zones=2$/,
    );
    equal(await dig(server.dns, ["+short", "www.example.test", "A"]), "example.test.\n192.0.2.10");

    const clone = await cloneOf(server, dir);
    await appendLine(`${clone}/example.test.zone`, "hello A 192.0.2.77");
    await commitAll(clone, "Add hello");
    const pushed = await git(dir, clone, ["push"]);
    match(pushed.stderr, /remote: .*example\.test.*serial/);
    equal(await dig(server.dns, ["+short", "hello.example.test", "A"]), "192.0.2.77");

    const certify = () =>
      runCommand(dir, "certify", [
        "hello.example.test",
        ...["--san", "*.hello.example.test", "--server", server.dns],
        ...["--key-file", `${dir}/.bailiwick/keys/admin.key`, "--out", "certs", "--timeout", "60"],
      ]);
    const first = await certify();
    equal(first.code, 0, first.stderr);
    await verify(dir, "hello.example.test");
    equal(((await Deno.stat(`${dir}/certs/hello.example.test.key`)).mode ?? 0) & 0o777, 0o600);
    const key = await Deno.readTextFile(`${dir}/certs/hello.example.test.key`);

    const second = await certify();
    equal(second.code, 0, second.stderr);
    match(second.stdout + second.stderr, /valid/);
    equal(
      await Deno.readTextFile(`${dir}/certs/hello.example.test.key`),
      key,
      "the key is never overwritten",
    );

    await challengesAreGone(server, "hello.example.test");
    await chainInTxtIsTheChain(server, dir, "hello.example.test");
  } finally {
    equal(await server.stop(), 0);
  }
  await fsck(dir);
});

realTest("a push that breaks zones is refused with every fault and changes nothing", {
  needs: ["git", "ssh", "dig"],
}, async ({ dir }) => {
  const server = await serverIn(dir, ["--zones", EXAMPLES]);
  try {
    const clone = await cloneOf(server, dir);
    const before = await health(server);
    await appendLine(`${clone}/example.test.zone`, "bad A 192.0.2.300");
    await appendLine(`${clone}/example.test.zone`, "www A 192.0.2.1");
    await appendLine(`${clone}/2.0.192.in-addr.arpa.zone`, "77 PTRR example.test.");
    await appendLine(`${clone}/example.test.zone`, "fine A 192.0.2.78");
    await commitAll(clone, "Break things");
    const refused = await git(dir, clone, ["push"], false);
    notEqual(refused.code, 0);
    match(refused.stderr, /remote: example\.test\.zone:17:7: error: .*192\.0\.2\.300/);
    match(refused.stderr, /remote: example\.test\.zone:18:1: error: .*CNAME/);
    match(refused.stderr, /remote: 2\.0\.192\.in-addr\.arpa\.zone:7:4: error: .*PTRR/);
    match(refused.stderr, /\[remote rejected\]/);
    deepEqual(await health(server), before);
    equal(await dig(server.dns, ["+short", "fine.example.test", "A"]), "");
    equal(await dig(server.dns, ["+short", "example.test", "A"]), "192.0.2.10");
  } finally {
    equal(await server.stop(), 0);
  }
  await fsck(dir);
});

realTest("after kill -9 the next start serves what was last acknowledged", {
  needs: ["git", "ssh", "dig", "nsupdate"],
}, async ({ dir }) => {
  let server = await serverIn(dir, ["--zones", EXAMPLES, "--acme", "off"]);
  const clone = await cloneOf(server, dir);
  for (let round = 1; round <= 3; round++) {
    await git(dir, clone, ["pull", "-q"]);
    await appendLine(`${clone}/example.test.zone`, `round${round} A 192.0.2.${round}`);
    await commitAll(clone, `Round ${round}`);
    await git(dir, clone, ["push", "-q"]);
    equal(
      (await nsupdate(server, dir, [`add _acme-challenge.x${round}.example.test 60 TXT "token ${round}"`]))
        .code,
      0,
    );
    const serial = soaSerial(await dig(server.dns, ["+short", "example.test", "SOA"]));
    await server.kill();
    server = await serverIn(dir, ["--acme", "off"]);
    await git(dir, clone, ["remote", "set-url", "origin", `ssh://git@${server.ssh}/zones.git`]);
    equal(await dig(server.dns, ["+short", `round${round}.example.test`, "A"]), `192.0.2.${round}`);
    equal(
      await dig(server.dns, ["+short", `_acme-challenge.x${round}.example.test`, "TXT"]),
      `"token ${round}"`,
    );
    equal(soaSerial(await dig(server.dns, ["+short", "example.test", "SOA"])), serial);
    await fsck(dir);
  }
  equal(await server.stop(), 0);
});

realTest("a request for names outside the key's scope is REFUSED, nothing is stored, and the log says so", {
  needs: ["git", "dig", "nsupdate", "openssl"],
}, async ({ dir }) => {
  equal((await runCommand(dir, "key", ["add", "web._update.web.example.test"])).code, 0);
  const server = await serverIn(dir, ["--zones", EXAMPLES]);
  try {
    const outside = await csr(dir, "outside", "web.example.test", ["web.example.test", "mail.example.test"]);
    const keyFile = `${dir}/.bailiwick/keys/tsig/web._update.web.example.test.key`;
    const before = await health(server);
    const refused = await nsupdate(
      server,
      dir,
      [
        `add _letsencrypt._tcp.web.example.test 3600 TLSA 3 255 0 ${outside}`,
      ],
      keyFile,
      "web.example.test",
    );
    notEqual(refused.code, 0);
    match(refused.stderr, /REFUSED/);
    deepEqual(await health(server), before);
    equal(await dig(server.dns, ["+short", "_letsencrypt._tcp.web.example.test", "TLSA"]), "");
    match(server.log(), /mail\.example\.test/);

    const inside = await csr(dir, "inside", "web.example.test", ["web.example.test"]);
    const accepted = await nsupdate(
      server,
      dir,
      [
        `add _letsencrypt._tcp.web.example.test 3600 TLSA 3 255 0 ${inside}`,
      ],
      keyFile,
      "web.example.test",
    );
    equal(accepted.code, 0, accepted.stderr);

    const certify = (host: string) =>
      runCommand(dir, "certify", [
        ...[host, "--server", server.dns, "--key-file", keyFile],
        ...["--out", "certs", "--timeout", "60"],
      ]);
    const below = await certify("a.web.example.test");
    equal(below.code, 0, below.stderr);
    await verify(dir, "a.web.example.test");
    const beside = await certify("mail.example.test");
    equal(beside.code, 1);
    match(beside.stderr, /refused: .*REFUSED \(the key web\._update\.web\.example\.test\. has no right/);
  } finally {
    equal(await server.stop(), 0);
  }
});

realTest(
  "a real public zone is pushed and answered",
  { needs: ["git", "ssh", "dig", "kdig"] },
  async ({ dir }) => {
    const server = await serverIn(dir, ["--zones", EXAMPLES, "--acme", "off"]);
    try {
      const clone = await cloneOf(server, dir);
      await Deno.copyFile(
        new URL("zones/root-servers.net.zone", import.meta.url),
        `${clone}/root-servers.net.zone`,
      );
      await commitAll(clone, "Serve root-servers.net");
      await git(dir, clone, ["push", "-q"]);
      equal(await dig(server.dns, ["+short", "k.root-servers.net", "AAAA"]), "2001:7fd::1");
      const servers = (await dig(server.dns, ["+short", "root-servers.net", "NS"])).split("\n").sort();
      deepEqual(servers, [..."abcdefghijklm"].map((letter) => `${letter}.root-servers.net.`));
      const { host, port } = hostAndPort(server.dns);
      const kdig = await run("kdig", [`@${host}`, "-p", port, "+tcp", "nothere.root-servers.net", "A"]);
      match(kdig.stdout, /status: NXDOMAIN/);
      match(kdig.stdout, /SOA\s+a\.root-servers\.net\. nstld\.verisign-grs\.com\. 2026082201/);
      match(await dig(server.dns, ["example.com", "A"]), /status: REFUSED/);
    } finally {
      equal(await server.stop(), 0);
    }
    await fsck(dir);
  },
);

async function cloneOf(server: RunningServer, dir: string): Promise<string> {
  await git(dir, dir, ["clone", "-q", `ssh://git@${server.ssh}/zones.git`, "clone"]);
  return `${dir}/clone`;
}

function git(dir: string, cwd: string, args: readonly string[], check = true) {
  return run("git", args, { cwd, env: gitEnvironment(`${dir}/.bailiwick`), check });
}

async function commitAll(clone: string, message: string): Promise<void> {
  await run("git", ["add", "-A"], { cwd: clone });
  await run("git", ["commit", "-qm", message], { cwd: clone });
}

async function appendLine(path: string, line: string): Promise<void> {
  await Deno.writeTextFile(path, `${line}\n`, { append: true });
}

async function health(server: RunningServer): Promise<unknown> {
  const response = await fetch(`${server.web}/healthz`);
  equal(response.status, 200);
  return await response.json();
}

async function fsck(dir: string): Promise<void> {
  const outcome = await run("git", ["-C", `${dir}/.bailiwick/zones.git`, "fsck", "--strict", "--full"]);
  equal(outcome.stderr.replace(/^notice: .*\n/gm, ""), "");
}

async function verify(dir: string, host: string): Promise<void> {
  const pem = `${dir}/certs/${host}.pem`;
  const outcome = await run("openssl", [
    "verify",
    ...["-CAfile", `${dir}/.bailiwick/ca/root.pem`, "-untrusted", pem, "-verify_hostname", host, pem],
  ]);
  match(outcome.stdout, /: OK/);
}

async function challengesAreGone(server: RunningServer, host: string): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (await dig(server.dns, ["+short", `_acme-challenge.${host}`, "TXT"]) !== "") {
    ok(Date.now() < deadline, "the challenge records stay");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** What a client without TLSA sees: the records `I/N base64` are the certificates of the PEM file, in order. */
async function chainInTxtIsTheChain(server: RunningServer, dir: string, host: string): Promise<void> {
  const lines = (await dig(server.dns, ["+short", "+tcp", `_letsencrypt._tcp.${host}`, "TXT"])).split("\n");
  const state = lines.find((line) => line.includes("v=bailiwick1"));
  match(state ?? "", /state=issued chain=2/);
  const pem = await Deno.readTextFile(`${dir}/certs/${host}.pem`);
  const certificates = [...pem.matchAll(/-----BEGIN CERTIFICATE-----([\s\S]*?)-----END CERTIFICATE-----/g)]
    .map((found) => found[1].replace(/\s/g, ""));
  for (const [index, certificate] of certificates.entries()) {
    const record = lines.find((line) => line.startsWith(`"${index + 1}/${certificates.length}" `));
    equal(record?.replace(/^"\d+\/\d+" /, "").replace(/[" ]/g, ""), certificate);
  }
}

async function nsupdate(
  server: RunningServer,
  dir: string,
  lines: readonly string[],
  keyFile?: string,
  zone = "example.test",
) {
  const { host, port } = hostAndPort(server.dns);
  const script = [
    `server ${host} ${port}`,
    `zone ${zone}`,
    ...lines.map((line) => `update ${line}`),
    "send",
    "",
  ];
  const key = keyFile ?? `${dir}/.bailiwick/keys/admin.key`;
  return await run("nsupdate", ["-k", key], { stdin: script.join("\n"), check: false });
}

/** A request made by openssl, as the hexadecimal text of a TLSA record. */
async function csr(dir: string, name: string, subject: string, names: readonly string[]): Promise<string> {
  const key = `${dir}/${name}.key`;
  await run("openssl", ["ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", key]);
  const extra = names.length > 1
    ? ["-addext", `subjectAltName=${names.map((n) => `DNS:${n}`).join(",")}`]
    : [];
  const out = `${dir}/${name}.der`;
  await run("openssl", [
    "req",
    "-new",
    "-key",
    key,
    "-subj",
    `/CN=${subject}`,
    ...extra,
    "-outform",
    "DER",
    "-out",
    out,
  ]);
  const bytes = await Deno.readFile(out);
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function soaSerial(text: string): string {
  return text.split(" ")[2];
}
