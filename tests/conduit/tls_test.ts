import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import {
  connect,
  createRegistry,
  type Flow,
  type ListenEvent,
  listenTcp,
  listenTls,
  tcpResolver,
  tlsResolver,
  type TlsResolverOptions,
} from "../../conduit/mod.ts";
import { realTest, run } from "../tools/real.ts";
import { errorOf, noise, readAll, sha256, text, utf8, valueOf } from "./flows.ts";
import { makeAuthority, type TestAuthority } from "./pki.ts";

realTest(
  "tls: a server under the configured root is reached by its name",
  { needs: ["openssl"] },
  async ({ dir }) => {
    const { root, cert, key } = await makeChain(dir, "zones.test");
    const server = Deno.listenTls({ hostname: "127.0.0.1", port: 0, cert, key });
    const serving = (async () => {
      const conn = await server.accept();
      const buffer = new Uint8Array(100);
      const count = await conn.read(buffer) ?? 0;
      await conn.write(buffer.subarray(0, count));
      conn.close();
    })();
    const lookup = () => Promise.resolve(["127.0.0.1"]);
    const registry = createRegistry().with(tlsResolver({ roots: [root], lookup }));
    const flow = valueOf(
      await connect(registry, { scheme: "tls", host: "zones.test", port: server.addr.port }),
    );
    ok(flow.secure);
    await flow.write(utf8("ping"));
    equal(text(await flow.read()), "ping");
    await serving;
    flow.close();
    server.close();
  },
);

realTest("tls: openssl s_server is read, and a wrong root or name is an attempt with its cause", {
  needs: ["openssl"],
}, async ({ dir }) => {
  const { root } = await makeChain(dir, "zones.test");
  await Deno.mkdir(`${dir}/other`);
  const other = await makeChain(`${dir}/other`, "zones.test");
  const server = await startServer(dir);
  const lookup = () => Promise.resolve(["127.0.0.1"]);
  try {
    const good = createRegistry().with(tlsResolver({ roots: [root], lookup }));
    const flow = valueOf(await connect(good, { scheme: "tls", host: "zones.test", port: server.port }));
    await flow.write(utf8("GET / HTTP/1.0\r\n\r\n"));
    match(text(await readAll(flow)), /HTTP\/1\.0 200/);
    flow.close();

    const wrongName = errorOf(await connect(good, { scheme: "tls", host: "other.test", port: server.port }));
    deepEqual(wrongName.attempts.map(({ code }) => code), ["tls"]);

    // The plain route would reach the port; it must not be taken.
    const wrong = createRegistry().with(tlsResolver({ roots: [other.root], lookup })).with(
      tcpResolver({ lookup }),
    );
    const wrongRoot = errorOf(await connect(wrong, { scheme: "tls", host: "zones.test", port: server.port }));
    deepEqual(wrongRoot.attempts.map(({ protocol, code }) => [protocol, code]), [["tls", "tls"], [
      "tcp",
      "insecure",
    ]]);
    match(wrongRoot.message, /UnknownIssuer|certificate/);
  } finally {
    await server.stop();
  }
});

Deno.test("tls: a server that speaks something else, or nothing, is an attempt error and never plaintext", async () => {
  const seen: Uint8Array[] = [];
  const talker = valueOf(listenTcp({ host: "127.0.0.1", port: 0 }, async (flow) => {
    await flow.write(utf8("220 welcome, plain as day\r\n"));
    const first = await flow.read();
    if (first !== undefined) seen.push(first);
  }));
  const mute = valueOf(listenTcp({ host: "127.0.0.1", port: 0 }, (flow) => readAll(flow).then(() => {})));
  const registry = createRegistry().with(tlsResolver()).with(tcpResolver());
  const plain = errorOf(
    await connect(registry, { scheme: "tls", host: "127.0.0.1", port: talker.address.port }),
  );
  deepEqual(plain.attempts.map(({ protocol, code }) => [protocol, code]), [["tls", "tls"], [
    "tcp",
    "insecure",
  ]]);
  const silent = errorOf(
    await connect(registry, { scheme: "tls", host: "127.0.0.1", port: mute.address.port }, { timeoutMs: 50 }),
  );
  equal(silent.attempts[0].code, "timeout");
  await talker.stop();
  await mute.stop();
  equal(seen[0]?.[0], 22, "the first byte sent is a TLS handshake record");
});

