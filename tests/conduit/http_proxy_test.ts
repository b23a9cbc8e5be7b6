import { deepEqual, equal, match, ok } from "node:assert/strict";
import { createServer } from "node:https";
import { createHttpClient, formatPlan, type HttpClientOptions, listenTcp } from "../../conduit/mod.ts";
import { realTest, run } from "../tools/real.ts";
import { freePort } from "../tools/ports.ts";
import { text, utf8, valueOf } from "./flows.ts";
import { makeAuthority } from "./pki.ts";
import { startProxy } from "./proxy.ts";

const LOCAL = { hostname: "127.0.0.1", port: 0, onListen: () => {} } as const;
const HOSTS = new Map([["zones.test", "127.0.0.1"]]);

/** The body, or the error's code and message. */
async function ask(url: string, options: HttpClientOptions): Promise<string> {
  const client = createHttpClient(options);
  try {
    const outcome = await client.request({ method: "GET", url });
    if (!outcome.ok) return `${outcome.error.code}: ${outcome.error.message}`;
    let told = "";
    for await (const chunk of outcome.value.body) told += text(chunk);
    return outcome.value.status === 200 ? told : `${outcome.value.status} ${told}`;
  } finally {
    client.close();
  }
}

realTest("https through a proxy: a tunnel, the name left to the proxy, TLS to the server itself", {
  needs: ["openssl"],
}, async ({ dir }) => {
  const authority = await makeAuthority(dir);
  const seen: (string | null)[] = [];
  const server = Deno.serve({ ...LOCAL, ...await authority.issue("zones.test") }, (request) => {
    seen.push(request.headers.get("proxy-authorization"));
    return new Response("in");
  });
  const url = `https://zones.test:${server.addr.port}/`;
  const roots = [authority.root];
  // Nothing is looked up but the proxy.
  const lookup = (host: string) => Promise.reject(new Error(`${host} was looked up`));
  const open = await startProxy({ hosts: HOSTS });
  equal(await ask(url, { roots, lookup, proxy: { url: open.url } }), "in");
  deepEqual(open.asked, [`CONNECT zones.test:${server.addr.port}`]);
  await open.stop();
  match(await ask(url, { roots, lookup, proxy: { url: open.url } }), /^refused: /);

  const strict = await startProxy({ hosts: HOSTS, credentials: "me:secret" });
  const proxy = { url: strict.url };
  equal(await ask(url, { roots, lookup, proxy: { ...proxy, username: "me", password: "secret" } }), "in");
  match(await ask(url, { roots, lookup, proxy }), /^auth: .*wants credentials/);
  const wrong = await ask(url, { roots, lookup, proxy: { ...proxy, username: "me", password: "hush" } });
  match(wrong, /^auth: .*does not accept/);
  ok(!wrong.includes("hush"));
  match(
    await ask("https://zones.test:1/", { roots, proxy: { ...proxy, username: "me", password: "secret" } }),
    /^proxy: .*refused a tunnel to zones\.test:1: 502 Bad Gateway/,
  );
  await strict.stop();
  deepEqual(seen, [null, null], "what was for the proxy went to the server");
  await server.shutdown();
});

realTest(
  "https through a proxy that is reached by TLS, with roots of its own",
  { needs: ["openssl"] },
  async ({ dir }) => {
    const [ours, theirs] = [await makeAuthority(dir), await makeAuthority(dir)];
    const server = Deno.serve({ ...LOCAL, ...await ours.issue("zones.test") }, () => new Response("in"));
    const proxy = await startProxy({ hosts: HOSTS, tls: await theirs.issue("127.0.0.1") });
    const url = `https://zones.test:${server.addr.port}/`;
    const through = (roots: string[]) => ({ roots: [ours.root], proxy: { url: proxy.url, roots } });
    equal(await ask(url, through([theirs.root])), "in");
    match(await ask(url, through([ours.root])), /^tls: /);
    equal(proxy.asked.length, 1);
    await proxy.stop();
    await server.shutdown();
  },
);

