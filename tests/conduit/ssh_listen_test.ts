import { deepEqual, equal, match, ok } from "node:assert/strict";
import {
  generateSshKey,
  type Listener,
  type ListenEvent,
  listenSsh,
  type ListenSshOptions,
  parseAuthorizedKeys,
  sshFingerprint,
  type SshSession,
} from "../../conduit/mod.ts";
import { realTest, run, type RunOutcome } from "../tools/real.ts";
import { errorOf, noise, readAll, sha256, text, utf8 } from "./flows.ts";
import { installKey, listenOn, sshArgs } from "./ssh_parties.ts";

realTest("ssh listener: OpenSSH runs a command and gets its output, standard error and exit status", {
  needs: ["ssh"],
}, async ({ dir }) => {
  const seen: { user: string; identity: string; command: string; env: [string, string][] }[] = [];
  const server = await listenOn(dir, async (session) => {
    const { user, identity, command } = session;
    seen.push({ user, identity, command, env: [...session.env] });
    await session.stderr("a word beside\n");
    await session.flow.write(utf8("hello "));
    await session.flow.write(await readAll(session.flow));
    await session.exit(7);
  });
  const args = sshArgs(dir, server, { more: ["-o", "SendEnv=GIT_PROTOCOL SECRET"] });
  const outcome = await run("ssh", [...args, "git-upload-pack '/zones.git'"], {
    env: { GIT_PROTOCOL: "version=2", SECRET: "not wanted" },
    stdin: "world",
    check: false,
  });
  deepEqual(outcome, { code: 7, stdout: "hello world", stderr: "a word beside\n" });
  const identity = "me@example";
  const command = "git-upload-pack '/zones.git'";
  deepEqual(seen, [{ user: "git", identity, command, env: [["GIT_PROTOCOL", "version=2"]] }]);
  await server.stop();
});

realTest("ssh listener: the status arrives after the end of the stream too, and 0 where none is given", {
  needs: ["ssh"],
}, async ({ dir }) => {
  const server = await listenOn(dir, async (session) => {
    await session.flow.write(utf8(session.command));
    if (session.command === "plain") return;
    await session.flow.end();
    await session.exit(3);
  });
  deepEqual(await ssh(dir, server, ["ends"]), { code: 3, stdout: "ends", stderr: "" });
  deepEqual(await ssh(dir, server, ["plain"]), { code: 0, stdout: "plain", stderr: "" });
  await server.stop();
});

realTest(
  "ssh listener: a command that fails has status 1 and is reported",
  { needs: ["ssh"] },
  async ({ dir }) => {
    const events: ListenEvent[] = [];
    const server = await listenOn(dir, () => Promise.reject(new Error("boom")), {
      report: (event) => events.push(event),
    });
    equal((await ssh(dir, server, ["x"])).code, 1);
    deepEqual(events.map((event) => event.kind === "handler-failed" && String(event.cause)), ["Error: boom"]);
    await server.stop();
  },
);

realTest("ssh listener: 20 MB go there and back unchanged, with new keys after every megabyte", {
  needs: ["ssh"],
}, async ({ dir }) => {
  const sent = noise(20_000_000);
  let received = "";
  const server = await listenOn(dir, async ({ flow }) => {
    const all = await readAll(flow);
    received = sha256(all);
    await flow.write(all);
  });
  await Deno.writeFile(`${dir}/sent`, sent);
  const args = sshArgs(dir, server, { more: ["-o", "RekeyLimit=1M"] }).map((arg) => `'${arg}'`).join(" ");
  await run("sh", ["-c", `ssh ${args} echo < '${dir}/sent' > '${dir}/back'`]);
  equal(received, sha256(sent));
  equal(sha256(await Deno.readFile(`${dir}/back`)), sha256(sent));
  await server.stop();
});

realTest("ssh listener: output and standard error in turn stay whole when both wait for the window", {
  needs: ["ssh"],
}, async ({ dir }) => {
  const chunk = noise(300_000);
  const server = await listenOn(dir, async (session) => {
    for (let i = 0; i < 20; i++) {
      await Promise.all([session.flow.write(chunk), session.stderr("e".repeat(200_000))]);
    }
  });
  const args = sshArgs(dir, server).map((arg) => `'${arg}'`).join(" ");
  await run("sh", ["-c", `ssh ${args} x > '${dir}/out' 2> '${dir}/err'`]);
  const expected = new Uint8Array(20 * chunk.length);
  for (let i = 0; i < 20; i++) expected.set(chunk, i * chunk.length);
  equal(sha256(await Deno.readFile(`${dir}/out`)), sha256(expected));
  equal((await Deno.readTextFile(`${dir}/err`)).length, 4_000_000);
  await server.stop();
});