/** A flow to a port here, or the error's code and message. */
async function dial(
  port: number,
  options: TlsResolverOptions,
  more: { host?: string; alpn?: string[] } = {},
): Promise<Flow | string> {
  const registry = createRegistry().with(
    tlsResolver({ lookup: () => Promise.resolve(["127.0.0.1"]), ...options }),
  );
  const outcome = await connect(registry, { scheme: "tls", host: "zones.test", port, ...more });
  return outcome.ok ? outcome.value : `${outcome.error.attempts[0].code}: ${outcome.error.message}`;
}

async function flowTo(...args: Parameters<typeof dial>): Promise<Flow> {
  const flow = await dial(...args);
  if (typeof flow === "string") throw new Error(flow);
  return flow;
}

async function failureTo(...args: Parameters<typeof dial>): Promise<string> {
  const flow = await dial(...args);
  if (typeof flow === "string") return flow;
  throw new Error("it should have failed");
}

realTest(
  "tls: given roots are trusted alone, whatever the runtime's store has",
  { needs: ["openssl"] },
  async ({ dir }) => {
    const { root, cert, key } = await makeChain(dir, "zones.test");
    const { root: other } = await makeAuthority(dir);
    const [store, foreign] = [`${dir}/store.pem`, `${dir}/foreign.pem`];
    await Deno.writeTextFile(store, root);
    await Deno.writeTextFile(foreign, other);
    const listener = valueOf(
      listenTls({
        host: "127.0.0.1",
        port: 0,
        certificate: () => ({ certificate: cert, key }),
        report: () => {},
      }, () => {}),
    );
    // A process of its own, since the store is read once.
    const script = `
    import { connect, createRegistry, tlsResolver } from ${
      JSON.stringify(new URL("../../conduit/mod.ts", import.meta.url).href)
    };
    for (const roots of [undefined, [await Deno.readTextFile(${JSON.stringify(foreign)})]]) {
      const registry = createRegistry().with(tlsResolver({ roots }));
      const outcome = await connect(registry, { scheme: "tls", host: "127.0.0.1", port: ${listener.address.port} });
      console.log(outcome.ok ? "in" : outcome.error.attempts[0].code);
      if (outcome.ok) outcome.value.close();
    }`;
    await Deno.writeTextFile(`${dir}/script.ts`, script);
    const { stdout } = await run(Deno.execPath(), [
      ...[
        "run",
        "--no-prompt",
        "--no-check",
        "--config",
        new URL("../../deno.json", import.meta.url).pathname,
      ],
      ...["--allow-net=127.0.0.1", `--allow-read=${dir}`, `${dir}/script.ts`],
    ], {
      env: { DENO_CERT: store, DENO_DIR: Deno.env.get("DENO_DIR") ?? `${Deno.env.get("HOME")}/.cache/deno` },
    });
    equal(stdout, "in\ntls\n");
    await listener.stop();
  },
);

realTest(
  "tls: 20 MB go there and back unchanged, half-close ends one direction only",
  { needs: ["openssl"] },
  async ({ dir }) => {
    const { root, cert, key } = await makeChain(dir, "zones.test");
    const listener = valueOf(
      listenTls(
        { host: "127.0.0.1", port: 0, certificate: () => ({ certificate: cert, key }) },
        async (flow) => {
          ok(flow.secure);
          const all = await readAll(flow);
          await flow.write(all);
          await flow.end();
        },
      ),
    );
    const flow = await flowTo(listener.address.port, { roots: [root] });
    const sent = noise(20_000_000);
    await flow.write(sent);
    await flow.end();
    equal(sha256(await readAll(flow)), sha256(sent));
    equal(await flow.read(), undefined);
    flow.close();
    await rejects(flow.read(), { code: "closed" });
    await listener.stop();
  },
);

