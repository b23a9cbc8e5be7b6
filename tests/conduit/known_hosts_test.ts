import { deepEqual, equal, match } from "node:assert/strict";
import {
  connect,
  createRegistry,
  generateSshKey,
  knowledgeOf,
  knownHostsLine,
  parseKnownHosts,
  sshFingerprint,
  sshResolver,
  type SshResolverOptions,
} from "../../conduit/mod.ts";
import { realTest, run } from "../tools/real.ts";
import { type Sshd, SSHD_NEEDS_ROOT, startSshd } from "../tools/sshd.ts";
import { readAll, text } from "./flows.ts";
import { blobOf } from "./ssh_parties.ts";

const A = generateSshKey("");
const B = generateSshKey("");

/** Which lines speak of a host, by their numbers. */
function found(content: string, host: string, port = 22): number[] {
  const known = parseKnownHosts(content);
  deepEqual(known.faults, []);
  const name = port === 22 ? host.toLowerCase() : `[${host.toLowerCase()}]:${port}`;
  return known.lines.filter((line) => line.matches(name)).map(({ line }) => line);
}

Deno.test("known_hosts: names, lists, wildcards, negation, ports, comments", () => {
  const content = [
    "# hosts",
    `git.test,192.0.2.1 ${A.publicKey}`,
    `*.test,!secret.test ${A.publicKey} a comment`,
    `[git.test]:2222 ${A.publicKey}`,
    `[*.test]:2222 ${A.publicKey}`,
    `h?st ${A.publicKey}`,
    `GIT.test ${B.publicKey}`,
    `[2001:db8::1]:2222,2001:db8::1 ${A.publicKey}`,
    "",
    `* ${A.publicKey}`,
  ].join("\r\n");
  deepEqual(found(content, "git.test"), [2, 3, 7, 10]);
  deepEqual(found(content, "Git.Test"), [2, 3, 7, 10]);
  deepEqual(found(content, "192.0.2.1"), [2, 10]);
  deepEqual(found(content, "secret.test"), [10]);
  deepEqual(found(content, "git.test", 2222), [4, 5, 10]);
  deepEqual(found(content, "host"), [6, 10]);
  deepEqual(found(content, "2001:db8::1", 2222), [8, 10]);
  deepEqual(found(content, "2001:db8::1"), [8, 10]);
});

Deno.test("known_hosts: a faulty line is named and costs no other", () => {
  const content = [
    "git.test",
    "git.test ssh-ed25519",
    "git.test ssh-dss AAAAB3NzaC1kc3M=",
    `@trusted git.test ${A.publicKey}`,
    `|1|salt ${A.publicKey}`,
    `|1|AAAA|AAAA ${A.publicKey}`,
    `|2|AAAA|AAAA ${A.publicKey}`,
    `git.test ${A.publicKey} ${"x".repeat(20_000)}`,
    `git.test ${A.publicKey}`,
  ].join("\n");
  const { lines, faults } = parseKnownHosts(content);
  deepEqual(faults.map(({ line }) => line), [1, 2, 3, 4, 5, 6, 7, 8]);
  deepEqual(lines.map(({ line }) => line), [9]);
  const many = parseKnownHosts("#\n".repeat(60_000));
  deepEqual(many.faults.map(({ line }) => line), [50_001]);
});

Deno.test("known_hosts: a pattern of many stars takes no time", () => {
  const content = `${"*a".repeat(4000)}b ${A.publicKey}`;
  deepEqual(found(content, "a".repeat(250)), []);
});

Deno.test("known_hosts: markers revoke, and name authorities", () => {
  const content = [
    `@revoked * ${A.publicKey}`,
    `@cert-authority *.test ${B.publicKey}`,
    `git.test ${A.publicKey}`,
  ].join("\n");
  const knowledge = knowledgeOf(parseKnownHosts(content), "git.test", 22);
  deepEqual(knowledge.trusted.map(({ blob }) => sshFingerprint(blob)), [sshFingerprint(blobOf(A))]);
  deepEqual(knowledge.revoked.map(({ blob }) => sshFingerprint(blob)), [sshFingerprint(blobOf(A))]);
  equal(knowledge.authorities, 1);
});