realTest("ssh listener: shell, terminal, subsystem and forwarding are refused in words", {
  needs: ["ssh"],
}, async ({ dir }) => {
  const server = await listenOn(dir, () => {});
  const shell = await ssh(dir, server, []);
  equal(shell.code, 1);
  equal(shell.stderr, "Bailiwick speaks git only; there is no shell here.\r\n");
  const terminal = await ssh(dir, server, [], { more: ["-tt"] });
  notZero(terminal);
  match(terminal.stderr, /PTY allocation request failed/);
  const subsystem = await ssh(dir, server, ["sftp"], { more: ["-s"] });
  equal(subsystem.code, 1);
  match(subsystem.stderr, /there is no shell here/);
  const forward = await ssh(dir, server, [], { more: ["-W", "127.0.0.1:22"] });
  notZero(forward);
  match(forward.stderr, /forwarding failed/);
  const remote = await ssh(dir, server, ["x"], {
    more: ["-R", "0:127.0.0.1:22", "-o", "ExitOnForwardFailure=yes"],
  });
  notZero(remote);
  await server.stop();
});

realTest("ssh listener: only a key that is known opens it, and only by proof", {
  needs: ["ssh", "ssh-keygen"],
}, async ({
  dir,
}) => {
  const server = await listenOn(dir, (session) => session.exit(0));
  const stranger = generateSshKey("stranger");
  await installKey(`${dir}/stranger`, stranger);
  const refused = await ssh(dir, server, ["x"], { key: `${dir}/stranger` });
  equal(refused.code, 255);
  match(refused.stderr, /Permission denied \(publickey\)/);

  const passwords = await ssh(dir, server, ["x"], { more: ["-o", "PreferredAuthentications=password,none"] });
  equal(passwords.code, 255);
  match(passwords.stderr, /Permission denied \(publickey\)/);
  await server.stop();
});

realTest(
  "ssh listener: RSA and ECDSA keys of OpenSSH log in",
  { needs: ["ssh", "ssh-keygen"] },
  async ({ dir }) => {
    const lines: string[] = [];
    for (const type of ["rsa", "ecdsa"]) {
      await run("ssh-keygen", ["-q", "-t", type, "-N", "", "-C", type, "-f", `${dir}/${type}`]);
      lines.push(await Deno.readTextFile(`${dir}/${type}.pub`));
    }
    const { entries, faults } = parseAuthorizedKeys(lines.join("\n"));
    deepEqual(faults, []);
    const server = await listenOn(dir, async (session) => {
      await session.flow.write(utf8(session.identity));
    }, {
      authorize: (key) =>
        Promise.resolve(entries.find((entry) => sshFingerprint(entry.blob) === key.fingerprint)?.comment),
    });
    for (const type of ["rsa", "ecdsa"]) {
      deepEqual(await ssh(dir, server, ["x"], { key: `${dir}/${type}` }), {
        code: 0,
        stdout: type,
        stderr: "",
      });
    }
    // The signature of the old days, by SHA-1, proves nothing.
    const old = await ssh(dir, server, ["x"], {
      key: `${dir}/rsa`,
      more: ["-o", "PubkeyAcceptedAlgorithms=ssh-rsa", "-o", "HostKeyAlgorithms=+ssh-rsa"],
    });
    equal(old.code, 255);
    await server.stop();
  },
);

realTest(
  "ssh listener: limits on connections, sessions and the time to log in hold",
  { needs: ["ssh"] },
  async ({ dir }) => {
    const entered = Promise.withResolvers<void>();
    const release = Promise.withResolvers<void>();
    const events: ListenEvent[] = [];
    const server = await listenOn(dir, async (session) => {
      if (session.command === "wait") {
        entered.resolve();
        await release.promise;
      }
      await session.exit(0);
    }, { maxPerAddress: 1, report: (event) => events.push(event) });
    const first = ssh(dir, server, ["wait"]);
    await entered.promise;
    equal((await ssh(dir, server, ["x"])).code, 255);
    ok(events.some((event) => event.kind === "refused" && event.reason.includes("from 127.0.0.1")));
    release.resolve();
    equal((await first).code, 0);
    await server.stop();

    const reported = Promise.withResolvers<string>();
    const strict = await listenOn(dir, () => {}, {
      authMs: 30,
      report: (event) => event.kind === "peer-failed" && reported.resolve(event.reason),
    });
    const conn = await Deno.connect({ hostname: "127.0.0.1", port: strict.address.port });
    equal(await reported.promise, "no login within 30 ms");
    await drain(conn);
    conn.close();
    await strict.stop();
  },
);