realTest("tls: a connection that is cut before TLS's own end is a reset, never an end", {
  needs: ["openssl"],
}, async ({ dir }) => {
  const { root, cert, key } = await makeChain(dir, "zones.test");
  const listener = valueOf(
    listenTls({
      host: "127.0.0.1",
      port: 0,
      certificate: () => ({ certificate: cert, key }),
      report: () => {},
    }, async (flow) => {
      await flow.write(utf8("half"));
      await readAll(flow);
    }),
  );
  const cut = Promise.withResolvers<void>();
  const relay = valueOf(listenTcp({ host: "127.0.0.1", port: 0, report: () => {} }, async (near) => {
    const registry = createRegistry().with(tcpResolver());
    const far = valueOf(
      await connect(registry, { scheme: "tcp", host: "127.0.0.1", port: listener.address.port }),
    );
    const pump = async (from: Flow, to: Flow) => {
      for (let bytes = await from.read(); bytes !== undefined; bytes = await from.read()) {
        await to.write(bytes);
      }
    };
    const pumps = Promise.allSettled([pump(near, far), pump(far, near)]);
    await cut.promise;
    await near.end(); // as anybody on the path could
    await pumps;
    far.close();
  }));
  const flow = await flowTo(relay.address.port, { roots: [root] });
  equal(text(await flow.read()), "half");
  cut.resolve();
  await rejects(flow.read(), { code: "reset" });
  flow.close();
  await listener.stop();
  await relay.stop();
});

realTest("tls: protocols are offered, one is chosen, and a server that knows none of them refuses", {
  needs: ["openssl"],
}, async ({ dir }) => {
  const { root, cert, key } = await makeChain(dir, "zones.test");
  const listener = valueOf(
    listenTls({
      host: "127.0.0.1",
      port: 0,
      certificate: () => ({ certificate: cert, key }),
      alpn: ["dot", "h2"],
      report: () => {},
    }, async (flow) => {
      await flow.write(utf8("in"));
      await flow.end();
    }),
  );
  const flow = await flowTo(listener.address.port, { roots: [root] }, { alpn: ["dot"] });
  equal(text(await readAll(flow)), "in");
  flow.close();
  match(await failureTo(listener.address.port, { roots: [root] }, { alpn: ["smtp"] }), /^tls: /);
  await listener.stop();
});

realTest("tls: openssl s_server that requires a client certificate lets us in with one, and not without", {
  needs: ["openssl"],
}, async ({ dir }) => {
  const { root, authority } = await makeChain(dir, "zones.test");
  await Deno.writeTextFile(`${dir}/root.pem`, root);
  const me = await authority.issue("me.test");
  const clientCertificate = { certificate: me.cert, key: me.key };
  for (const version of ["-tls1_2", "-tls1_3"]) {
    const server = await startServer(dir, [
      "-CAfile",
      `${dir}/root.pem`,
      "-Verify",
      "2",
      "-verify_return_error",
      version,
    ]);
    try {
      const flow = await flowTo(server.port, { roots: [root], clientCertificate });
      await flow.write(utf8("GET / HTTP/1.0\r\n\r\n"));
      match(text(await readAll(flow)), /HTTP\/1\.0 200/);
      flow.close();
      const refused = await dial(server.port, { roots: [root] });
      if (typeof refused === "string") match(refused, /^tls: /);
      else await rejects(readAll(refused), { name: "FlowError", code: "refused" });
    } finally {
      await server.stop();
    }
  }
  // For another host it is as if there were none.
  const registry = createRegistry().with(tlsResolver({ host: "other.test", clientCertificate }));
  const failure = errorOf(await connect(registry, { scheme: "tls", host: "zones.test", port: 1 }));
  deepEqual(failure.attempts.map(({ code }) => code), ["not-applicable"]);
});

realTest(
  "tls listener: openssl s_client reads it; a renewed certificate is shown from the next connection on",
  {
    needs: ["openssl"],
  },
  async ({ dir }) => {
    const authority = await makeAuthority(dir);
    await Deno.writeTextFile(`${dir}/root.pem`, authority.root);
    let current = await authority.issue("first.test");
    const listener = valueOf(
      listenTls({
        host: "127.0.0.1",
        port: 0,
        certificate: () => ({ certificate: current.cert, key: current.key }),
      }, async (flow) => {
        await flow.write(utf8("hello\n"));
        await flow.end();
        await readAll(flow);
      }),
    );
    const ask = async () => {
      const { stdout } = await run("openssl", [
        ...[
          "s_client",
          "-connect",
          `127.0.0.1:${listener.address.port}`,
          "-CAfile",
          `${dir}/root.pem`,
          "-verify_return_error",
          "-ign_eof",
        ],
      ], { stdin: "", check: false });
      return [
        /subject=CN = (\S+)/.exec(stdout)?.[1],
        /^hello$/m.test(stdout),
        /Verification: OK/.test(stdout),
      ];
    };
    deepEqual(await ask(), ["first.test", true, true]);
    current = await authority.issue("second.test");
    deepEqual(await ask(), ["second.test", true, true]);
    await listener.stop();
  },
);

