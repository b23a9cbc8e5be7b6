import { deepEqual, equal, match, ok } from "node:assert/strict";
import { connect, createRegistry, listenTcp, tcpResolver, tlsResolver } from "../../conduit/mod.ts";
import { realTest, run } from "../tools/real.ts";
import { errorOf, readAll, text, utf8, valueOf } from "./flows.ts";

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

/** A root, and a certificate for a name under it, made by openssl. */
async function makeChain(dir: string, name: string): Promise<{ root: string; cert: string; key: string }> {
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  await run("openssl", [
    ...["req", "-x509", ...curve, "-subj", `/CN=root ${crypto.randomUUID()}`, "-days", "2"],
    ...["-keyout", `${dir}/root.key`, "-out", `${dir}/root.pem`],
  ]);
  await run("openssl", [
    ...[
      "req",
      "-x509",
      ...curve,
      "-subj",
      `/CN=${name}`,
      "-addext",
      `subjectAltName=DNS:${name}`,
      "-days",
      "2",
    ],
    ...[
      "-addext",
      "basicConstraints=critical,CA:FALSE",
      "-CA",
      `${dir}/root.pem`,
      "-CAkey",
      `${dir}/root.key`,
    ],
    ...["-keyout", `${dir}/leaf.key`, "-out", `${dir}/leaf.pem`],
  ]);
  const [root, cert, key] = await Promise.all(
    ["root.pem", "leaf.pem", "leaf.key"].map((file) => Deno.readTextFile(`${dir}/${file}`)),
  );
  return { root, cert, key };
}

async function startServer(dir: string): Promise<{ port: number; stop(): Promise<void> }> {
  const child = new Deno.Command("openssl", {
    args: [
      "s_server",
      "-accept",
      "127.0.0.1:0",
      "-cert",
      `${dir}/leaf.pem`,
      "-key",
      `${dir}/leaf.key`,
      "-www",
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