Deno.test("ssh listener: bytes that are no SSH end the connection and nothing else", async () => {
  const dir = await Deno.makeTempDir();
  const server = await listenOn(dir, () => {}, { report: () => {} });
  for (const start of ["GET / HTTP/1.1\r\n\r\n", "SSH-2.0-x\r\n", "SSH-1.0-x\r\n"]) {
    const conn = await Deno.connect({ hostname: "127.0.0.1", port: server.address.port });
    await conn.write(utf8(start));
    await conn.write(noise(50_000)).catch(() => {}); // it may have been cut off already
    await drain(conn);
    conn.close();
  }
  await server.stop();
  await Deno.remove(dir, { recursive: true });
});

Deno.test("ssh listener: a port in use and an unusable host key are errors that say so", async () => {
  const dir = await Deno.makeTempDir();
  const server = await listenOn(dir, () => {});
  const options: ListenSshOptions<string> = {
    host: "127.0.0.1",
    port: server.address.port,
    hostKeys: [server.hostKey.privateKey],
    authorize: () => Promise.resolve(undefined),
    exec: () => {},
  };
  const inUse = errorOf(await listenSsh(options));
  equal(inUse.code, "in-use");
  match(inUse.message, new RegExp(`127\\.0\\.0\\.1:${server.address.port}`));
  equal(errorOf(await listenSsh({ ...options, hostKeys: ["no key"] })).code, "bad-host-key");
  await server.stop();
  await Deno.remove(dir, { recursive: true });
});

realTest(
  "ssh listener: a client that is killed ends its command's reading with an error",
  { needs: ["ssh"] },
  async ({
    dir,
  }) => {
    const started = Promise.withResolvers<void>();
    const outcome = Promise.withResolvers<string>();
    const server = await listenOn(dir, async (session) => {
      started.resolve();
      try {
        outcome.resolve(text(await session.flow.read()));
      } catch (error) {
        outcome.resolve(error instanceof Error && "code" in error ? String(error.code) : "?");
      }
    }, { report: () => {} });
    const child = new Deno.Command("ssh", {
      args: [...sshArgs(dir, server), "x"],
      stdin: "piped",
      stdout: "null",
      stderr: "null",
    }).spawn();
    await started.promise;
    child.kill("SIGKILL");
    await child.status;
    await child.stdin.close().catch(() => {}); // its reader is gone
    equal(await outcome.promise, "reset");
    await server.stop();
  },
);

realTest("ssh listener: stop ends at once although commands hang", { needs: ["ssh"] }, async ({ dir }) => {
  const started = Promise.withResolvers<void>();
  const server = await listenOn(dir, async (session: SshSession<string>) => {
    started.resolve();
    await readAll(session.flow);
  }, { report: () => {} });
  const child = new Deno.Command("ssh", {
    args: [...sshArgs(dir, server), "x"],
    stdin: "piped",
    stdout: "null",
    stderr: "null",
  }).spawn();
  await started.promise;
  await server.stop();
  equal((await child.status).code, 255);
  await child.stdin.close().catch(() => {}); // its reader is gone
});

realTest("ssh listener: stop with a grace lets running commands finish and takes no new ones", {
  needs: ["ssh"],
}, async ({ dir }) => {
  const started = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  const server = await listenOn(dir, async (session) => {
    started.resolve();
    await release.promise;
    await session.flow.write(utf8("finished"));
    await session.exit(4);
  });
  const running = ssh(dir, server, ["x"]);
  await started.promise;
  const stopping = server.stop({ graceMs: 10_000 });
  equal((await ssh(dir, server, ["x"])).code, 255);
  release.resolve();
  const { code, stdout } = await running;
  deepEqual({ code, stdout }, { code: 4, stdout: "finished" });
  await stopping;
  equal(server.connections, 0);
});

function ssh(
  dir: string,
  server: Listener,
  command: string[],
  options: { key?: string; more?: string[] } = {},
): Promise<RunOutcome> {
  return run("ssh", [...sshArgs(dir, server, options), ...command], { stdin: "", check: false });
}

function notZero(outcome: RunOutcome): void {
  ok(outcome.code !== 0, outcome.stderr);
}

/** Reads to the end or the reset of a connection. */
async function drain(conn: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(4096);
  try {
    while (await conn.read(buffer) !== null);
  } catch (error) {
    ok(error instanceof Deno.errors.ConnectionReset, String(error));
  }
}
