import { deepEqual, equal, match, ok } from "node:assert/strict";
import {
  connect,
  createRegistry,
  type Flow,
  type HttpHandler,
  type ListenEvent,
  listenHttp,
  type ListenHttpOptions,
  tcpResolver,
} from "../../conduit/mod.ts";
import { errorOf, noise, readAll, sha256, text, utf8, valueOf } from "./flows.ts";

const registry = createRegistry().with(tcpResolver());
const hello: HttpHandler = () => new Response("hello");
const GET = utf8("GET / HTTP/1.1\r\nHost: zones.test\r\n\r\n");

interface World {
  readonly origin: string;
  readonly port: number;
  readonly events: ListenEvent[];
  readonly connections: () => number;
  readonly dial: () => Promise<Flow>;
  readonly stop: (graceMs: number) => Promise<void>;
}

/** A listener with a handler while `use` runs; what it dialed is closed after. */
async function serving(
  options: Partial<ListenHttpOptions>,
  handler: HttpHandler,
  use: (world: World) => Promise<void>,
): Promise<void> {
  const events: ListenEvent[] = [];
  const host = options.host ?? "127.0.0.1";
  const report = (event: ListenEvent) => events.push(event);
  const listener = valueOf(listenHttp({ port: 0, report, ...options, host }, handler));
  const { port } = listener.address;
  const flows: Flow[] = [];
  const dial = async () => {
    const flow = valueOf(await connect(registry, { scheme: "tcp", host, port }));
    flows.push(flow);
    return flow;
  };
  const origin = `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
  const stop = (graceMs: number) => listener.stop({ graceMs });
  try {
    await use({ origin, port, events, connections: () => listener.connections, dial, stop });
  } finally {
    for (const flow of flows) flow.close();
    await listener.stop();
  }
}

/** One response with a `Content-Length` or an end in chunks. */
async function answer(flow: Flow): Promise<string> {
  let all = "";
  while (!/\r\n\r\n/.test(all) || (/chunked/i.test(all) && !all.endsWith("0\r\n\r\n"))) {
    const bytes = await flow.read();
    if (bytes === undefined) break;
    all += text(bytes);
  }
  return all;
}

/** Waits for the connection's end, however it comes; what came before. */
async function untilClosed(flow: Flow): Promise<string> {
  let all = "";
  try {
    for (let bytes = await flow.read(); bytes !== undefined; bytes = await flow.read()) all += text(bytes);
  } catch { /* reset is an end too */ }
  return all;
}

const reasons = (events: readonly ListenEvent[]) =>
  events.map((event) => "reason" in event ? event.reason : String(event.cause));

Deno.test("http: method, target, fields and peer reach the handler, status and fields the client", async () => {
  const handler: HttpHandler = async (request, { peer }) =>
    new Response(
      JSON.stringify([
        request.method,
        request.url,
        request.headers.get("x-a"),
        await request.text(),
        peer.address,
      ]),
      { status: 201, headers: [["x-b", "2"], ["set-cookie", "a=1"], ["set-cookie", "b=2"]] },
    );
  await serving({}, handler, async ({ origin }) => {
    const response = await fetch(`${origin}/a%20b?c=d`, {
      method: "POST",
      body: "body",
      headers: { "x-a": "1" },
    });
    equal(response.status, 201);
    equal(response.headers.get("x-b"), "2");
    deepEqual(response.headers.getSetCookie(), ["a=1", "b=2"]);
    deepEqual(await response.json(), ["POST", `${origin}/a%20b?c=d`, "1", "body", "127.0.0.1"]);
    const head = await fetch(origin, { method: "HEAD" });
    equal(head.status, 201);
    equal(await head.text(), "");
  });
});

Deno.test("http: one connection serves request after request, and those sent ahead in their order", async () => {
  await serving({}, (request) => new Response(new URL(request.url).pathname), async ({ dial }) => {
    const flow = await dial();
    for (let at = 0; at < 30; at++) {
      await flow.write(GET);
      match(await answer(flow), /\r\n1\r\n\/\r\n0\r\n\r\n$/);
    }
    const ahead = ["/a", "/b", "/c"].map((path) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`).join("");
    await flow.write(utf8(ahead.replace(/\r\n\r\n$/, "\r\nConnection: close\r\n\r\n")));
    deepEqual((await untilClosed(flow)).match(/^\/[abc]$/gm), ["/a", "/b", "/c"]);
  });
});

