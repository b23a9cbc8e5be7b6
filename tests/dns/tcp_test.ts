import { deepEqual, equal, ok } from "node:assert/strict";
import fc from "fast-check";
import { type Flow, memoryPair } from "../../conduit/mod.ts";
import { buildMessage } from "../../dns/message/build.ts";
import { messageId } from "../../dns/message/header.ts";
import { queryFor } from "../../dns/message/respond.ts";
import { createResponder } from "../../dns/server/responder.ts";
import { serveFlow, startTcpServer } from "../../dns/server/tcp.ts";
import { createFrameReader, frame } from "../../dns/server/tcp_frames.ts";
import { realTest, run } from "../tools/real.ts";
import { overTcp, toyServer } from "./responder_server.ts";
import { at, toyZone } from "./update_zone.ts";

const ZONE = ["@ 3600 SOA ns1 host 10 1 2 3 4", "@ 3600 NS ns1", "www 300 A 192.0.2.1"];

Deno.test("messages are cut out of a stream however its octets arrive", () => {
  const messages = fc.array(fc.uint8Array({ maxLength: 2000 }), { maxLength: 8 });
  fc.assert(fc.property(messages, fc.infiniteStream(fc.integer({ min: 1, max: 3000 })), (sent, sizes) => {
    const stream = Uint8Array.from(sent.flatMap((message) => [...frame(message)]));
    const reader = createFrameReader();
    const received: Uint8Array[] = [];
    for (let from = 0; from < stream.length;) {
      const to = from + sizes.next().value;
      reader.push(stream.subarray(from, to));
      from = to;
      for (let message = reader.next(); message !== undefined; message = reader.next()) {
        received.push(message);
      }
    }
    deepEqual(received, sent);
    equal(reader.pending, 0);
  }));
});

Deno.test("queries sent together are all answered, the quick not waiting for the slow", async () => {
  const [client, server] = memoryPair();
  const slow = Promise.withResolvers<Uint8Array>();
  const served = serveFlow(server, {
    answer: (query, out) => {
      if (messageId(query) === 1) return -1;
      out.set(query);
      return query.length;
    },
    respond: () => slow.promise,
  });
  const queries = [1, 2, 3].map(queryWith);
  await client.write(Uint8Array.from(queries.flatMap((query) => [...frame(query)])));
  const answers = reader(client);
  equal(messageId(await answers()), 2);
  equal(messageId(await answers()), 3);
  slow.resolve(queries[0]);
  equal(messageId(await answers()), 1);
  // The client ends its side and still gets what it is owed.
  await client.write(frame(queryWith(4)));
  await client.end();
  equal(messageId(await answers()), 4);
  equal(await client.read(), undefined);
  await served;
});

Deno.test("connections served at the same time get their own answers", async () => {
  const echo = {
    answer: (query: Uint8Array, out: Uint8Array) => {
      out.set(query);
      return query.length;
    },
    respond: () => Promise.resolve(undefined),
  };
  const pairs = Array.from({ length: 8 }, () => memoryPair());
  const served = pairs.map(([, server]) => serveFlow(server, echo));
  await Promise.all(pairs.map(([client], id) => client.write(frame(queryWith(id)))));
  const ids = await Promise.all(pairs.map(async ([client]) => messageId(await reader(client)())));
  deepEqual(ids, [0, 1, 2, 3, 4, 5, 6, 7]);
  await Promise.all(pairs.map(([client]) => client.end()));
  await Promise.all(served);
});

Deno.test("a fault while answering is SERVFAIL for that query, in the log once, and the connection goes on", async () => {
  const [client, server] = memoryPair();
  const faults: unknown[] = [];
  const answer = (query: Uint8Array, out: Uint8Array) => {
    if (messageId(query) === 1) throw new Error("on purpose");
    out.set(query);
    return query.length;
  };
  const respond = createResponder({
    answer,
    lookupKey: () => undefined,
    update: () => Promise.reject(new Error("there is no update here")),
    now: Date.now,
    log: (event) => faults.push(event.kind === "failed" && String(event.cause)),
  });
  const served = serveFlow(server, { answer, respond });
  const answers = reader(client);
  for (const id of [1, 2]) {
    await client.write(frame(queryWith(id)));
    const reply = await answers();
    equal(messageId(reply), id);
    equal(reply[3] & 15, id === 1 ? 2 : 0);
  }
  deepEqual(faults, ["Error: on purpose"]);
  await client.end();
  await served;
});

