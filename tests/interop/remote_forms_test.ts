/** Remote mode by every transport, shallow, and over a repository that breaks. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { openUpstream } from "../../cli/serve_remote.ts";
import type { Status } from "../../cli/status_form.ts";
import { initRepository } from "../../store/mod.ts";
import { dig } from "../tools/dig.ts";
import { freePort } from "../tools/ports.ts";
import { realTest, run } from "../tools/real.ts";
import { runCommand, serverIn, startServer } from "../tools/server.ts";
import { SSHD_NEEDS_ROOT, startSshd } from "../tools/sshd.ts";

realTest(
  "a remote by git:// is fetched shallow and followed, and its copy is served while it is away",
  { needs: ["git", "dig"] },
  async ({ dir, step }) => {
    const upstream = await upstreamIn(dir);
    for (let serial = 1; serial <= 40; serial++) await upstream.zone(serial, `a A 192.0.2.${serial}`);
    await using daemon = await startDaemon(dir);
    await configure(dir, [`remote = "git://127.0.0.1:${daemon.port}/upstream.git"`, "insecure = true"]);
    let server = await serverIn(dir, ["--config", "b.toml", "--acme", "off"]);
    const mirror = `${dir}/.bailiwick/zones.git`;
    const history = async () =>
      Number((await run("git", ["-C", mirror, "rev-list", "--count", "main"])).stdout);
    try {
      equal(await dig(server.dns, ["+short", "a.remote.test", "A"]), "192.0.2.40");
      equal(await history(), 1, "one commit of forty");
      await upstream.zone(41, "a A 192.0.2.41");
      await eventually(async () => await dig(server.dns, ["+short", "a.remote.test", "A"]) === "192.0.2.41");
      equal(await history(), 2);

      await step(
        "what the zone was long ago is asked for, and the history is fetched as far as that takes",
        async () => {
          const response = await fetch(`${server.web}/zones/remote.test/history/20`);
          equal(response.status, 200);
          const { source, records } = await response.json();
          equal(source, "file");
          ok(
            records.some((record: string) => /^a\.remote\.test\. \d+ IN A 192\.0\.2\.20$/.test(record)),
            records,
          );
          ok(await history() >= 22, "as deep as serial 20 and the one before it");
          equal((await fetch(`${server.web}/zones/remote.test/history/77`)).status, 404);
          await run("git", ["-C", mirror, "fsck", "--strict", "--full"]);
        },
      );

      await step("status knows the upstream and when it was reached", async () => {
        const { source } = await statusOf(dir);
        ok(source?.kind === "remote");
        equal(source.upstream, `git://127.0.0.1:${daemon.port}/upstream.git`);
        ok(source.age !== null && source.age < 30, JSON.stringify(source));
        equal(source.trouble, null);
      });

      await step("away: status says since when, over a restart too", async () => {
        await daemon.stop();
        await server.stop();
        server = await serverIn(dir, ["--config", "b.toml", "--acme", "off"]);
        equal(await dig(server.dns, ["+short", "a.remote.test", "A"]), "192.0.2.41");
        await eventually(async () => {
          const { source } = await statusOf(dir);
          return source?.kind === "remote" && source.trouble !== null && source.reached !== null;
        });
        match(server.log(), /what was last fetched is served, \d+ s old/);
      });
    } finally {
      await server.stop();
    }
  },
);

realTest(
  "the upstream deepens a history until it is whole, asking for more each time",
  { needs: ["git"] },
  async ({ dir }) => {
    const upstream = await upstreamIn(dir);
    for (let serial = 1; serial <= 60; serial++) await upstream.zone(serial, "a A 192.0.2.1");
    await using daemon = await startDaemon(dir);
    const path = `${dir}/mirror.git`;
    const repository = await initRepository(path);
    try {
      const remote = await openUpstream(
        {
          url: `git://127.0.0.1:${daemon.port}/upstream.git`,
          branch: "main",
          pollMs: 1000,
          depth: 2,
          access: { kind: "git" },
        },
        repository,
        {
          due: () => Promise.resolve(false),
          run: () => Promise.reject(new Error("nothing is to be collected")),
        },
      );
      const fetched = await remote.fetch();
      ok(fetched.ok);
      equal(
        (await repository.refs.move({ name: "refs/heads/main", old: undefined, new: fetched.value })).ok,
        true,
      );
      const count = async () =>
        Number((await run("git", ["-C", path, "rev-list", "--count", "main"])).stdout);
      const counts = [await count()];
      while (await remote.deepen()) counts.push(await count());
      deepEqual(counts, [2, 18, 50, 60]);
      await run("git", ["-C", path, "fsck", "--full", "--strict"]);
      remote.close();
    } finally {
      repository.close();
      await daemon.stop();
    }
  },
);

realTest("a pack that breaks is named and fetched again", { needs: ["git", "dig"] }, async ({ dir }) => {
  const upstream = await upstreamIn(dir);
  // More objects than are kept loose: a pack.
  for (let at = 0; at < 120; at++) await Deno.writeTextFile(`${dir}/work/file${at}`, `${at}\n`.repeat(40));
  await upstream.zone(1, "a A 192.0.2.1");
  await using daemon = await startDaemon(dir);
  await configure(dir, [`remote = "git://127.0.0.1:${daemon.port}/upstream.git"`, "insecure = true"]);
  const first = await serverIn(dir, ["--config", "b.toml", "--acme", "off"]);
  equal(await first.stop(), 0);
  const packs = `${dir}/.bailiwick/zones.git/objects/pack`;
  const pack = [...Deno.readDirSync(packs)].map(({ name }) => name).find((name) => name.endsWith(".pack"));
  ok(pack !== undefined);
  const bytes = await Deno.readFile(`${packs}/${pack}`);
  await Deno.chmod(`${packs}/${pack}`, 0o644);
  await Deno.writeFile(`${packs}/${pack}`, bytes.map((byte, at) => at > 40 ? byte ^ 0x55 : byte));
  const server = await serverIn(dir, ["--config", "b.toml", "--acme", "off"]);
  try {
    equal(await dig(server.dns, ["+short", "a.remote.test", "A"]), "192.0.2.1");
    await eventually(() => Promise.resolve(/the repository is whole again/.test(server.log())));
    match(server.log(), new RegExp(pack.slice(0, 20)));
    match(server.log(), /fetching everything again/);
    await eventually(async () => (await statusOf(dir)).damage.length === 0);
  } finally {
    await server.stop();
  }
  const checked = await run("git", ["-C", `${dir}/.bailiwick/zones.git`, "fsck", "--full", "--no-dangling"]);
  equal(checked.stderr.replace(/^notice: .*\n/gm, ""), "");
});

realTest(
  "a remote is served again though the pack that broke held what no upstream has",
  { needs: ["git", "dig"] },
  async ({ dir }) => {
    const upstream = await upstreamIn(dir);
    await upstream.zone(7, "a A 192.0.2.1");
    await using daemon = await startDaemon(dir);
    await configure(dir, [`remote = "git://127.0.0.1:${daemon.port}/upstream.git"`, "insecure = true"]);
    equal(await (await serverIn(dir, ["--config", "b.toml", "--acme", "off"])).stop(), 0);
    const mirror = `${dir}/.bailiwick/zones.git`;
    // The serials' notes are in this pack too.
    await run("git", ["-C", mirror, "gc", "-q"]);
    const packs = `${mirror}/objects/pack`;
    const pack = [...Deno.readDirSync(packs)].map(({ name }) => name).find((name) => name.endsWith(".pack"));
    ok(pack !== undefined);
    await Deno.chmod(`${packs}/${pack}`, 0o644);
    await Deno.truncate(`${packs}/${pack}`, 40);
    const server = await serverIn(dir, ["--config", "b.toml", "--acme", "off"]);
    try {
      equal(await dig(server.dns, ["+short", "a.remote.test", "A"]), "192.0.2.1");
      match(
        server.log(),
        /the serials noted at refs\/bailiwick\/serials cannot be read .*; they are noted anew/,
      );
      await upstream.zone(8, "a A 192.0.2.2");
      await eventually(async () => await dig(server.dns, ["+short", "a.remote.test", "A"]) === "192.0.2.2");
      match(await dig(server.dns, ["+short", "remote.test", "SOA"]), / 8 /);
    } finally {
      await server.stop();
    }
    const notes = await run("git", ["-C", mirror, "grep", "-h", "remote", "refs/bailiwick/serials"]);
    equal(notes.stdout, "remote.test. 8\n");
  },
);

realTest(
  "a remote by HTTPS: own roots, a password from a file, git http-backend behind it",
  { needs: ["git", "openssl", "dig"] },
  async ({ dir, step }) => {
    const upstream = await upstreamIn(dir);
    await upstream.zone(1, "a A 192.0.2.1");
    await run("openssl", [
      ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"],
      ...["-keyout", `${dir}/tls.key`, "-out", `${dir}/tls.pem`, "-subj", "/CN=localhost"],
      ...["-addext", "subjectAltName=IP:127.0.0.1"],
    ]);
    await using backend = await startHttpBackend(dir, `Basic ${btoa("zones:open sesame")}`);
    const remote = [
      `remote = "https://127.0.0.1:${backend.port}/upstream.git"`,
      'roots = "tls.pem"',
      'password-file = "password"',
    ];
    await Deno.writeTextFile(`${dir}/password`, "zones:open sesame\n");
    await configure(dir, remote);
    const server = await serverIn(dir, ["--config", "b.toml", "--acme", "off"]);
    try {
      equal(await dig(server.dns, ["+short", "a.remote.test", "A"]), "192.0.2.1");
      await upstream.zone(2, "a A 192.0.2.2");
      await eventually(async () => await dig(server.dns, ["+short", "a.remote.test", "A"]) === "192.0.2.2");
    } finally {
      await server.stop();
    }

    await step("with another password, or without the root, nothing is fetched", async () => {
      await Deno.writeTextFile(`${dir}/password`, "zones:wrong\n");
      const wrong = await serverIn(dir, ["--config", "b.toml", "--acme", "off", "--data", "wrong"]);
      await wrong.stop();
      match(wrong.ready, / zones=0$/);
      match(wrong.log(), /401|not let|password/i);
      await Deno.writeTextFile(`${dir}/password`, "zones:open sesame\n");
      await configure(dir, remote.filter((line) => !line.startsWith("roots")));
      const rootless = await serverIn(dir, ["--config", "b.toml", "--acme", "off", "--data", "rootless"]);
      await rootless.stop();
      match(rootless.ready, / zones=0$/);
      match(rootless.log(), /certificate|issuer/i);
    });
  },
);

realTest(
  "an SSH remote with the agent's key and a known_hosts file",
  { needs: ["git", "ssh", "sshd", "ssh-agent", "ssh-add", "dig"], ignore: SSHD_NEEDS_ROOT },
  async ({ dir }) => {
    const upstream = await upstreamIn(dir);
    await upstream.zone(1, "a A 192.0.2.1");
    const sshd = await startSshd(dir);
    const socket = `${dir}/agent.sock`;
    const agent = new Deno.Command("ssh-agent", {
      args: ["-D", "-a", socket],
      stdout: "null",
      stderr: "null",
    }).spawn();
    try {
      await eventually(() => Promise.resolve(exists(socket)));
      await run("ssh-add", ["-q", sshd.identity], { env: { SSH_AUTH_SOCK: socket } });
      const [type, key] = (await Deno.readTextFile(`${dir}/sshd_host_ed25519.pub`)).split(" ");
      await Deno.writeTextFile(`${dir}/known`, `[127.0.0.1]:${sshd.port} ${type} ${key}\n`);
      await configure(dir, [
        `remote = "ssh://root@127.0.0.1:${sshd.port}${dir}/upstream.git"`,
        'identity = "agent"',
        'known-hosts = "known"',
      ]);
      Deno.env.set("SSH_AUTH_SOCK", socket);
      const server = await serverIn(dir, ["--config", "b.toml", "--acme", "off"]);
      try {
        equal(await dig(server.dns, ["+short", "a.remote.test", "A"]), "192.0.2.1", server.log());
      } finally {
        await server.stop();
      }
      Deno.env.delete("SSH_AUTH_SOCK");
      const started = await startServer(dir, ["--config", "b.toml", "--acme", "off"]);
      if (started.ready) await started.server.stop();
      ok(!started.ready);
      match(started.stderr, /^bailiwick: repository\.identity: there is no SSH agent/m);
    } finally {
      agent.kill("SIGTERM");
      await agent.status;
      await sshd.stop();
    }
  },
);

async function configure(dir: string, lines: readonly string[]): Promise<void> {
  await Deno.writeTextFile(`${dir}/b.toml`, ["[repository]", ...lines, 'poll = "200ms"', ""].join("\n"));
}

realTest(
  "what can never reach a remote is told at the start, in one line",
  { needs: ["ssh-keygen"] },
  async ({ dir }) => {
    const pin = `host-key = "SHA256:${"A".repeat(43)}"`;
    await run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "a secret", "-f", `${dir}/encrypted`]);
    for (const [name, text] of [["garbage", "a secret\n"], ["empty", ""]]) {
      await Deno.writeTextFile(`${dir}/${name}`, text);
    }
    const ssh = 'remote = "ssh://git@127.0.0.1:1/zones.git"';
    const https = 'remote = "https://127.0.0.1:1/zones.git"';
    for (
      const [lines, expected] of [
        [
          [ssh, 'identity = "encrypted"', pin],
          /repository\.identity: \S+encrypted cannot be used: it is encrypted/,
        ],
        [[ssh, 'identity = "garbage"', pin], /repository\.identity: \S+garbage cannot be used: /],
        [[https, 'roots = "garbage"'], /repository\.roots: \S+garbage cannot be used: a root is not a PEM/],
        [
          [https, 'client-certificate = "garbage"', 'client-key = "encrypted"'],
          /repository\.client-certificate: \S+garbage with \S+encrypted cannot be used: /,
        ],
        [[https, 'token-file = "empty"'], /repository\.token-file: \S+empty does not hold one token/],
        [[https, 'token-file = "garbage"'], /repository\.token-file: \S+garbage does not hold one token/],
        [[https, 'proxy = "garbage"'], /repository\.proxy: neither "environment" nor/],
      ] as const
    ) {
      await configure(dir, lines);
      const started = await startServer(dir, ["--config", "b.toml", "--acme", "off"]);
      if (started.ready) await started.server.stop();
      ok(!started.ready, lines.join());
      equal(started.code, 2);
      match(started.stderr, new RegExp(`^bailiwick: ${expected.source}[^\\n]*\\n$`));
      equal(started.stderr.includes("a secret"), false);
    }
  },
);

async function upstreamIn(dir: string) {
  const cwd = `${dir}/work`;
  await run("git", ["init", "-q", "--bare", "-b", "main", `${dir}/upstream.git`]);
  await run("git", ["init", "-q", "-b", "main", cwd]);
  const file = `${cwd}/remote.test.zone`;
  return {
    zone: async (serial: number, line: string) => {
      await Deno.writeTextFile(
        file,
        `$TTL 60\n@ SOA ns h ${serial} 1h 1h 1h 1m\n@ NS ns\nns A 127.0.0.1\n${line}\n`,
      );
      await run("git", ["add", "-A"], { cwd });
      await run("git", ["commit", "-qm", `Serial ${serial}`], { cwd });
      await run("git", ["push", "-q", `${dir}/upstream.git`, "main"], { cwd });
    },
  };
}

async function startDaemon(dir: string) {
  const port = freePort();
  const child = new Deno.Command("git", {
    args: [
      "daemon",
      "--export-all",
      "--reuseaddr",
      `--base-path=${dir}`,
      "--listen=127.0.0.1",
      `--port=${port}`,
      dir,
    ],
    stdout: "null",
    stderr: "null",
  }).spawn();
  await eventually(async () => {
    try {
      (await Deno.connect({ hostname: "127.0.0.1", port })).close();
      return true;
    } catch (error) {
      if (error instanceof Deno.errors.ConnectionRefused) return false;
      throw error;
    }
  });
  let running = true;
  const stop = async () => {
    if (!running) return;
    running = false;
    child.kill("SIGTERM");
    await child.status;
  };
  return { port, stop, [Symbol.asyncDispose]: stop };
}

/** git http-backend as a CGI program behind TLS, for those who know the password. */
async function startHttpBackend(dir: string, authorization: string) {
  const serve = async (request: Request): Promise<Response> => {
    if (request.headers.get("authorization") !== authorization) {
      return new Response("no\n", { status: 401, headers: { "www-authenticate": 'Basic realm="git"' } });
    }
    const url = new URL(request.url);
    const body = new Uint8Array(await request.arrayBuffer());
    const child = new Deno.Command("git", {
      args: ["http-backend"],
      env: {
        GIT_PROJECT_ROOT: dir,
        GIT_HTTP_EXPORT_ALL: "1",
        PATH_INFO: url.pathname,
        QUERY_STRING: url.search.slice(1),
        REQUEST_METHOD: request.method,
        CONTENT_TYPE: request.headers.get("content-type") ?? "",
        CONTENT_LENGTH: String(body.length),
        HTTP_CONTENT_ENCODING: request.headers.get("content-encoding") ?? "",
        GIT_PROTOCOL: request.headers.get("git-protocol") ?? "",
      },
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    const writer = child.stdin.getWriter();
    await writer.write(body);
    await writer.close();
    const { stdout } = await child.output();
    const end = new TextDecoder("latin1").decode(stdout).indexOf("\r\n\r\n");
    const headers = new Headers();
    for (const line of new TextDecoder().decode(stdout.subarray(0, end)).split("\r\n")) {
      headers.append(line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim());
    }
    return new Response(stdout.slice(end + 4), {
      status: Number(headers.get("status")?.slice(0, 3) ?? 200),
      headers,
    });
  };
  const server = Deno.serve({
    hostname: "127.0.0.1",
    port: 0,
    cert: await Deno.readTextFile(`${dir}/tls.pem`),
    key: await Deno.readTextFile(`${dir}/tls.key`),
    onListen: () => {},
  }, serve);
  return { port: server.addr.port, [Symbol.asyncDispose]: () => server.shutdown() };
}

async function statusOf(dir: string): Promise<Status> {
  return JSON.parse((await runCommand(dir, "status", ["--json"])).stdout);
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

async function eventually(holds: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!await holds()) {
    if (Date.now() > deadline) throw new Error(`does not come true: ${holds}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
