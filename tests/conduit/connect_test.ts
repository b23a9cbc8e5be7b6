import { deepEqual, equal, match, notEqual, ok } from "node:assert/strict";
import {
  connect,
  ConnectError,
  createRegistry,
  type Flow,
  listenTcp,
  memoryPair,
  type Protocol,
  type Resolver,
  tcpResolver,
  tlsResolver,
} from "../../conduit/mod.ts";
import { errorOf, readAll, text, utf8, valueOf } from "./flows.ts";

interface Recorded {
  readonly tried: string[];
}

/** A resolver whose protocol fails for every candidate but those that are named good. */
function fake(
  name: string,
  priority: number,
  candidates: readonly string[],
  record: Recorded,
  options: { good?: readonly string[]; security?: "plain" | "secure" } = {},
): Resolver<{ readonly address: string }> {
  const protocol: Protocol<{ readonly address: string }> = {
    name,
    security: options.security ?? "plain",
    connect({ address }) {
      record.tried.push(`${name} ${address}`);
      return Promise.resolve(
        options.good?.includes(address)
          ? { ok: true, value: memoryPair()[0] }
          : { ok: false, error: new ConnectError("refused", `${address} says no`) },
      );
    },
  };
  return {
    name,
    priority,
    protocol,
    resolve: () =>
      Promise.resolve({
        applies: true,
        candidates: candidates.map((address) => ({ target: `${name} ${address}`, config: { address } })),
      }),
  };
}

Deno.test("a registry is not changed by adding to it", () => {
  const empty = createRegistry();
  const one = empty.with(tcpResolver());
  const two = one.with(tlsResolver());
  deepEqual([empty, one, two].map((registry) => registry.routes.length), [0, 1, 2]);
  notEqual(one, two);
});

Deno.test("routes are tried by priority, equals in the order of registration, each address in turn", async () => {
  const record: Recorded = { tried: [] };
  const registry = createRegistry()
    .with(fake("low", 1, ["a"], record))
    .with(fake("first", 5, ["b", "c"], record))
    .with(fake("second", 5, ["d"], record, { good: ["d"] }));
  const outcome = await connect(registry, { scheme: "tcp", host: "h", port: 1 });
  ok(outcome.ok);
  deepEqual(record.tried, ["first b", "first c", "second d"]);
});

Deno.test("a failure lists every attempt with protocol, target, priority and cause, and who did not apply", async () => {
  const record: Recorded = { tried: [] };
  const registry = createRegistry().with(fake("x", 7, ["a", "b"], record)).with(tlsResolver());
  const failure = errorOf(await connect(registry, { scheme: "tcp", host: "h", port: 1 }));
  deepEqual(
    failure.attempts.map(({ protocol, target, priority, code }) => ({ protocol, target, priority, code })),
    [
      { protocol: "x", target: "x a", priority: 7, code: "refused" },
      { protocol: "x", target: "x b", priority: 7, code: "refused" },
      { protocol: "tls", target: "tcp h:1", priority: 0, code: "not-applicable" },
    ],
  );
  match(failure.attempts[1].cause.message, /b says no/);
  match(failure.message, /x a: a says no; x b: b says no/);
});

Deno.test("a protocol less secure than the endpoint asks for is never tried", async () => {
  const record: Recorded = { tried: [] };
  const registry = createRegistry().with(fake("plain", 100, ["a"], record, { good: ["a"] }));
  for (
    const endpoint of [
      { scheme: "tls", host: "h", port: 1 },
      { scheme: "ssh", host: "h", port: 1, user: "git", command: "c" },
    ] as const
  ) {
    const failure = errorOf(await connect(registry, endpoint));
    deepEqual(failure.attempts.map(({ code }) => code), ["insecure"]);
  }
  deepEqual(record.tried, []);
});

Deno.test("a registry without protocols says so", async () => {
  const failure = errorOf(await connect(createRegistry(), { scheme: "tcp", host: "h", port: 1 }));
  match(failure.message, /no protocol is registered/);
});

Deno.test("tcp: every address of a name is tried until one answers", async () => {
  const listener = valueOf(listenTcp({ host: "127.0.0.1", port: 0 }, async (flow: Flow) => {
    await flow.write(utf8("here"));
    await flow.end();
  }));
  try {
    // 127.0.0.2 is on loopback too, and nobody listens there.
    const lookup = () => Promise.resolve(["127.0.0.2", "127.0.0.1"]);
    const registry = createRegistry().with(tcpResolver({ lookup }));
    const endpoint = { scheme: "tcp", host: "two.test", port: listener.address.port } as const;
    const flow = valueOf(await connect(registry, endpoint));
    equal(text(await readAll(flow)), "here");
    flow.close();
  } finally {
    await listener.stop();
  }
  const registry = createRegistry().with(
    tcpResolver({ lookup: () => Promise.resolve(["127.0.0.2", "127.0.0.1"]) }),
  );
  const failure = errorOf(
    await connect(registry, { scheme: "tcp", host: "two.test", port: listener.address.port }),
  );
  deepEqual(failure.attempts.map(({ target, code }) => [target, code]), [
    [`tcp 127.0.0.2:${listener.address.port}`, "refused"],
    [`tcp 127.0.0.1:${listener.address.port}`, "refused"],
  ]);
});

Deno.test("tcp: a name that does not resolve is an attempt with its cause", async () => {
  const lookup = () => Promise.reject(new Error("ENOTFOUND"));
  const failure = errorOf(
    await connect(createRegistry().with(tcpResolver({ lookup })), {
      scheme: "tcp",
      host: "no.test",
      port: 1,
    }),
  );
  deepEqual(failure.attempts.map(({ code }) => code), ["name"]);
  match(failure.message, /no\.test was not resolved: ENOTFOUND/);
});

Deno.test("a silent lookup ends at the time limit, and a caller may give up before", async () => {
  const registry = createRegistry().with(tcpResolver({ lookup: () => new Promise(() => {}) }));
  const endpoint = { scheme: "tcp", host: "slow.test", port: 1 } as const;
  const late = errorOf(await connect(registry, endpoint, { timeoutMs: 10 }));
  deepEqual(late.attempts.map(({ code }) => code), ["timeout"]);
  const controller = new AbortController();
  const connecting = connect(registry, endpoint, { signal: controller.signal });
  controller.abort();
  deepEqual(errorOf(await connecting).attempts.map(({ code }) => code), ["aborted"]);
});