Deno.test("no more queries are taken than may be at work", async () => {
  const [client, server] = memoryPair();
  const waiting: ((answer: Uint8Array | undefined) => void)[] = [];
  let most = 0;
  let at_work = 0;
  const served = serveFlow(server, {
    answer: () => -1,
    respond: () => {
      most = Math.max(most, ++at_work);
      return new Promise((resolve) =>
        waiting.push((answer) => {
          at_work--;
          resolve(answer);
        })
      );
    },
    limits: { maxPipelined: 3 },
  });
  await client.write(Uint8Array.from(Array.from({ length: 20 }, (_, n) => [...frame(queryWith(n))]).flat()));
  const answers = reader(client);
  for (let n = 0; n < 20; n++) {
    while (waiting.length === 0) await new Promise((resolve) => setTimeout(resolve));
    waiting.shift()?.(queryWith(n));
    equal(messageId(await answers()), n);
  }
  equal(most, 3);
  await client.end();
  await served;
});

Deno.test("garbage and half messages end nothing but their own connection", async () => {
  await overTcp(toyServer(toyZone(ZONE), []), async ({ host, port }) => {
    for (const garbage of [[0, 0], [0, 1, 7], [255, 255, 1, 2, 3], [0, 12, ...new Array(12).fill(255)]]) {
      const connection = await Deno.connect({ hostname: host, port });
      await connection.write(Uint8Array.from(garbage));
      connection.close();
    }
    using connection = await Deno.connect({ hostname: host, port });
    await connection.write(frame(queryWith(5)));
    equal((await firstAnswer(connection))[1], 5);
  });
});

Deno.test("a client that is silent, drips, or is one too many is let go", async () => {
  const server = toyServer(toyZone(ZONE), []);
  await overTcp(server, async ({ host, port }) => {
    using silent = await Deno.connect({ hostname: host, port });
    equal(await silent.read(new Uint8Array(1)), null);
  }, { idleMs: 20 });
  await overTcp(server, async ({ host, port }) => {
    using dripping = await Deno.connect({ hostname: host, port });
    // Every drop but the last comes in time, and the message as a whole does not.
    let ended = false;
    const end = dripping.read(new Uint8Array(1)).catch(() => null).finally(() => ended = true);
    await dripping.write(Uint8Array.of(255, 255));
    while (!ended) {
      await dripping.write(Uint8Array.of(1)).catch(() => ended = true);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    equal(await end, null);
  }, { messageMs: 20 });
  await overTcp(server, async ({ host, port }) => {
    using first = await Deno.connect({ hostname: host, port });
    await first.write(frame(queryWith(1)));
    await firstAnswer(first);
    using second = await Deno.connect({ hostname: host, port });
    equal(await second.read(new Uint8Array(1)).catch(() => null), null);
  }, { maxPerAddress: 1 });
});

Deno.test("a port in use is a typed error that names it", async () => {
  const server = toyServer(toyZone(ZONE), []);
  await overTcp(server, ({ host, port }) => {
    const second = startTcpServer({ listen: { host, port }, answer: server.answer, respond: server.respond });
    ok(!second.ok);
    equal(second.error.code, "in-use");
    ok(second.error.message.includes(`${host}:${port}`));
    return Promise.resolve();
  });
});

realTest("kdig keeps one connection for many queries, and dig gets an answer too long for UDP", {
  needs: ["dig", "kdig"],
}, async () => {
  const zone = toyZone([...ZONE, ...Array.from({ length: 200 }, (_, i) => `big 300 A 192.0.2.${i}`)]);
  await overTcp(toyServer(zone, []), async ({ host, port }) => {
    const queries = Array.from({ length: 20 }, () => ["www.example.test", "A"]).flat();
    const many = await run("kdig", [
      `@${host}`,
      "-p",
      String(port),
      "+tcp",
      "+keepopen",
      "+short",
      ...queries,
    ]);
    deepEqual(many.stdout.trim().split("\n"), new Array(20).fill("192.0.2.1"));
    const long = await run("dig", [
      `@${host}`,
      "-p",
      String(port),
      "+tcp",
      "+short",
      "big.example.test",
      "A",
    ]);
    equal(long.stdout.trim().split("\n").length, 200);
  });
});

function queryWith(id: number): Uint8Array {
  return buildMessage(queryFor({ name: at("www"), type: 1 }, { id }));
}

/** Reads one message after the other off a flow. */
function reader(flow: Flow): () => Promise<Uint8Array> {
  const frames = createFrameReader();
  return async () => {
    for (;;) {
      const message = frames.next();
      if (message !== undefined) return message;
      const bytes = await flow.read();
      if (bytes === undefined) throw new Error("the flow ended");
      frames.push(bytes);
    }
  };
}

async function firstAnswer(connection: Deno.Conn): Promise<Uint8Array> {
  const frames = createFrameReader();
  const buffer = new Uint8Array(1000);
  for (;;) {
    const message = frames.next();
    if (message !== undefined) return message;
    const count = await connection.read(buffer);
    if (count === null) throw new Error("the connection ended");
    frames.push(buffer.subarray(0, count));
  }
}
