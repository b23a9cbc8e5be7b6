/** Every kind of key in every kind of file, and agents, against OpenSSH's own server. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import {
  connect,
  createRegistry,
  explain,
  formatPlan,
  generateSshKey,
  publicKeyOf,
  sshFingerprint,
  sshResolver,
  type SshResolverOptions,
} from "../../conduit/mod.ts";
import { realTest, run } from "../tools/real.ts";
import { type Sshd, SSHD_NEEDS_ROOT, startSshd } from "../tools/sshd.ts";
import { errorOf, readAll, text, valueOf } from "./flows.ts";
import { blobOf } from "./ssh_parties.ts";

const KINDS: readonly (readonly string[])[] = [
  ["ed25519"],
  ["ecdsa", "-b", "256"],
  ["ecdsa", "-b", "384"],
  ["ecdsa", "-b", "521"],
  ["rsa", "-b", "2048"],
  ["rsa", "-b", "3072"],
];

/** What a command says, or the error's code and message. */
async function login(server: Sshd, options: Partial<SshResolverOptions>): Promise<string> {
  const registry = createRegistry().with(sshResolver({ hostKeys: [server.pin], ...options }));
  const outcome = await connect(registry, {
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

async function makeKey(
  path: string,
  kind: readonly string[],
  passphrase: string,
  format: string,
): Promise<string> {
  await run("ssh-keygen", ["-q", "-t", ...kind, "-m", format, "-N", passphrase, "-f", path]);
  return await Deno.readTextFile(path);
}

async function authorize(dir: string, lines: readonly string[]): Promise<void> {
  await Deno.writeTextFile(`${dir}/sshd_authorized`, lines.map((line) => `${line}\n`).join(""));
}

realTest("ssh keys: Ed25519, ECDSA and RSA, of OpenSSH's, PKCS#8 and older PEM files, open sshd", {
  needs: ["sshd", "ssh-keygen"],
  ignore: SSHD_NEEDS_ROOT,
}, async ({ dir }) => {
  const server = await startSshd(dir);
  try {
    const identities: [string, string][] = [];
    const authorized: string[] = [];
    for (const kind of KINDS) {
      for (const format of kind[0] === "ed25519" ? ["RFC4716"] : ["RFC4716", "PKCS8", "PEM"]) {
        const path = `${dir}/${kind.join("")}-${format}`;
        identities.push([`${kind} ${format}`, await makeKey(path, kind, "", format)]);
        authorized.push(await Deno.readTextFile(`${path}.pub`));
      }
    }
    const pkcs8 = (await run("openssl", ["genpkey", "-algorithm", "ed25519"])).stdout;
    identities.push(["ed25519 PKCS8", pkcs8]);
    const own = valueOf(asError(await publicKeyOf(pkcs8)));
    authorized.push(`${own.algorithm} ${btoa(String.fromCharCode(...own.blob))}`);
    await authorize(dir, authorized);
    const outcomes: string[] = [];
    for (const [name, identity] of identities) {
      outcomes.push(`${name}: ${await login(server, { identity })}`);
    }
    deepEqual(outcomes, identities.map(([name]) => `${name}: in\n`));
    equal(identities.length, 17);
  } finally {
    await server.stop();
  }
});

realTest(
  "ssh keys: an encrypted key opens with its passphrase; without, or with another, there is no connection",
  {
    needs: ["sshd", "ssh-keygen"],
    ignore: SSHD_NEEDS_ROOT,
  },
  async ({ dir }) => {
    const server = await startSshd(dir);
    try {
      const cases: [readonly string[], string][] = [
        [["ed25519"], "RFC4716"],
        [["rsa", "-b", "2048"], "RFC4716"],
        [["rsa", "-b", "2048"], "PKCS8"],
        [["rsa", "-b", "2048"], "PEM"],
        [["ecdsa", "-b", "384"], "PKCS8"],
      ];
      for (const [index, [kind, format]] of cases.entries()) {
        const identity = await makeKey(`${dir}/locked${index}`, kind, "hush hush", format);
        await authorize(dir, [await Deno.readTextFile(`${dir}/locked${index}.pub`)]);
        const name = `${kind[0]} ${format}`;
        equal(await login(server, { identity, passphrase: "hush hush" }), "in\n", name);
        match(await login(server, { identity }), /^unconfigured: .*encrypted, and no passphrase/, name);
        const wrong = await login(server, { identity, passphrase: "loud" });
        match(wrong, /^unconfigured: .*the SSH identity cannot be used/, name);
        ok(!wrong.includes("loud"));
      }
      match(await login(server, { identity: generateSshKey("").publicKey }), /^unconfigured: .*public key/);
      match(await login(server, { identity: "" }), /^unconfigured: /);
      match(await login(server, { identity: "x".repeat(1 << 20) }), /^unconfigured: /);
    } finally {
      await server.stop();
    }
  },
);

realTest("ssh keys: RSA signs by SHA-2 alone, 512 or 256 as the server will have it", {
  needs: ["sshd", "ssh-keygen"],
  ignore: SSHD_NEEDS_ROOT,
}, async ({ dir }) => {
  const identity = await makeKey(`${dir}/rsa`, ["rsa", "-b", "2048"], "", "RFC4716");
  const publicKey = await Deno.readTextFile(`${dir}/rsa.pub`);
  for (
    const [algorithm, outcome] of [["rsa-sha2-512", /^in/], ["rsa-sha2-256", /^in/], [
      "ssh-rsa",
      /^auth: /,
    ]] as const
  ) {
    // sshd takes the first value of an option, and reads this folder's file before its own words.
    await authorize(dir, [publicKey]);
    const server = await startSshd(dir);
    await server.stop();
    await authorize(dir, [publicKey]);
    const restarted = await startStrictSshd(dir, server, `PubkeyAcceptedAlgorithms ${algorithm}`);
    try {
      match(await login(restarted, { identity }), outcome, algorithm);
    } finally {
      await restarted.stop();
    }
  }
});

realTest("ssh agent: any key of it, or one by fingerprint or public key; no such key is no connection", {
  needs: ["sshd", "ssh-keygen", "ssh-agent", "ssh-add", "sh"],
  ignore: SSHD_NEEDS_ROOT,
}, async ({ dir }) => {
  const server = await startSshd(dir);
  const agent = await startAgent(dir);
  const { socket } = agent;
  const all = (...logins: Partial<SshResolverOptions>[]) => loginsWithAgent(server, socket, logins);
  try {
    match((await all({ agent: { socket } }))[0], /^unconfigured: .*has no key of a known type/);
    const keys = new Map<string, string>();
    for (const kind of KINDS.slice(0, 5)) {
      const name = kind.join("");
      await makeKey(`${dir}/${name}`, kind, "", "RFC4716");
      await agent.add(`${dir}/${name}`);
      keys.set(name, await Deno.readTextFile(`${dir}/${name}.pub`));
    }
    for (const [name, publicKey] of keys) {
      await authorize(dir, [publicKey]);
      const print = (await run("ssh-keygen", ["-lf", "-"], { stdin: publicKey })).stdout.split(" ")[1];
      const ways = [{ socket }, { socket, key: publicKey }, { socket, key: print }];
      deepEqual(await all(...ways.map((way) => ({ agent: way }))), ["in\n", "in\n", "in\n"], name);
    }
    await authorize(dir, [keys.get("ed25519") ?? ""]);
    const stranger = generateSshKey("");
    const outcomes = await all(
      { agent: { socket, key: keys.get("rsa-b2048") } },
      { agent: { socket, key: sshFingerprint(blobOf(stranger)) } },
      { agent: { socket, key: "nonsense" } },
      { agent: { socket: "environment" } },
      // A key that the server does not know is offered first, then those of the agent.
      { identity: stranger.privateKey, agent: { socket } },
    );
    const expected = [
      /^auth: /,
      /^unconfigured: .*has no key SHA256:/,
      /^unconfigured: .*fingerprint or its public key/,
      /^in\n$/,
      /^in\n$/,
    ];
    expected.forEach((outcome, index) => match(outcomes[index], outcome));
    // One that does not answer is waited for as long as for all else, and then let go of.
    agent.hold();
    const [late] = await loginsWithAgent(server, socket, [{ agent: { socket } }], 300);
    match(late, /^timeout: .*no answer within \d+ ms/);
    agent.resume();
  } finally {
    await agent.stop();
    await server.stop();
  }
  match((await all({ agent: { socket } }))[0], /^unconfigured: .*does not answer/);
  match(
    await login(server, { agent: { socket: "environment" }, environment: () => undefined }),
    /^unconfigured: .*SSH_AUTH_SOCK names no agent/,
  );
});

/** Logins by a process that may reach the agent, one after another. */
async function loginsWithAgent(
  server: Sshd,
  socket: string,
  logins: readonly Partial<SshResolverOptions>[],
  timeoutMs = 30_000,
): Promise<string[]> {
  const here = (path: string) => new URL(path, import.meta.url).pathname;
  const { stdout } = await run(Deno.execPath(), [
    ...["run", "--no-prompt", "--no-check", "--config", here("../../deno.json")],
    ...[`--allow-net=127.0.0.1,unix:${socket}`, `--allow-read=${socket}`, `--allow-write=${socket}`],
    ...["--allow-env=SSH_AUTH_SOCK,NODE_DEBUG", here("ssh_dial.ts"), String(server.port), String(timeoutMs)],
  ], {
    stdin: JSON.stringify(logins.map((options) => ({ hostKeys: [server.pin], ...options }))),
    env: {
      SSH_AUTH_SOCK: socket,
      DENO_DIR: Deno.env.get("DENO_DIR") ?? `${Deno.env.get("HOME")}/.cache/deno`,
    },
  });
  return JSON.parse(stdout);
}

Deno.test("ssh agent: the environment's is never asked unless it is told to be", async () => {
  Deno.env.set("SSH_AUTH_SOCK", "/nonexistent/agent");
  try {
    const pin = sshFingerprint(blobOf(generateSshKey("")));
    const registry = createRegistry().with(sshResolver({ hostKeys: [pin] }));
    const endpoint = { scheme: "ssh", host: "127.0.0.1", port: 1, user: "git", command: "x" } as const;
    const failure = errorOf(await connect(registry, endpoint));
    deepEqual(failure.attempts.map(({ code }) => code), ["unconfigured"]);
    match(failure.message, /no SSH identity is configured/);
  } finally {
    Deno.env.delete("SSH_AUTH_SOCK");
  }
});

Deno.test("ssh: the plan names keys, agents and what is trusted, and no secret", async () => {
  const [host, me] = [generateSshKey("host"), generateSshKey("me")];
  const [pin, print] = [host, me].map((pair) => sshFingerprint(blobOf(pair)));
  const registry = createRegistry()
    .with(sshResolver({
      identity: me.privateKey,
      agent: { socket: "/run/agent", key: pin },
      hostKeys: [pin],
      lookup: () => Promise.resolve(["192.0.2.1", "2001:db8::1"]),
    }))
    .with(sshResolver({ host: "other.test", hostKeys: [pin] }))
    .with(sshResolver({ hostKeys: [] }));
  const endpoint = { scheme: "ssh", host: "git.test", port: 22, user: "git", command: "x" } as const;
  const notes =
    `with the key ${print} (ssh-ed25519); with ${pin} of the agent at /run/agent; host keys trusted: ${pin}`;
  equal(
    formatPlan(await explain(registry, endpoint)),
    [
      "ssh git@git.test:22, secure only",
      "1. ssh (ssh, priority 0): 2 candidates",
      `   1.1 ssh git@192.0.2.1:22; ${notes}`,
      `   1.2 ssh git@[2001:db8::1]:22; ${notes}`,
      "-. ssh other.test (ssh, priority 0): not-applicable: configured for other.test only",
      "-. ssh (ssh, priority 0): unconfigured: no host key is pinned for git.test",
    ].join("\n"),
  );
});

interface Agent {
  readonly socket: string;
  add(path: string): Promise<void>;
  /** Stops answering, without an end. */
  hold(): void;
  resume(): void;
  stop(): Promise<void>;
}

async function startAgent(dir: string): Promise<Agent> {
  const socket = `${dir}/agent`;
  const child = new Deno.Command("sh", {
    args: ["-c", `exec ssh-agent -D -a '${socket}'`],
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const reader = child.stdout.getReader();
  await reader.read(); // it says where it listens once it does
  const drained = (async () => {
    while (!(await reader.read()).done);
  })();
  return {
    socket,
    add: async (path) =>
      void await run("sh", ["-c", `ssh-add -q '${path}'`], { env: { SSH_AUTH_SOCK: socket } }),
    hold: () => child.kill("SIGSTOP"),
    resume: () => child.kill("SIGCONT"),
    async stop() {
      child.kill("SIGTERM");
      child.kill("SIGCONT"); // a process on hold ends when it goes on
      await Promise.all([child.status, drained]);
    },
  };
}

/** The same server again, with a line before its own configuration. */
async function startStrictSshd(dir: string, server: Sshd, line: string): Promise<Sshd> {
  const configuration = await Deno.readTextFile(`${dir}/sshd_config`);
  await Deno.writeTextFile(`${dir}/strict_config`, `${line}\n${configuration}`);
  const child = new Deno.Command("/usr/sbin/sshd", {
    args: ["-D", "-e", "-f", `${dir}/strict_config`],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const log = child.stderr.getReader();
  for (let output = ""; !output.includes("Server listening");) {
    const { value, done } = await log.read();
    if (done) throw new Error(`sshd ended: ${output}`);
    output += new TextDecoder().decode(value);
  }
  const drained = (async () => {
    while (!(await log.read()).done);
  })();
  return {
    ...server,
    async stop() {
      child.kill("SIGTERM");
      await Promise.all([child.status, drained]);
    },
  };
}

function asError<T>(result: { ok: true; value: T } | { ok: false; error: string }) {
  return result.ok ? result : { ok: false, error: new Error(result.error) } as const;
}
