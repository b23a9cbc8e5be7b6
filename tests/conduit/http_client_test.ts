import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import {
  createHttpClient,
  type Flow,
  type HttpClientOptions,
  type HttpResponse,
  listenTcp,
  proxyFromEnvironment,
} from "../../conduit/mod.ts";
import { realTest } from "../tools/real.ts";
import { errorOf, noise, sha256, text, utf8, valueOf } from "./flows.ts";
import { makeAuthority } from "./pki.ts";

const LOCAL = { hostname: "127.0.0.1", port: 0, onListen: () => {} } as const;

async function bodyOf(response: HttpResponse): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of response.body) chunks.push(chunk);
  return new Uint8Array(await new Blob(chunks.map((chunk) => chunk.slice())).arrayBuffer());
}

/** A server for one test, and a client of it. */
async function withServer(
  handler: (request: Request) => Response | Promise<Response>,
  body: (url: string, client: ReturnType<typeof createHttpClient>, port: number) => Promise<void>,
  options: HttpClientOptions = {},
): Promise<void> {
  const server = Deno.serve(LOCAL, handler);
  const client = createHttpClient(options);
  try {
    await body(`http://127.0.0.1:${server.addr.port}`, client, server.addr.port);
  } finally {
    client.close();
    await server.shutdown();
  }
}

/** A server that says exactly this to every connection. */
async function withTalker(
  answer: (flow: Flow) => Promise<void>,
  body: (url: string, client: ReturnType<typeof createHttpClient>) => Promise<void>,
  options: HttpClientOptions = {},
): Promise<void> {
  const listener = valueOf(listenTcp({ host: "127.0.0.1", port: 0, report: () => {} }, async (flow) => {
    await flow.read();
    await answer(flow);
  }));
  const client = createHttpClient(options);
  try {
    await body(`http://127.0.0.1:${listener.address.port}`, client);
  } finally {
    client.close();
    await listener.stop();
  }
}

Deno.test("http: status, headers in any case, body, and the URL it came from", async () => {
  await withServer(
    () => new Response("not here", { status: 404, headers: { "X-Told": "yes" } }),
    async (url, client) => {
      const response = valueOf(await client.request({ method: "GET", url: `${url}/a?b=c#d` }));
      equal(response.status, 404);
      equal(response.headers.get("x-tOLD"), "yes");
      equal(response.headers.get("x-none"), null);
      equal(response.url, `${url}/a?b=c`);
      equal(text(await bodyOf(response)), "not here");
    },
  );
});

Deno.test("http: a body of bytes goes with its length, one that is streamed in chunks; 20 MB both ways", async () => {
  const seen: (string | null)[] = [];
  await withServer((request) => {
    seen.push(request.headers.get("content-length"), request.headers.get("transfer-encoding"));
    return new Response(request.body);
  }, async (url, client) => {
    const bytes = noise(20_000_000);
    for (const body of [bytes, slices(bytes)]) {
      const response = valueOf(await client.request({ method: "POST", url, body }));
      equal(sha256(await bodyOf(response)), sha256(bytes));
    }
    deepEqual(seen, ["20000000", null, null, "chunked"]);
  });
});

Deno.test("http: an answer is read while the request is still being sent", async () => {
  await withServer((request) => new Response(request.body), async (url, client) => {
    const turn = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const body = async function* () {
      yield utf8("first");
      await turn[0].promise;
      yield utf8("second");
      await turn[1].promise;
    };
    const response = valueOf(await client.request({ method: "POST", url, body: body() }));
    const reader = response.body[Symbol.asyncIterator]();
    equal(text((await reader.next()).value), "first");
    turn[0].resolve();
    equal(text((await reader.next()).value), "second");
    turn[1].resolve();
    equal((await reader.next()).done, true);
  });
});

Deno.test("http: connections are kept between requests, also after a stream", async () => {
  const ports = new Set<number>();
  const server = Deno.serve(LOCAL, async (request, info) => {
    ports.add(info.remoteAddr.port);
    return new Response(await request.bytes());
  });
  const client = createHttpClient();
  const url = `http://127.0.0.1:${server.addr.port}`;
  for (let i = 0; i < 6; i++) {
    const body = [slices(noise(100_000)), undefined, noise(1000)][i % 3];
    await bodyOf(valueOf(await client.request({ method: body === undefined ? "GET" : "POST", url, body })));
  }
  equal(ports.size, 1);
  client.close();
  await server.shutdown();
});