realTest(
  "known_hosts: ssh-keygen finds the same lines, hashed by it too",
  { needs: ["ssh-keygen"] },
  async ({ dir }) => {
    const path = `${dir}/known_hosts`;
    const content = [
      `git.test,192.0.2.1 ${A.publicKey}`,
      `*.test,!secret.test ${A.publicKey}`,
      `[git.test]:2222 ${B.publicKey}`,
      `@revoked *.bad ${A.publicKey}`,
      `GIT.test ${B.publicKey}`,
      "",
    ].join("\n");
    const names: [string, number][] = [
      ["git.test", 22],
      ["git.test", 2222],
      ["secret.test", 22],
      ["192.0.2.1", 22],
      ["a.bad", 22],
      ["other", 22],
      ["a.test", 22],
    ];
    const theirs = async (host: string, port: number) => {
      const name = port === 22 ? host : `[${host}]:${port}`;
      const { stdout } = await run("ssh-keygen", ["-F", name, "-f", path], { check: false });
      return [...stdout.matchAll(/found: line (\d+)/g)].map(([, line]) => Number(line));
    };
    await Deno.writeTextFile(path, content);
    for (const [host, port] of names) deepEqual(found(content, host, port), await theirs(host, port), host);

    await run("ssh-keygen", ["-q", "-H", "-f", path], { check: false });
    const hashed = await Deno.readTextFile(path);
    match(hashed, /^\|1\|/m);
    for (const [host, port] of names) deepEqual(found(hashed, host, port), await theirs(host, port), host);
  },
);

realTest("ssh client: known_hosts opens sshd, plain and hashed; revoked, foreign and unknown keys do not", {
  needs: ["sshd", "ssh-keygen"],
  ignore: SSHD_NEEDS_ROOT,
}, async ({ dir }) => {
  const server = await startSshd(dir, { moreHostKeys: ["ecdsa", "rsa"] });
  try {
    const identity = await Deno.readTextFile(server.identity);
    const name = `[127.0.0.1]:${server.port}`;
    const publicKey = async (type: string) =>
      (await Deno.readTextFile(`${dir}/sshd_host_${type}.pub`)).trim();
    const ask = (options: SshResolverOptions) => login(server, { identity, ...options });
    for (const type of ["ed25519", "ecdsa", "rsa"]) {
      equal(await ask({ knownHosts: `${name} ${await publicKey(type)}` }), "in\n", type);
    }
    await Deno.writeTextFile(`${dir}/hosts`, `${name} ${await publicKey("rsa")}\n`);
    await run("ssh-keygen", ["-q", "-H", "-f", `${dir}/hosts`]);
    equal(await ask({ knownHosts: () => Deno.readTextFile(`${dir}/hosts`) }), "in\n");
    match(
      await ask({ knownHosts: () => Deno.readTextFile(`${dir}/none`) }),
      /^unconfigured: .*known_hosts cannot be read/,
    );

    const stranger = { algorithm: "ssh-ed25519", blob: blobOf(A) };
    const foreign = knownHostsLine("127.0.0.1", server.port, stranger);
    match(await ask({ knownHosts: foreign }), /^host-key: .*trusted is SHA256:/);
    equal(await ask({ knownHosts: foreign, hostKeys: [server.pin] }), "in\n");
    match(
      await ask({ knownHosts: `other.test ${await publicKey("rsa")}` }),
      /^unconfigured: .*known_hosts has none/,
    );
    match(
      await ask({ knownHosts: `127.0.0.1 ${await publicKey("rsa")}` }),
      /^unconfigured: /,
      "another port",
    );

    const revoked = `@revoked * ${await publicKey("ed25519")}`;
    match(await ask({ knownHosts: revoked, hostKeys: [server.pin] }), /^unconfigured: .*is revoked/);
    // Another key of the same host is good, and asked for first since it is known.
    const both = `${revoked}\n${name} ${await publicKey("ecdsa")}`;
    equal(await ask({ knownHosts: both }), "in\n");
    // A key that is revoked is the end of it, even where others might be shown.
    match(await ask({ knownHosts: `${revoked}\n${foreign}` }), /^host-key: .*is revoked/);
    match(
      await ask({ knownHosts: `@cert-authority * ${await publicKey("rsa")}` }),
      /^unconfigured: .*certificate authority only, .*not supported/,
    );
  } finally {
    await server.stop();
  }
});

/** What a command says, or the error's code and message. */
async function login(server: Sshd, options: SshResolverOptions): Promise<string> {
  const outcome = await connect(createRegistry().with(sshResolver(options)), {
    scheme: "ssh",
    host: "127.0.0.1",
    port: server.port,
    user: "root",
    command: "echo in",
  });
  if (!outcome.ok) return `${outcome.error.attempts[0].code}: ${outcome.error.message}`;
  const said = text(await readAll(outcome.value));
  outcome.value.close();
  return said;
}