Deno.test("http through a proxy: whole URLs, and credentials for the proxy alone", async () => {
  const server = Deno.serve(LOCAL, (request) => new Response(request.headers.get("host")));
  const { port } = server.addr;
  const strict = await startProxy({ hosts: HOSTS, credentials: "me:secret" });
  const url = `http://zones.test:${port}/a`;
  const proxy = { url: strict.url, username: "me", password: "secret" };
  equal(await ask(url, { proxy }), `zones.test:${port}`);
  match(await ask(url, { proxy: { url: strict.url } }), /^407 /);
  deepEqual(strict.asked, [`GET ${url}`, `GET ${url}`]);
  await strict.stop();
  await server.shutdown();
});

Deno.test("proxies that are none: other protocols, endless answers, silence, addresses that cannot be", async () => {
  const endless = `HTTP/1.1 200 OK\r\n${"X: y\r\n".repeat(10_000)}`;
  for (
    const [told, reason] of [["SSH-2.0-x\r\n\r\n", /^proxy: .*does not speak HTTP/], [
      endless,
      /^proxy: .*without an end/,
    ], ["", /^proxy: .*ended the connection/]] as const
  ) {
    const listener = valueOf(listenTcp({ host: "127.0.0.1", port: 0, report: () => {} }, async (flow) => {
      await flow.read();
      await flow.write(utf8(told));
    }));
    const proxy = { url: `http://127.0.0.1:${listener.address.port}` };
    match(await ask("https://zones.test/", { proxy }), reason);
    await listener.stop();
  }
  const mute = valueOf(listenTcp({ host: "127.0.0.1", port: 0, report: () => {} }, async (flow) => {
    while (await flow.read() !== undefined);
  }));
  const silent = { url: `http://127.0.0.1:${mute.address.port}` };
  match(await ask("https://zones.test/", { proxy: silent, connectMs: 50 }), /^timeout: /);
  await mute.stop();
  for (
    const url of ["nonsense", "socks5://127.0.0.1:1", "http://me:pw@127.0.0.1:1", "http://127.0.0.1:1/path"]
  ) {
    match(await ask("https://zones.test/", { proxy: { url } }), /^unconfigured: /, url);
  }
});

realTest(
  "the environment's proxy is used when asked for, and never else",
  { needs: ["openssl"] },
  async ({ dir }) => {
    const authority = await makeAuthority(dir);
    const server = Deno.serve({ ...LOCAL, ...await authority.issue("zones.test") }, () => new Response("in"));
    const url = `https://zones.test:${server.addr.port}/`;
    const proxy = await startProxy({ hosts: HOSTS });
    const roots = [authority.root];
    const lookup = () => Promise.resolve(["127.0.0.1"]);
    const names = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
    for (const name of names) Deno.env.set(name, proxy.url);
    try {
      equal(await ask(url, { roots, lookup }), "in");
      deepEqual(proxy.asked, []);
      equal(await ask(url, { roots, lookup, proxy: "environment" }), "in");
      equal(proxy.asked.length, 1);
    } finally {
      for (const name of names) Deno.env.delete(name);
    }
    await proxy.stop();
    await server.shutdown();
  },
);

