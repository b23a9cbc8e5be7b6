import { deepEqual, equal, ok } from "node:assert/strict";
import {
  createImageBoard,
  DEFAULT_SETTINGS,
  type DnsServer,
  type DnsServerOptions,
  startDnsServer,
} from "../../dns/mod.ts";
import { createFrameReader, frame } from "../../dns/server/tcp_frames.ts";
import { realTest, run } from "../tools/real.ts";
import { ask } from "./answer_servers.ts";
import { zoneOf } from "./answer_zones.ts";

for (const ffi of [true, false]) {
  const way = ffi ? "batched" : "portable";

  realTest(`dig and kdig read our answers over TCP, long ones too (${way})`, {
    needs: ["dig", "kdig"],
  }, async () => {
    await serving({ ffi, workers: 2 }, async (server, port) => {
      const at = ["@127.0.0.1", "-p", `${port}`, "+tcp"];
      equal((await run("dig", [...at, "n7.test", "A", "+short"])).stdout.trim(), "10.0.0.7");
      const long = await run("dig", [...at, "big.test", "TXT", "+short"]);
      equal(long.stdout.trim().split("\n").length, 500);
      const names = Array.from({ length: 50 }, (_, i) => [`n${i}.test`, "A"]).flat();
      const many = await run("kdig", [...at, "+keepopen", "+short", ...names]);
      deepEqual(many.stdout.trim().split("\n"), Array.from({ length: 50 }, (_, i) => `10.0.0.${i}`));
      const counters = server.counters();
      equal(counters.transports.tcp4, 52);
      equal(counters.types.TXT, 1);
      equal(counters.truncated, 0);
      equal(counters.rcodes[0], 52);
    });
  });

  Deno.test(`a query that comes octet by octet is answered, and so are 500 that come at once (${way})`, async () => {
    await serving({ ffi }, async (_, port) => {
      using client = await connect(port);
      for (const octet of frame(question(9, "n9"))) await client.write(Uint8Array.of(octet));
      deepEqual([...(await client.answer() ?? []).slice(-4)], [10, 0, 0, 9]);
      const ids = Array.from({ length: 500 }, (_, id) => id);
      await client.write(
        bytesOf(ids.map((id) => frame(question(id, id % 50 === 3 ? "big" : `n${id % 50}`)))),
      );
      const seen = new Set<number>();
      for (const _ of ids) {
        const answer = await client.answer() ?? new Uint8Array(12);
        const id = answer[0] << 8 | answer[1];
        seen.add(id);
        if (id % 50 === 3) ok(answer.length > 5000 && (answer[2] & 2) === 0);
        else deepEqual([...answer.slice(-4)], [10, 0, 0, id % 50]);
      }
      equal(seen.size, 500);
    });
  });

  Deno.test(`the quick do not wait for the slow, and who has ended gets what it is owed (${way})`, async () => {
    const gate = Promise.withResolvers<void>();
    const respond: DnsServerOptions["respond"] = async (query, { protocol, peer }) => {
      await gate.promise;
      return new Uint8Array([
        ...query.subarray(0, 2),
        ...new TextEncoder().encode(`${protocol} ${peer?.address}`),
      ]);
    };
    await serving({ ffi, respond }, async (server, port) => {
      using client = await connect(port);
      await client.write(bytesOf([frame(update(1)), frame(question(2, "n2"))]));
      equal((await client.answer())?.[1], 2);
      await client.end();
      gate.resolve();
      const slow = await client.answer();
      equal(slow?.[1], 1);
      equal(new TextDecoder().decode(slow?.subarray(2)), "tcp 127.0.0.1");
      equal(await client.answer(), undefined);
      equal(server.counters().slow, 1);
    });
  });

  Deno.test(`of one connection no more messages are at work than may be (${way})`, async () => {
    let atWork = 0;
    let most = 0;
    const waiting: (() => void)[] = [];
    const respond: DnsServerOptions["respond"] = (query) => {
      most = Math.max(most, ++atWork);
      return new Promise((resolve) =>
        waiting.push(() => {
          atWork--;
          resolve(query.slice(0, 12));
        })
      );
    };
    await serving({ ffi, respond, tcp: { maxPipelined: 3 } }, async (_, port) => {
      using client = await connect(port);
      await client.write(bytesOf(Array.from({ length: 20 }, (_, id) => frame(update(id)))));
      for (let n = 0; n < 20; n++) {
        while (waiting.length === 0) await new Promise((resolve) => setTimeout(resolve));
        waiting.shift()?.();
        equal((await client.answer())?.[1], n);
      }
      equal(most, 3);
    });
  });

  Deno.test(`who is silent, drips a message, or is one too many is let go (${way})`, async () => {
    await serving({ ffi, tcp: { idleMs: 20 } }, async (_, port) => {
      using silent = await connect(port);
      equal(await silent.answer(), undefined);
    });
    await serving({ ffi, tcp: { messageMs: 20 } }, async (_, port) => {
      using dripping = await connect(port);
      await dripping.write(Uint8Array.of(255, 255));
      let ended = false;
      const end = dripping.answer().then((answer) => {
        ended = true;
        return answer;
      });
      while (!ended) {
        await dripping.write(Uint8Array.of(1)).catch(() => {});
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      equal(await end, undefined);
    });
    await serving({ ffi, tcp: { maxPerAddress: 1 } }, async (server, port) => {
      using first = await connect(port);
      await first.write(frame(question(1, "n1")));
      ok(await first.answer());
      using second = await connect(port);
      equal(await second.answer(), undefined);
      equal(server.counters().tcp.refused, 1);
      equal(server.counters().tcp.open, 1);
    });
  });

  Deno.test(`garbage ends nothing but its own connection (${way})`, async () => {
    await serving({ ffi }, async (server, port) => {
      for (const garbage of [[0, 0], [0, 1, 7], [255, 255, 1, 2, 3], [0, 12, ...new Array(12).fill(255)]]) {
        using client = await connect(port);
        await client.write(Uint8Array.from(garbage));
      }
      using client = await connect(port);
      await client.write(bytesOf([[0, 0, 0, 1, 7], frame(question(5, "n5"))]));
      equal((await client.answer())?.[1], 5);
      equal(server.counters().faults, 0);
    });
  });

  Deno.test(`who does not read its answers is let go, and costs the others nothing (${way})`, async () => {
    await serving({ ffi, tcp: { idleMs: 300 } }, async (server, port) => {
      using stubborn = await connect(port);
      const queries = bytesOf(Array.from({ length: 200 }, (_, id) => frame(question(id, "big"))));
      let gone = false;
      const writing = (async () => {
        for (;;) await stubborn.write(queries);
      })().catch(() => gone = true);
      while (!gone) {
        equal((await ask(port, question(1, "n1"), 3000))?.[7], 1);
        using other = await connect(port);
        await other.write(frame(question(2, "n2")));
        equal((await other.answer())?.[1], 2);
      }
      await writing;
      if (ffi) equal(server.counters().tcp.closed.unread, 1);
    });
  });

  Deno.test(`what is under way when the server stops is answered still (${way})`, async () => {
    const gate = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    const respond: DnsServerOptions["respond"] = async (query) => {
      begun.resolve();
      await gate.promise;
      return query.slice(0, 12);
    };
    const server = await start({ ffi, respond });
    using client = await connect(server.addresses[0].port);
    await client.write(frame(update(8)));
    await begun.promise;
    const stopped = server.stop();
    gate.resolve();
    equal((await client.answer())?.[1], 8);
    await stopped;
    equal(await client.answer(), undefined);
  });
}

Deno.test("both ways give the same octets, over UDP and TCP", async () => {
  const queries = [
    question(1, "n1"),
    question(2, "big"),
    question(3, "nothing"),
    question(4, "n4", 255),
    question(5, "big", 16, 1232),
    question(6, "n6", 28, 4096),
    question(7, "n7").with(5, 0),
    question(8, "n8").with(5, 2),
    question(9, "n9").subarray(0, 20),
    question(10, "n10", 1, 1232).fill(99, 30),
  ];
  const answers: (readonly number[])[][] = [];
  for (const ffi of [true, false]) {
    await serving({ ffi }, async (_, port) => {
      using client = await connect(port);
      const mine: (readonly number[])[] = [];
      for (const query of queries) {
        mine.push([...await ask(port, query, 3000) ?? []]);
        await client.write(frame(query));
        mine.push([...await client.answer() ?? []]);
      }
      answers.push(mine);
    });
  }
  ok(answers[0].every((answer) => answer.length >= 12));
  deepEqual(answers[0], answers[1]);
});

Deno.test("where no more connections may be, the one that was idle for longest makes room", async () => {
  await serving({ tcp: { maxConnections: 3 } }, async (server, port) => {
    const clients: Client[] = [];
    for (let i = 0; i < 3; i++) {
      const client = await connect(port);
      await client.write(frame(question(i, `n${i}`)));
      ok(await client.answer());
      clients.push(client);
    }
    await clients[0].write(frame(question(9, "n9")));
    ok(await clients[0].answer());
    using late = await connect(port);
    await late.write(frame(question(4, "n4")));
    equal((await late.answer())?.[1], 4);
    equal(await clients[1].answer(), undefined);
    for (const still of [clients[0], clients[2]]) {
      await still.write(frame(question(5, "n5")));
      equal((await still.answer())?.[1], 5);
    }
    const { open, closed, accepted } = server.counters().tcp;
    deepEqual([open, closed.crowded, accepted], [3, 1, 4]);
    for (const client of clients) client[Symbol.dispose]();
  });
});

Deno.test("two thousand idle connections keep nobody waiting, and each is answered", async () => {
  await serving({ workers: 2, tcp: { maxPerAddress: 3000, idleMs: 60_000 } }, async (server, port) => {
    const clients: Client[] = [];
    for (let i = 0; i < 2000; i++) clients.push(await connect(port));
    for (let i = 0; i < 100; i++) equal((await ask(port, question(i, "n1"), 3000))?.[1], i);
    equal(server.counters().tcp.open, 2000);
    await Promise.all(clients.map(async (client, id) => {
      await client.write(frame(question(id, `n${id % 50}`)));
      const answer = await client.answer() ?? new Uint8Array(12);
      equal(answer[0] << 8 | answer[1], id);
      deepEqual([...answer.slice(-4)], [10, 0, 0, id % 50]);
    }));
    for (const client of clients) client[Symbol.dispose]();
    while (server.counters().tcp.open > 0) await ask(port, question(1, "n1"), 100);
    equal(server.counters().tcp.closed.client, 2000);
  });
});

Deno.test("TCP connections of a worker that dies are closed, and new ones are served", async () => {
  const workerModule = new URL("./faulty_worker.ts", import.meta.url);
  await serving({ workerModule }, async (server, port) => {
    using client = await connect(port);
    await client.write(frame(question(1, "n1")));
    ok(await client.answer());
    equal(await ask(port, question(0xdead, "n1"), 20), undefined);
    equal(await client.answer(), undefined);
    using next = await connect(port);
    await next.write(frame(question(2, "n2")));
    equal((await next.answer())?.[1], 2);
    equal(server.counters().tcp.open, 1);
  });
});

Deno.test("new settings reach connections that are open", async () => {
  await serving({ tcp: { idleMs: 60_000 } }, async (server, port) => {
    using client = await connect(port);
    await client.write(frame(question(1, "n1")));
    ok(await client.answer());
    server.setSettings({ ...DEFAULT_SETTINGS, keepalive: 1 });
    equal(await client.answer(), undefined);
    equal(server.counters().tcp.closed.idle, 1);
  });
});

for (const ffi of [true, false]) {
  Deno.test(`a limit holds for UDP and not for TCP, and can be taken back (${ffi ? "batched" : "portable"})`, async () => {
    const rateLimit = {
      perSecond: 1,
      slip: 0,
      ipv4Prefix: 24,
      ipv6Prefix: 56,
      exempt: [],
      buckets: 1024,
    };
    await serving({ ffi, rateLimit }, async (server, port) => {
      const replies = await Promise.all(Array.from({ length: 20 }, () => ask(port, question(1, "n1"), 300)));
      ok(replies.filter((reply) => reply !== undefined).length <= 3);
      ok(server.counters().limited >= 17);
      using client = await connect(port);
      for (let i = 0; i < 20; i++) {
        await client.write(frame(question(i, "n1")));
        equal((await client.answer())?.[1], i);
      }
      server.setSettings(DEFAULT_SETTINGS);
      while (await ask(port, question(1, "n1"), 100) === undefined);
      for (let i = 0; i < 20; i++) equal((await ask(port, question(i, "n1"), 3000))?.[1], i);
    });
  });
}

interface Client extends Disposable {
  write(bytes: Uint8Array): Promise<void>;
  /** Ends our side. */
  end(): Promise<void>;
  /** The next message; `undefined` when the server has closed. */
  answer(): Promise<Uint8Array | undefined>;
}

async function connect(port: number): Promise<Client> {
  const connection = await Deno.connect({ hostname: "127.0.0.1", port });
  const frames = createFrameReader();
  const buffer = new Uint8Array(65_536);
  return {
    async write(bytes) {
      for (let from = 0; from < bytes.length;) from += await connection.write(bytes.subarray(from));
    },
    end: () => connection.closeWrite(),
    async answer() {
      for (;;) {
        const message = frames.next();
        if (message !== undefined) return message;
        const count = await connection.read(buffer).catch(() => null);
        if (count === null) return undefined;
        frames.push(buffer.subarray(0, count));
      }
    },
    [Symbol.dispose]: () => connection.close(),
  };
}

async function serving(
  change: Partial<DnsServerOptions>,
  body: (server: DnsServer, port: number) => Promise<void>,
): Promise<void> {
  const server = await start(change);
  try {
    await body(server, server.addresses[0].port);
  } finally {
    await server.stop();
  }
}

async function start(change: Partial<DnsServerOptions>): Promise<DnsServer> {
  const started = await startDnsServer({
    listen: [{ host: "127.0.0.1", port: 0 }],
    workers: 1,
    board: createImageBoard([zone()]),
    respond: (query) => Promise.resolve(query),
    log: () => {},
    ...change,
  });
  if (!started.ok) throw new Error(started.error.message);
  return started.value;
}

/** Fifty small names and one with an answer of 20 KB. */
function zone() {
  const names = Array.from({ length: 50 }, (_, i) => `n${i} A 10.0.0.${i}\n`).join("");
  const texts = Array.from({ length: 500 }, (_, i) => `big TXT "${String(i).padStart(30, "0")}"\n`).join("");
  return zoneOf("test.", `$TTL 60\n@ SOA a b 1 2 3 4 5\n${names}${texts}`);
}

function question(id: number, label: string, type = label === "big" ? 16 : 1, udpSize = 0): Uint8Array {
  const name = [label.length, ...new TextEncoder().encode(label), 4, ...new TextEncoder().encode("test"), 0];
  const opt = udpSize === 0 ? [] : [0, 0, 41, udpSize >>> 8, udpSize & 0xff, 0, 0, 0, 0, 0, 0];
  const header = [id >>> 8, id & 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 0, opt.length === 0 ? 0 : 1];
  return Uint8Array.from([...header, ...name, 0, type, 0, 1, ...opt]);
}

function update(id: number): Uint8Array {
  return Uint8Array.of(0, id, 0x28, 0, 0, 0, 0, 0, 0, 0, 0, 0);
}

function bytesOf(parts: readonly Iterable<number>[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}