realTest("tls listener: silence, other protocols and too many connections cost their own connection", {
  needs: ["openssl"],
}, async ({ dir }) => {
  const { root, cert, key } = await makeChain(dir, "zones.test");
  const events: ListenEvent[] = [];
  let seen = Promise.withResolvers<void>();
  const listener = valueOf(listenTls({
    host: "127.0.0.1",
    port: 0,
    certificate: () => ({ certificate: cert, key }),
    maxConnections: 2,
    handshakeMs: 600,
    idleMs: 100,
    report: (event) => {
      events.push(event);
      seen.resolve();
    },
  }, async (flow) => {
    await flow.write(utf8("in"));
    await readAll(flow);
  }));
  const { port } = listener.address;
  const event = async () => {
    await seen.promise;
    seen = Promise.withResolvers<void>();
    const last = events.at(-1);
    return last?.kind === "peer-failed" || last?.kind === "refused"
      ? `${last.kind}: ${last.reason}`
      : last?.kind;
  };
  const plain = await Deno.connect({ hostname: "127.0.0.1", port });
  match(await event() ?? "", /^peer-failed: .*no handshake within 600 ms/);
  plain.close();

  const talker = await Deno.connect({ hostname: "127.0.0.1", port });
  await talker.write(utf8("GET / HTTP/1.1\r\n\r\n"));
  match(await event() ?? "", /^peer-failed: /);
  talker.close();

  const idle = await flowTo(port, { roots: [root] });
  equal(text(await idle.read()), "in");
  match(await event() ?? "", /^peer-failed: .*silent for 100 ms/);
  idle.close();

  const crowd = [
    await Deno.connect({ hostname: "127.0.0.1", port }),
    await Deno.connect({ hostname: "127.0.0.1", port }),
  ];
  const third = await Deno.connect({ hostname: "127.0.0.1", port });
  match(await event() ?? "", /^refused: 2 connections are open already/);
  for (const conn of [...crowd, third]) conn.close();
  await listener.stop();

  const bad = listenTls(
    { host: "127.0.0.1", port: 0, certificate: () => ({ certificate: root, key }) },
    () => {},
  );
  equal(errorOf(bad).code, "bad-certificate");
  match(errorOf(bad).message, /not for the key beside it/);
});

async function startServer(
  dir: string,
  more: readonly string[] = [],
): Promise<{ port: number; stop(): Promise<void> }> {
  const child = new Deno.Command("openssl", {
    args: [
      ...[
        "s_server",
        "-accept",
        "127.0.0.1:0",
        "-cert",
        `${dir}/leaf.pem`,
        "-key",
        `${dir}/leaf.key`,
        "-www",
      ],
      ...more,
    ],
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const reader = child.stdout.getReader();
  let output = "";
  let port = 0;
  while (port === 0) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`openssl s_server ended: ${output}`);
    output += new TextDecoder().decode(value);
    port = Number(/ACCEPT 127\.0\.0\.1:(\d+)/.exec(output)?.[1] ?? 0);
  }
  return {
    port,
    async stop() {
      child.kill("SIGTERM");
      await reader.cancel();
      await child.status;
    },
  };
}

interface Party {
  readonly root: string;
  readonly cert: string;
  readonly key: string;
  readonly authority: TestAuthority;
}

/** An authority, and a certificate for a name under it, in `leaf.pem` and `leaf.key` too. */
async function makeChain(dir: string, name: string): Promise<Party> {
  const authority = await makeAuthority(dir);
  const leaf = await authority.issue(name, ["127.0.0.1"]);
  await Deno.writeTextFile(`${dir}/leaf.pem`, leaf.cert);
  await Deno.writeTextFile(`${dir}/leaf.key`, leaf.key);
  return { root: authority.root, ...leaf, authority };
}