Deno.test("http: more requests ahead of their answers than are taken end the connection", async () => {
  let served = 0;
  const slow: HttpHandler = (request) => {
    served++;
    return new Promise((resolve) => request.signal.addEventListener("abort", () => resolve(new Response())));
  };
  await serving({}, slow, async ({ dial, events }) => {
    const flow = await dial();
    await flow.write(utf8(text(GET).repeat(500)));
    equal(await untilClosed(flow), "");
    ok(served <= 1, `${served} were served at a time`);
    deepEqual(reasons(events), ["more than 16 requests ahead of their answers"]);
  });
});

Deno.test("http: 24 MiB go there and back unchanged at the same time", async () => {
  await serving({ idleMs: 10_000 }, (request) => new Response(request.body), async ({ origin }) => {
    const sent = noise(24 << 20);
    const response = await fetch(origin, { method: "POST", body: new Uint8Array(sent) });
    equal(sha256(await response.bytes()), sha256(sent));
  });
});

Deno.test("http: a client that does not read holds the answer back, and is cut off at the idle limit", async () => {
  let made = 0;
  const cancelled = Promise.withResolvers<void>();
  const handler: HttpHandler = () =>
    new Response(
      new ReadableStream({
        pull: (controller) => {
          made++;
          controller.enqueue(new Uint8Array(1 << 20));
        },
        cancel: () => cancelled.resolve(),
      }),
    );
  await serving({ idleMs: 150 }, handler, async ({ dial, events }) => {
    const flow = await dial();
    await flow.write(GET);
    await cancelled.promise;
    ok(made < 100, `${made} MiB were made for nobody`);
    deepEqual(reasons(events), ["the client was silent for 150 ms"]);
  });
});

Deno.test("http: a handler that does not read holds the client back", async () => {
  const go = Promise.withResolvers<void>();
  const handler: HttpHandler = async (request) => {
    await go.promise;
    return new Response(String((await request.bytes()).length));
  };
  await serving({}, handler, async ({ dial }) => {
    const flow = await dial();
    const length = 64 << 20;
    await flow.write(utf8(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\n\r\n`));
    const chunk = new Uint8Array(1 << 20);
    let written = 0;
    let stuck = false;
    const writing = (async () => {
      for (; written < length; written += chunk.length) await flow.write(chunk);
    })();
    // The socket's own buffers are full once nothing moves between two looks.
    for (let before = -1; !stuck;) {
      stuck = written > 0 && written === before;
      before = written;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    ok(written < length, "everything was taken though nobody read");
    go.resolve();
    await writing;
    match(await answer(flow), new RegExp(`${length}\r\n0`));
  });
});

Deno.test("http: a client that goes silent is cut off before, in and after a request", async () => {
  const failed = Promise.withResolvers<unknown>();
  const handler: HttpHandler = async (request) => {
    if (request.method === "GET") return new Response("hello");
    await request.text().catch(failed.resolve);
    return new Response("too late");
  };
  await serving({ idleMs: 60 }, handler, async ({ dial, events }) => {
    equal(await untilClosed(await dial()), "");
    const within = await dial();
    await within.write(utf8("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc"));
    equal(await untilClosed(within), "");
    ok(await failed.promise instanceof Error);
    const after = await dial();
    await after.write(GET);
    match(await untilClosed(after), /hello/);
    deepEqual(reasons(events), new Array(3).fill("the client was silent for 60 ms"));
  });
});

Deno.test("http: work of ours is not the client's silence", async () => {
  const handler: HttpHandler = async () => {
    await new Promise((resolve) => setTimeout(resolve, 200));
    return new Response("done");
  };
  await serving({ idleMs: 40 }, handler, async ({ dial, events }) => {
    const flow = await dial();
    await flow.write(GET);
    match(await answer(flow), /done/);
    deepEqual(events, []);
  });
});

Deno.test("http: a client that moves bytes is served for longer than the idle limit", async () => {
  // A second and a half in all, with pauses far below the limit.
  const length = 15;
  await serving({ idleMs: 1000 }, async (request) => new Response(await request.text()), async (world) => {
    const flow = await world.dial();
    await flow.write(utf8(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\n\r\n`));
    for (let at = 0; at < length; at++) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      await flow.write(utf8("x"));
    }
    match(await answer(flow), /x{15}/);
    deepEqual(world.events, []);
  });
});

