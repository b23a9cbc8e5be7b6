import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import {
  connect,
  createMemoryNetwork,
  createRegistry,
  memoryPair,
  memoryResolver,
} from "../../conduit/mod.ts";
import { errorOf, noise, readAll, sha256, text, utf8, valueOf } from "./flows.ts";

Deno.test("memory: what one end writes the other reads, both ways, and each side ends for itself", async () => {
  const [a, b] = memoryPair();
  await a.write(utf8("question"));
  await a.end();
  equal(text(await readAll(b)), "question");
  await b.write(utf8("answer"));
  await b.end();
  equal(text(await readAll(a)), "answer");
});

Deno.test("memory: a writer waits while more than the capacity lies unread", async () => {
  const [a, b] = memoryPair({ capacity: 1000 });
  const sent = noise(10_000);
  let written = 0;
  const writing = (async () => {
    for (let at = 0; at < sent.length; at += 100) {
      await a.write(sent.subarray(at, at + 100));
      written = at + 100;
    }
    await a.end();
  })();
  await new Promise((resolve) => setTimeout(resolve, 0));
  equal(written, 1000);
  equal(sha256(await readAll(b)), sha256(sent));
  await writing;
});

Deno.test("memory: a buffer may be used again after its write", async () => {
  const [a, b] = memoryPair();
  const buffer = utf8("one");
  await a.write(buffer);
  buffer.set(utf8("two"));
  equal(text(await b.read()), "one");
});

Deno.test("memory: closing breaks the other side's read and a waiting write, and one's own", async () => {
  const [a, b] = memoryPair({ capacity: 10 });
  const reading = rejects(b.read(), { code: "reset" });
  const writing = rejects(b.write(noise(100)), { code: "reset" });
  a.close();
  a.close();
  await Promise.all([reading, writing]);
  await rejects(a.read(), { code: "closed" });
  await rejects(a.write(utf8("x")), { code: "closed" });
});

Deno.test("memory: bytes that were ended before a close are still read", async () => {
  const [a, b] = memoryPair();
  await a.write(utf8("last words"));
  await a.end();
  a.close();
  equal(text(await readAll(b)), "last words");
  await rejects(b.write(utf8("x")), { code: "reset" });
});

Deno.test("memory: a write after the end is an error", async () => {
  const [a] = memoryPair();
  await a.end();
  await rejects(a.write(utf8("x")), { code: "closed" });
});

Deno.test("memory: a network connects names; an unknown one is refused", async () => {
  const network = createMemoryNetwork();
  const registry = createRegistry().with(memoryResolver(network));
  const stop = network.listen("zones", async (flow) => {
    await flow.write(utf8("hello"));
    await flow.end();
  });
  const flow = valueOf(await connect(registry, { scheme: "memory", host: "zones" }));
  equal(text(await readAll(flow)), "hello");
  stop();
  const failure = errorOf(await connect(registry, { scheme: "memory", host: "zones" }));
  deepEqual(failure.attempts.map(({ code }) => code), ["refused"]);
  ok(failure.message.includes("nobody listens as zones"));
});