realTest("https: a client certificate is shown to its host alone; encrypted keys want their passphrase", {
  needs: ["openssl"],
}, async ({ dir }) => {
  const authority = await makeAuthority(dir);
  const own = await authority.issue("127.0.0.1", ["zones.test"]);
  const me = await authority.issue("me.test");
  const server = createServer(
    { ...own, ca: authority.root, requestCert: true, rejectUnauthorized: false },
    (request, response) => {
      const subject: unknown = Reflect.get(request.socket, "getPeerCertificate").call(request.socket)?.subject
        ?.CN;
      response.end(String(subject ?? "nobody"));
    },
  );
  const port = freePort();
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", () => resolve()));
  const common = { roots: [authority.root], lookup: () => Promise.resolve(["127.0.0.1"]) };
  const certificate = { host: "zones.test", certificate: me.cert, key: me.key };
  equal(await ask(`https://zones.test:${port}/`, { ...common, clientCertificate: certificate }), "me.test");
  equal(await ask(`https://127.0.0.1:${port}/`, { ...common, clientCertificate: certificate }), "nobody");

  await Deno.writeTextFile(`${dir}/key`, me.key);
  const locked =
    (await run("openssl", ["pkcs8", "-topk8", "-in", `${dir}/key`, "-passout", "pass:hush"])).stdout;
  const asLocked = (passphrase?: string) => ({ ...certificate, key: locked, passphrase });
  equal(
    await ask(`https://zones.test:${port}/`, { ...common, clientCertificate: asLocked("hush") }),
    "me.test",
  );
  match(
    await ask(`https://zones.test:${port}/`, { ...common, clientCertificate: asLocked() }),
    /^unconfigured: .*encrypted, and no passphrase/,
  );
  match(
    await ask(`https://zones.test:${port}/`, { ...common, clientCertificate: asLocked("wrong") }),
    /^unconfigured: .*key cannot be used/,
  );
  match(
    await ask(`https://zones.test:${port}/`, {
      ...common,
      clientCertificate: { ...certificate, key: own.key },
    }),
    /^unconfigured: .*not for the key beside it/,
  );
  server.closeAllConnections();
  await new Promise<void>((resolve) => server.close(() => resolve()));
});

realTest("a client says how it would reach a URL", { needs: ["openssl"] }, async ({ dir }) => {
  const authority = await makeAuthority(dir);
  const client = createHttpClient({
    roots: [authority.root],
    proxy: { url: "http://proxy.test:3128", username: "me", password: "hush" },
    lookup: () => Promise.resolve(["192.0.2.1", "2001:db8::1"]),
  });
  const plan = await client.explain("https://zones.test/");
  if (!plan.ok) throw new Error(plan.error);
  equal(
    formatPlan(plan.value),
    [
      "tls zones.test:443, secure only",
      "1. tls (tls, priority 0): 2 candidates",
      "   1.1 tls zones.test:443 through the proxy 192.0.2.1:3128; the certificate must be for zones.test; trusted: 1 given, no other; no client certificate; offering http/1.1",
      "   1.2 tls zones.test:443 through the proxy [2001:db8::1]:3128; the certificate must be for zones.test; trusted: 1 given, no other; no client certificate; offering http/1.1",
    ].join("\n"),
  );
  equal((await client.explain("nonsense")).ok, false);
  client.close();
});

realTest("https through tinyproxy", { needs: ["openssl", "tinyproxy", "sh"] }, async ({ dir }) => {
  const authority = await makeAuthority(dir);
  const server = Deno.serve({ ...LOCAL, ...await authority.issue("127.0.0.1") }, () => new Response("in"));
  const plain = Deno.serve(LOCAL, () => new Response("plain"));
  const port = freePort();
  await Deno.writeTextFile(
    `${dir}/tinyproxy.conf`,
    [
      `Port ${port}`,
      "Listen 127.0.0.1",
      "Allow 127.0.0.1",
      "BasicAuth me secret",
      "Timeout 60",
      "MaxClients 10",
      "",
    ].join("\n"),
  );
  const child = new Deno.Command("sh", {
    args: ["-c", `exec tinyproxy -d -c '${dir}/tinyproxy.conf'`],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  try {
    await listening(port);
    const proxy = { url: `http://127.0.0.1:${port}`, username: "me", password: "secret" };
    const roots = [authority.root];
    equal(await ask(`https://127.0.0.1:${server.addr.port}/`, { roots, proxy }), "in");
    equal(await ask(`http://127.0.0.1:${plain.addr.port}/`, { roots, proxy }), "plain");
    match(
      await ask(`https://127.0.0.1:${server.addr.port}/`, { roots, proxy: { url: proxy.url } }),
      /^(auth|proxy): /,
    );
  } finally {
    child.kill("SIGTERM");
    await child.status;
    await server.shutdown();
    await plain.shutdown();
  }
});

/** Waits until somebody listens. */
async function listening(port: number): Promise<void> {
  for (let tries = 0;; tries++) {
    try {
      (await Deno.connect({ hostname: "127.0.0.1", port })).close();
      return;
    } catch (error) {
      if (!(error instanceof Deno.errors.ConnectionRefused) || tries === 200) throw error;
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  }
}