Deno.test("http: a header that comes byte by byte has its time, on a new connection and on a kept one", async () => {
  await serving({ headersMs: 150, idleMs: 10_000 }, hello, async ({ dial, events }) => {
    const drip = async (flow: Flow) => {
      const closed = untilClosed(flow);
      let over = false;
      closed.then(() => over = true);
      for (let at = 0; !over; at++) {
        await flow.write(at === 0 ? utf8("GET / HTTP/1.1\r\nx: ") : utf8("a")).catch(() => {});
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      return await closed;
    };
    equal(await drip(await dial()), "");
    const kept = await dial();
    await kept.write(GET);
    match(await answer(kept), /hello/);
    equal(await drip(kept), "");
    deepEqual(reasons(events), new Array(2).fill("no whole request header within 150 ms"));
  });
});

Deno.test("http: connections over the limits, in all and for one address, are closed and reported", async () => {
  for (const limit of [{ maxConnections: 2 }, { maxPerAddress: 2 }]) {
    await serving(limit, hello, async ({ dial, events, connections }) => {
      const [first, second] = [await dial(), await dial()];
      for (const flow of [first, second]) {
        await flow.write(GET);
        match(await answer(flow), /hello/);
      }
      equal(connections(), 2);
      equal(await untilClosed(await dial()), "");
      equal(events.length, 1);
      match(reasons(events)[0], /^2 connections .*are open already$/);
      await first.write(utf8("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
      match(await untilClosed(first), /hello/);
      const third = await dial(); // the place that was given back
      await third.write(GET);
      match(await answer(third), /hello/);
    });
  }
});

Deno.test("http: what is no request, or too large a one, is answered 400 and 431, and reaches no handler", async () => {
  let served = 0;
  const count: HttpHandler = () => {
    served++;
    return new Response();
  };
  await serving({ maxHeaderBytes: 8192 }, count, async ({ dial }) => {
    const cases: [string, RegExp][] = [
      ["blub\r\n\r\n", /^HTTP\/1\.1 400 /],
      [`GET / HTTP/1.1\r\nHost: a\r\nx: ${"y".repeat(9000)}\r\n\r\n`, /^HTTP\/1\.1 431 /],
      [`GET /${"y".repeat(9000)} HTTP/1.1\r\nHost: a\r\n\r\n`, /^HTTP\/1\.1 431 /],
      ["GET / HTTP/1.1\r\n\r\n", /^HTTP\/1\.1 400 /], // RFC 9112 §3.2
      ["GET / HTTP/1.1\r\nHost: a/b\r\nConnection: close\r\n\r\n", /^HTTP\/1\.1 400 /],
      ["GET / HTTP/1.1\r\nHost: u@a\r\nConnection: close\r\n\r\n", /^HTTP\/1\.1 400 /],
      ["TRACE / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", /^HTTP\/1\.1 400 /],
      // RFC 9112 §6.1: a message with both is how requests are smuggled past a proxy.
      [
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        /^HTTP\/1\.1 400 /,
      ],
      ["CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", /^$/],
    ];
    for (const [sent, expected] of cases) {
      const flow = await dial();
      await flow.write(utf8(sent));
      match(await untilClosed(flow), expected, JSON.stringify(sent.slice(0, 60)));
    }
    equal(served, 0);
    const upgrading = await dial(); // RFC 9110 §7.8: a server may ignore it
    await upgrading.write(
      utf8("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: upgrade, close\r\n\r\n"),
    );
    match(await untilClosed(upgrading), /^HTTP\/1\.1 200 /);
    equal(served, 1);
  });
});

Deno.test("http: a handler that fails is answered 500 and reported; a body that fails breaks the answer off", async () => {
  const handler: HttpHandler = (request) => {
    if (request.url.endsWith("/throws")) throw new Error("boom");
    return new Response(
      new ReadableStream({
        start: (controller) => controller.enqueue(utf8("begun")),
        pull: (controller) => controller.error(new Error("halfway")),
      }, { highWaterMark: 0 }),
    );
  };
  await serving({}, handler, async ({ origin, dial, events }) => {
    const response = await fetch(`${origin}/throws`);
    equal(response.status, 500);
    equal(await response.text(), "internal error\n");
    const flow = await dial();
    await flow.write(GET);
    ok(!(await untilClosed(flow)).endsWith("0\r\n\r\n"));
    deepEqual(reasons(events), ["Error: boom", "Error: halfway"]);
  });
});

Deno.test("http: a request's signal aborts when its client leaves, and the answer's body is cancelled", async () => {
  const reached = Promise.withResolvers<void>();
  const aborted = Promise.withResolvers<void>();
  const cancelled = Promise.withResolvers<void>();
  const handler: HttpHandler = (request) => {
    request.signal.addEventListener("abort", () => aborted.resolve());
    reached.resolve();
    return new Response(new ReadableStream({ cancel: () => cancelled.resolve() }));
  };
  await serving({}, handler, async ({ dial, events }) => {
    const flow = await dial();
    await flow.write(GET);
    await reached.promise;
    flow.close();
    await aborted.promise;
    await cancelled.promise;
    deepEqual(events, []);
  });
});

Deno.test("http: a body that the handler refuses is read over, and the connection serves on", async () => {
  const handler: HttpHandler = (request) =>
    request.method === "POST" ? new Response("no", { status: 403 }) : new Response("yes");
  await serving({}, handler, async ({ dial }) => {
    const flow = await dial();
    await flow.write(utf8(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${1 << 20}\r\n\r\n`));
    match(await answer(flow), /^HTTP\/1\.1 403 /);
    await flow.write(new Uint8Array(1 << 20));
    await flow.write(GET);
    match(await answer(flow), /^HTTP\/1\.1 200 [^]*yes/);
  });
});

Deno.test("http: stopping closes what rests, lets a request under way finish, and takes no more", async () => {
  const reached = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  const handler: HttpHandler = async () => {
    reached.resolve();
    await go.promise;
    return new Response("finished");
  };
  await serving({}, handler, async ({ dial, stop, port }) => {
    const resting = await dial();
    const busy = await dial();
    await busy.write(GET);
    await reached.promise;
    const stopped = stop(10_000);
    equal(await untilClosed(resting), "");
    const refused = await connect(registry, { scheme: "tcp", host: "127.0.0.1", port });
    equal(refused.ok, false);
    go.resolve();
    const said = await untilClosed(busy);
    match(said, /connection: close/i);
    match(said, /finished/);
    await stopped;
  });
});

Deno.test("http: stopping ends a body in the middle once the grace is over", async () => {
  const cancelled = Promise.withResolvers<void>();
  const endless: HttpHandler = () =>
    new Response(
      new ReadableStream({
        start: (controller) => controller.enqueue(utf8("begun")),
        cancel: () => cancelled.resolve(),
      }),
    );
  await serving({}, endless, async ({ dial, stop }) => {
    const flow = await dial();
    await flow.write(GET);
    let all = "";
    while (!all.includes("begun")) all += text(await flow.read());
    await stop(20);
    await cancelled.promise;
    ok(!(await untilClosed(flow)).endsWith("0\r\n\r\n"));
  });
});

Deno.test("http: HTTP/1.0 without a Host is answered, and ended by the connection's end", async () => {
  await serving({}, hello, async ({ dial }) => {
    const flow = await dial();
    await flow.write(utf8("GET / HTTP/1.0\r\n\r\n"));
    const said = text(await readAll(flow));
    match(said, /hello$/);
    ok(!/transfer-encoding/i.test(said));
  });
});

Deno.test("http: listens on IPv6 too, and says why it cannot listen", async () => {
  const where: string[] = [];
  const handler: HttpHandler = (request, { peer }) => {
    where.push(peer.address);
    return new Response(request.url);
  };
  await serving({ host: "::1" }, handler, async ({ origin, port }) => {
    equal(await (await fetch(`${origin}/six`)).text(), `http://[::1]:${port}/six`);
    deepEqual(where, ["::1"]);
    const error = errorOf(listenHttp({ host: "::1", port }, hello));
    equal(error.code, "in-use");
    equal(error.message, `cannot listen on [::1]:${port}: the port is in use`);
  });
});
