import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import {
  connect,
  createRegistry,
  type Flow,
  type ListenEvent,
  listenTcp,
  tcpResolver,
} from "../../conduit/mod.ts";
import { errorOf, noise, readAll, sha256, text, utf8, valueOf } from "./flows.ts";

const registry = createRegistry().with(tcpResolver());
const dial = async (port: number) =>
  valueOf(await connect(registry, { scheme: "tcp", host: "127.0.0.1", port }));

Deno.test("tcp: 8 MiB go there and back unchanged, and half-close ends one direction only", async () => {
  const listener = valueOf(listenTcp({ host: "127.0.0.1", port: 0 }, async (flow) => {
    const all = await readAll(flow);
    await flow.write(all);
    await flow.end();
  }));
  const sent = noise(8 << 20);
  const flow = await dial(listener.address.port);
  await flow.write(sent);
  await flow.end();
  equal(sha256(await readAll(flow)), sha256(sent));
  equal(await flow.read(), undefined);
  flow.close();
  await rejects(flow.read(), { code: "closed" });
  await listener.stop();
});

Deno.test("tcp: a port in use is an error that names address and port", async () => {
  const listener = valueOf(listenTcp({ host: "127.0.0.1", port: 0 }, () => {}));
  const error = errorOf(listenTcp({ host: "127.0.0.1", port: listener.address.port }, () => {}));
  equal(error.code, "in-use");
  match(error.message, new RegExp(`127\\.0\\.0\\.1:${listener.address.port}`));
  await listener.stop();
  equal(errorOf(listenTcp({ host: "203.0.113.1", port: 0 }, () => {})).code, "no-address");
});

Deno.test("tcp: connections over a limit are closed and reported; a place that is given back is used", async () => {
  const events: ListenEvent[] = [];
  const options = {
    host: "127.0.0.1",
    port: 0,
    maxConnections: 2,
    report: (event: ListenEvent) => events.push(event),
  };
  const listener = valueOf(listenTcp(options, async (flow) => {
    await flow.write(utf8("in"));
    await readAll(flow);
  }));
  const first = await dial(listener.address.port);
  const second = await dial(listener.address.port);
  equal(text(await first.read()), "in");
  equal(text(await second.read()), "in");
  equal(listener.connections, 2);
  const third = await dial(listener.address.port);
  equal(await refusedOrEnded(third), true);
  deepEqual(events.map(({ kind }) => kind), ["refused"]);
  await first.end();
  equal(await first.read(), undefined); // the server closed, so its place is free
  const fourth = await dial(listener.address.port);
  equal(text(await fourth.read()), "in");
  for (const flow of [first, second, third, fourth]) flow.close();
  await listener.stop();
});

Deno.test("tcp: the limit for one address stands beside the limit for all", async () => {
  const events: ListenEvent[] = [];
  const listener = valueOf(listenTcp({
    host: "127.0.0.1",
    port: 0,
    maxPerAddress: 1,
    report: (event) => events.push(event),
  }, async (flow) => {
    await flow.write(utf8("in"));
    await readAll(flow);
  }));
  const first = await dial(listener.address.port);
  equal(text(await first.read()), "in");
  const second = await dial(listener.address.port);
  equal(await refusedOrEnded(second), true);
  match(events[0].kind === "refused" ? events[0].reason : "", /1 connections from 127\.0\.0\.1/);
  first.close();
  second.close();
  await listener.stop();
});

Deno.test("tcp: a handler that fails costs its own connection and is reported", async () => {
  const events: ListenEvent[] = [];
  const options = { host: "127.0.0.1", port: 0, report: (event: ListenEvent) => events.push(event) };
  const listener = valueOf(listenTcp(options, () => Promise.reject(new Error("boom"))));
  const flow = await dial(listener.address.port);
  ok(await refusedOrEnded(flow));
  flow.close();
  await listener.stop();
  deepEqual(events.map((event) => event.kind === "handler-failed" && String(event.cause)), ["Error: boom"]);
});

Deno.test("tcp: a peer that stays silent past the idle limit is cut off", async () => {
  const outcome = Promise.withResolvers<unknown>();
  const listener = valueOf(listenTcp({ host: "127.0.0.1", port: 0, idleMs: 20 }, async (flow: Flow) => {
    await flow.read().catch((error) => outcome.resolve(error.code));
  }));
  const flow = await dial(listener.address.port);
  equal(await outcome.promise, "timeout");
  ok(await refusedOrEnded(flow));
  flow.close();
  await listener.stop();
});

Deno.test("tcp: a peer that never reads blocks the writer, and is cut off at the idle limit", async () => {
  const outcome = Promise.withResolvers<{ code: string; written: number }>();
  const listener = valueOf(listenTcp({ host: "127.0.0.1", port: 0, idleMs: 100 }, async (flow: Flow) => {
    const chunk = noise(1 << 20);
    let written = 0;
    try {
      for (; written < 500; written++) await flow.write(chunk);
      outcome.resolve({ code: "none", written });
    } catch (error) {
      outcome.resolve({
        code: error instanceof Error && "code" in error ? String(error.code) : "?",
        written,
      });
    }
  }));
  const flow = await dial(listener.address.port);
  const { code, written } = await outcome.promise;
  equal(code, "timeout");
  ok(written < 100, `${written} MiB were taken from a writer whose peer reads nothing`);
  flow.close();
  await listener.stop();
});

Deno.test("tcp: stop ends although a handler waits for ever", async () => {
  const listener = valueOf(listenTcp({ host: "127.0.0.1", port: 0 }, (flow) => readAll(flow).then(() => {})));
  const flow = await dial(listener.address.port);
  await flow.write(utf8("x"));
  await listener.stop();
  ok(await refusedOrEnded(flow));
  flow.close();
  const failure = errorOf(
    await connect(registry, { scheme: "tcp", host: "127.0.0.1", port: listener.address.port }),
  );
  equal(failure.attempts[0].code, "refused");
});

/** Whether the peer ended or reset, as opposed to sending something. */
async function refusedOrEnded(flow: Flow): Promise<boolean> {
  try {
    return (await flow.read()) === undefined;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "reset";
  }
}