Deno.test("http: a connection that the server closed while it was kept costs nobody anything", async () => {
  let connections = 0;
  await withTalker(async (flow) => {
    connections++;
    await flow.write(utf8("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
  }, async (url, client) => {
    for (let i = 0; i < 3; i++) {
      equal(text(await bodyOf(valueOf(await client.request({ method: "GET", url })))), "ok");
    }
    equal(connections, 3);
  });
});

Deno.test("http: redirects are followed on the same scheme, and tell another origin nothing of who we are", async () => {
  const seen: [string, string | null, string | null][] = [];
  const note = (place: string, request: Request) =>
    seen.push([place, request.headers.get("authorization"), request.headers.get("x-more")]);
  const other = Deno.serve(LOCAL, (request) => {
    note("other", request);
    return new Response("there");
  });
  const elsewhere = `http://127.0.0.1:${other.addr.port}/end`;
  await withServer((request) => {
    note("first", request);
    const { pathname } = new URL(request.url);
    return pathname === "/here"
      ? new Response(null, { status: 302, headers: { location: "/there" } })
      : new Response(null, { status: 307, headers: { location: elsewhere } });
  }, async (url, _client, port) => {
    const client = createHttpClient({
      credentials: [{ origin: `http://127.0.0.1:${port}`, username: "me", password: "secret" }],
    });
    const response = valueOf(
      await client.request({ method: "GET", url: `${url}/here`, headers: { "X-More": "1" } }),
    );
    equal(response.url, elsewhere);
    equal(text(await bodyOf(response)), "there");
    const own = `Basic ${btoa("me:secret")}`;
    deepEqual(seen.splice(0), [["first", own, "1"], ["first", own, "1"], ["other", null, "1"]]);
    // The same for what the caller itself puts there.
    const headers = { authorization: "Bearer x" };
    await bodyOf(valueOf(await client.request({ method: "GET", url: `${url}/there`, headers })));
    deepEqual(seen, [["first", "Bearer x", null], ["other", null, null]]);
    client.close();
  });
  await other.shutdown();
});

Deno.test("http: redirects to another scheme, without an end, of a POST or with credentials are errors", async () => {
  let location = "";
  await withServer(
    () => new Response("x", { status: 301, headers: { location } }),
    async (url, client) => {
      const cases: [string, "GET" | "POST", RegExp][] = [
        ["https://127.0.0.1:1/", "GET", /from http: to https:, which is not followed/],
        ["file:///etc/passwd", "GET", /to file:/],
        ["http://me:pw@127.0.0.1:1/", "GET", /credentials in it/],
        ["http://[nonsense", "GET", /no URL/],
        ["/again", "GET", /more than 5 times/],
        ["/again", "POST", /redirects a POST/],
      ];
      for (const [to, method, reason] of cases) {
        location = to;
        const error = errorOf(await client.request({ method, url }));
        equal(error.code, "protocol");
        match(error.message, reason);
      }
    },
  );
});

Deno.test("http: heads that are too large, no HTTP, or contradict themselves are errors", async () => {
  const cases: string[] = [
    "220 welcome, plain as day\r\n\r\n",
    `HTTP/1.1 200 OK\r\nX-Big: ${"x".repeat(40_000)}\r\n\r\n`,
    `HTTP/1.1 200 OK\r\n${"X-Many: 1\r\n".repeat(6_000)}\r\n`,
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "",
  ];
  for (const head of cases) {
    await withTalker((flow) => flow.write(utf8(head)), async (url, client) => {
      const error = errorOf(await client.request({ method: "GET", url }));
      equal(error.code, "protocol", `${head.slice(0, 40)}: ${error.message}`);
    });
  }
});

Deno.test("http: a body that is cut off is a reset, never an end", async () => {
  const cut = [
    "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
  ];
  for (const answer of cut) {
    await withTalker((flow) => flow.write(utf8(answer)), async (url, client) => {
      const response = valueOf(await client.request({ method: "GET", url }));
      const reader = response.body[Symbol.asyncIterator]();
      equal(text((await reader.next()).value), "half");
      await rejects(reader.next(), { name: "FlowError", code: "reset" });
    });
  }
  const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const rest of ["nonsense\r\n", `0\r\n${"X-Trailer: 1\r\n".repeat(10_000)}\r\n`]) {
    await withTalker((flow) => flow.write(utf8(chunked + rest)), async (url, client) => {
      const outcome = await client.request({ method: "GET", url });
      if (outcome.ok) await rejects(bodyOf(outcome.value), { name: "FlowError" });
      else equal(outcome.error.code, "protocol");
    });
  }
});

Deno.test("http: a server that is silent before, within or after the head is given up", async () => {
  const never = new Promise<void>(() => {});
  for (const told of ["", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"]) {
    await withTalker(async (flow) => {
      await flow.write(utf8(told));
      await Promise.race([never, flow.read()]);
    }, async (url, client) => {
      const outcome = await client.request({ method: "GET", url });
      if (outcome.ok) await rejects(bodyOf(outcome.value), { name: "FlowError", code: "timeout" });
      else equal(outcome.error.code, "timeout");
    }, { idleMs: 60 });
  }
});

Deno.test("http: drops that keep coming still end at the limit for all of it", async () => {
  const drip = async (flow: Flow) => {
    await flow.write(utf8("HTTP/1.1 200 OK\r\n\r\n"));
    for (;;) {
      await flow.write(utf8("x"));
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  await withTalker(drip, async (url, client) => {
    const response = valueOf(await client.request({ method: "GET", url, timeoutMs: 150 }));
    await rejects(bodyOf(response), { name: "FlowError", code: "timeout" });
  });
});

Deno.test("http: a server that reads nothing makes the body wait, and the idle limit ends it", async () => {
  const listener = valueOf(
    listenTcp({ host: "127.0.0.1", port: 0, report: () => {} }, () => new Promise(() => {})),
  );
  const client = createHttpClient({ idleMs: 150 });
  let given = 0;
  let returned = false;
  const body = async function* () {
    try {
      for (;;) {
        given++;
        yield noise(1 << 20);
      }
    } finally {
      returned = true;
    }
  };
  const url = `http://127.0.0.1:${listener.address.port}`;
  const error = errorOf(await client.request({ method: "POST", url, body: body() }));
  equal(error.code, "timeout");
  ok(given < 16, `${given} MiB were taken for a server that reads nothing`);
  await new Promise((resolve) => setTimeout(resolve, 0));
  ok(returned, "the body's source is told");
  client.close();
  await listener.stop();
});

Deno.test("http: a server that refuses gets no more of the body, and its answer is read", async () => {
  let taken = 0;
  await withTalker(async (flow) => {
    await flow.write(utf8("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno"));
    while (await flow.read() !== undefined);
  }, async (url, client) => {
    const refused = Promise.withResolvers<void>();
    const body = async function* () {
      yield utf8("first");
      await refused.promise;
      for (;; taken++) yield utf8("more");
    };
    const response = valueOf(await client.request({ method: "POST", url, body: body() }));
    refused.resolve();
    equal(response.status, 401);
    equal(text(await bodyOf(response)), "no");
    ok(taken < 3);
  });
});

Deno.test("http: a body that fails at its source fails the request with that cause", async () => {
  await withServer(async (request) => {
    await request.body?.pipeTo(new WritableStream()).catch(() => {});
    return new Response("x");
  }, async (url, client) => {
    const body = async function* () {
      yield utf8("first");
      await Promise.resolve();
      throw new Error("the disk is gone");
    };
    const error = errorOf(await client.request({ method: "POST", url, body: body() }));
    equal(error.code, "aborted");
    match(error.message, /the disk is gone/);
  });
});

Deno.test("http: a caller may give up while connecting, waiting or reading; closing ends all that is under way", async () => {
  const never = new Promise<void>(() => {});
  await withTalker(async (flow) => {
    await flow.write(utf8("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"));
    await Promise.race([never, flow.read()]);
  }, async (url, client) => {
    const gone = errorOf(await client.request({ method: "GET", url, signal: AbortSignal.abort() }));
    equal(gone.code, "aborted");
    const controller = new AbortController();
    const response = valueOf(await client.request({ method: "GET", url, signal: controller.signal }));
    const reader = response.body[Symbol.asyncIterator]();
    equal(text((await reader.next()).value), "half");
    controller.abort();
    await rejects(reader.next(), { name: "FlowError", code: "closed" });

    const another = valueOf(await client.request({ method: "GET", url }));
    const reading = bodyOf(another);
    client.close();
    await rejects(reading, { name: "FlowError", code: "closed" });
    equal(errorOf(await client.request({ method: "GET", url })).code, "aborted");
  });
  const slow = createHttpClient({ lookup: () => new Promise(() => {}) });
  const controller = new AbortController();
  const asking = slow.request({ method: "GET", url: "http://slow.test/", signal: controller.signal });
  controller.abort();
  equal(errorOf(await asking).code, "aborted");
  slow.close();
});

Deno.test("http: giving up while nobody reads is told to the next who does", async () => {
  const never = new Promise<void>(() => {});
  await withTalker(async (flow) => {
    await flow.write(utf8("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"));
    await Promise.race([never, flow.read()]);
  }, async (url, client) => {
    for (const how of ["abort", "close"]) {
      const controller = new AbortController();
      const response = valueOf(await client.request({ method: "GET", url, signal: controller.signal }));
      const reader = response.body[Symbol.asyncIterator]();
      equal(text((await reader.next()).value), "half");
      if (how === "abort") controller.abort();
      else client.close();
      for (let turns = 0; turns < 5; turns++) await new Promise((resolve) => setTimeout(resolve, 0));
      await rejects(reader.next(), { name: "FlowError", code: "closed" });
    }
  });
});

Deno.test("http: a connection serves many requests, and not for ever", async () => {
  const ports = new Set<number>();
  const server = Deno.serve(LOCAL, (_request, info) => {
    ports.add(info.remoteAddr.port);
    return new Response("x");
  });
  const client = createHttpClient();
  const url = `http://127.0.0.1:${server.addr.port}`;
  for (let i = 0; i < 250; i++) await bodyOf(valueOf(await client.request({ method: "GET", url })));
  equal(ports.size, 3);
  client.close();
  await server.shutdown();
});

Deno.test("http: nobody there is every attempt with its cause; what is no HTTP URL is not asked", async () => {
  const client = createHttpClient({ lookup: () => Promise.resolve(["127.0.0.2", "127.0.0.1"]) });
  const nobody = errorOf(await client.request({ method: "GET", url: "http://two.test:1/" }));
  equal(nobody.code, "refused");
  match(nobody.message, /tcp 127\.0\.0\.2:1: .*; tcp 127\.0\.0\.1:1: /);
  equal(errorOf(await client.request({ method: "GET", url: "ftp://x/" })).code, "not-applicable");
  equal(errorOf(await client.request({ method: "GET", url: "nonsense" })).code, "unconfigured");
  const inUrl = errorOf(await client.request({ method: "GET", url: "https://me:pw@x.test/" }));
  equal(inUrl.code, "unconfigured");
  ok(!inUrl.message.includes("pw"));
  await rejects(
    client.request({ method: "GET", url: "http://x.test/", headers: { Host: "y.test" } }),
    RangeError,
  );
  client.close();
});

Deno.test("http: credentials that cannot be are said so, and never shown", async () => {
  const cases: [HttpClientOptions["credentials"], RegExp][] = [
    [[{ origin: "x.test", username: "a", password: "hush" }], /https:\/\/host:port is wanted/],
    [[{ origin: "https://x.test/path", username: "a", password: "hush" }], /is wanted/],
    [[{ origin: "https://x.test", username: "a:b", password: "hush" }], /cannot be sent/],
    [[{ origin: "https://x.test", token: "hush\r\nX: y" }], /cannot be sent/],
    [[{ origin: "https://x.test", token: "hush" }, { origin: "https://x.test:443", token: "hush" }], /two/],
  ];
  for (const [credentials, reason] of cases) {
    const client = createHttpClient({ credentials });
    const error = errorOf(await client.request({ method: "GET", url: "https://x.test/" }));
    equal(error.code, "unconfigured");
    match(error.message, reason);
    ok(!error.message.includes("hush"));
    client.close();
  }
});

realTest(
  "https: own roots are trusted alone, and the name is checked",
  { needs: ["openssl"] },
  async ({ dir }) => {
    const [ours, theirs] = [await makeAuthority(dir), await makeAuthority(dir)];
    const server = Deno.serve(
      { ...LOCAL, ...await ours.issue("zones.test", ["127.0.0.1"]) },
      () => new Response("in"),
    );
    const { port } = server.addr;
    const lookup = () => Promise.resolve(["127.0.0.1"]);
    const ask = async (url: string, roots?: string[]) => {
      const client = createHttpClient({ lookup, roots });
      const outcome = await client.request({ method: "GET", url });
      const told = outcome.ok
        ? text(await bodyOf(outcome.value))
        : `${outcome.error.code}: ${outcome.error.message}`;
      client.close();
      return told;
    };
    equal(await ask(`https://zones.test:${port}/`, [ours.root]), "in");
    equal(await ask(`https://zones.test:${port}/`, [theirs.root, ours.root]), "in");
    equal(await ask(`https://127.0.0.1:${port}/`, [ours.root]), "in");
    match(await ask(`https://other.test:${port}/`, [ours.root]), /^tls: .*altnames/);
    match(await ask(`https://zones.test:${port}/`, [theirs.root]), /^tls: .*UNABLE_TO_VERIFY/);
    match(await ask(`https://zones.test:${port}/`), /^tls: .*UNABLE_TO_VERIFY/);
    match(await ask(`https://zones.test:${port}/`, ["nonsense"]), /^unconfigured: .*not a PEM certificate/);
    // Plain HTTP to a port that speaks TLS, and the other way round, are errors and nothing else.
    match(await ask(`http://zones.test:${port}/`), /^protocol: /);
    await server.shutdown();
  },
);

async function* slices(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 100_000) yield bytes.slice(at, at + 100_000);
}

Deno.test("http: the environment's proxies are read as curl reads them", () => {
  const ask = (url: string, environment: Record<string, string>) => {
    const found = proxyFromEnvironment(url, (name) => environment[name]);
    return found.ok ? found.value : found.error;
  };
  const proxied = { url: "http://proxy.test:3128/" };
  deepEqual(ask("https://a.test/", { https_proxy: "http://proxy.test:3128" }), proxied);
  deepEqual(ask("https://a.test/", { HTTPS_PROXY: "proxy.test:3128" }), proxied);
  deepEqual(ask("https://a.test/", { http_proxy: "http://proxy.test:3128" }), undefined);
  deepEqual(ask("http://a.test/", { http_proxy: "http://proxy.test:3128" }), proxied);
  deepEqual(ask("http://a.test/", { HTTP_PROXY: "http://proxy.test:3128" }), undefined);
  deepEqual(ask("http://a.test/", { all_proxy: "http://u%40:p@proxy.test:3128" }), {
    ...proxied,
    username: "u@",
    password: "p",
  });
  equal(ask("http://a.test/", { http_proxy: "http://[" }), "the environment's proxy is no URL");
  const except: [string, string, boolean][] = [
    ["*", "https://a.test/", true],
    ["a.test", "https://a.test/", true],
    [".test", "https://a.test/", true],
    ["other, a.test", "https://b.a.test:8443/", true],
    ["a.test:8443", "https://a.test/", false],
    ["a.test:443", "https://a.test/", true],
    ["xa.test", "https://a.test/", false],
    ["test.a", "https://a.test/", false],
    ["::1", "https://[::1]:8443/", true],
    ["127.0.0.1", "https://127.0.0.1/", true],
  ];
  for (const [no_proxy, url, direct] of except) {
    const found = ask(url, { https_proxy: "http://proxy.test:3128", no_proxy });
    equal(found === undefined, direct, `${no_proxy} ${url}`);
  }
});
