/** Several workers under load: one that dies, zones that come and go, and numbers that are read all the while. */
import { deepEqual, equal, ok } from "node:assert/strict";
import {
  answerQuery,
  createAnswerContext,
  createImageBoard,
  createImageSet,
  type DnsCounters,
  type DnsServer,
  type DnsServerOptions,
  nameFrom,
  nameToWire,
  startDnsServer,
  type Zone,
} from "../../dns/mod.ts";
import { zoneOf } from "./answer_zones.ts";
import { type Client, clientsOf } from "./socket_clients.ts";

Deno.test("while a worker dies and is replaced the others answer every query, and their TCP connections stay", async () => {
  const log: string[] = [];
  const zone = zoneOf("test.", `@ 60 SOA a b 1 2 3 4 5\n${hosts(100)}`);
  const board = createImageBoard([zone]);
  const expected = answersOf([zone]);
  const workerModule = new URL("./marked_worker.ts", import.meta.url);
  await serving({ board, workers: 3, workerModule, log: (line) => log.push(line) }, async (server, port) => {
    using clients = await clientsOf(port, { udp: 24, tcp: 40 });
    const marks = new Map<Client, string>();
    for (const client of clients.all) marks.set(client, await markOf(client));
    equal(new Set(marks.values()).size, 3, "three workers serve");
    // Through the socket of a victim that has clients of both kinds.
    const killer = clients.udp[0];
    const dying = marks.get(killer);
    const others = clients.all.filter((client) => marks.get(client) !== dying);
    for (const kind of [clients.udp, clients.tcp]) {
      ok(kind.some((client) => marks.get(client) === dying), "the one that dies has clients");
      ok(kind.some((client) => marks.get(client) !== dying), "the others have clients");
    }

    let asking = true;
    let asked = 0;
    const loops = others.map(async (client) => {
      for (let id = 0; asking; id = (id + 1) % 1000) {
        const query = question(id, `n${id % 100}.test.`);
        deepEqual(await client.ask(query), expected(query));
        asked++;
      }
    });
    for (let death = 0; death < 3; death++) {
      const before = asked;
      while (asked < before + 200) await turn();
      await killer.send(Uint8Array.of(0xde, 0xad, ...new Uint8Array(10)));
      while (log.length <= death) await turn();
      // Its sockets stay, and what waits in them is for the next one.
      const query = question(death, "n7.test.");
      deepEqual(await killer.ask(query), expected(query));
      equal(log.length, death + 1);
    }
    asking = false;
    await Promise.all(loops);

    ok(log.every((line) => /failed .*a death on purpose.*replaced in \d+ ms/.test(line)), log.join("\n"));
    for (const client of others) equal(await markOf(client), marks.get(client));
    ok(await markOf(killer) !== dying);
    const lost = clients.tcp.filter((client) => marks.get(client) === dying);
    for (const client of lost) equal(await client.receive(), undefined, "its connections are closed");
    equal(server.counters().tcp.open, clients.tcp.length - lost.length);
    // New ones are served, by whichever worker.
    using next = await clientsOf(port, { udp: 12, tcp: 12 });
    for (const client of next.all) {
      const query = question(9, "n9.test.");
      deepEqual(await client.ask(query), expected(query));
    }
  });
});

Deno.test("zones come and go by the hundred, and every answer is one of the two right ones", async () => {
  const parent = zoneOf("test.", `@ 60 SOA a b 1 2 3 4 5\n@ 60 NS ns\n* 60 TXT "above"\n`);
  const children = Array.from(
    { length: 300 },
    (_, i) => zoneOf(`z${i}.test.`, `@ 60 SOA a b ${i} 2 3 4 5\n@ 60 NS ns\nwww 60 TXT "below ${i}"\n`),
  );
  const withIt = answersOf([parent, ...children]);
  const without = answersOf([parent]);
  const board = createImageBoard([parent]);
  await serving({ board, workers: 2 }, async (server, port) => {
    using clients = await clientsOf(port, { udp: 6, tcp: 6 });
    let asking = true;
    let below = 0;
    let above = 0;
    const loops = clients.all.map(async (client, number) => {
      for (let id = number; asking; id = (id + 7) % 6000) {
        const query = question(id, `www.z${id % 300}.test.`, TXT);
        const answer = (await client.ask(query)).toHex();
        if (answer === withIt(query).toHex()) below++;
        else if (answer === without(query).toHex()) above++;
        else throw new Error(`neither with nor without z${id % 300}: ${answer}`);
      }
    });
    for (let round = 0; round < 120; round++) {
      const kept = children.filter((_, i) => (i * 7 + round * 13) % 97 % 2 === 0);
      board.publish(round % 20 === 19 ? [parent] : [parent, ...kept]);
      const seen = below + above;
      while (below + above < seen + 20) await turn();
      if (round % 30 !== 0) continue;
      // What was published is answered from then on, by whoever is asked.
      const now = answersOf([parent, ...kept]);
      using fresh = await clientsOf(port, { udp: 2, tcp: 2 });
      for (const client of fresh.all) {
        for (let i = 0; i < 300; i += 17) {
          const query = question(i, `www.z${i}.test.`, TXT);
          deepEqual(await client.ask(query), now(query));
        }
      }
    }
    asking = false;
    await Promise.all(loops);
    ok(below > 100 && above > 100, `${below} with, ${above} without`);
    equal(server.counters().faults, 0);
  });
});

Deno.test("numbers read under load never fall, and at the end they are what was asked", async () => {
  const zone = zoneOf("test.", `@ 60 SOA a b 1 2 3 4 5\n${hosts(10)}n1 60 TXT "x"\n`);
  const board = createImageBoard([zone]);
  const started = await start({ board, workers: 3 });
  const { port } = started.addresses[0];
  const ASKED = 300;
  let reads = 0;
  {
    using clients = await clientsOf(port, { udp: 8, tcp: 4 });
    let last = flat(started.counters());
    const read = () => {
      const next = flat(started.counters());
      for (const [name, value] of last) {
        if (name !== "tcp.open") ok((next.get(name) ?? 0) >= value, `${name} fell from ${value}`);
      }
      last = next;
      reads++;
    };
    let asking = true;
    const reader = (async () => {
      for (; asking; await turn()) read();
    })();
    await Promise.all(clients.all.map(async (client) => {
      for (let i = 0; i < ASKED; i++) {
        const query = i % 3 === 0 ? question(i, "n1.test.", TXT) : question(i, `n${i % 20}.test.`);
        const answer = await client.ask(query);
        equal(answer[3] & 0x0f, i % 3 !== 0 && i % 20 >= 10 ? NXDOMAIN : 0);
        read();
      }
      // No answer: a response.
      await client.send(question(1, "n1.test.").with(2, 0x80));
      await client.ask(question(2, "n2.test."));
    }));
    asking = false;
    await reader;
    equal(started.counters().tcp.open, 4);
  }
  await started.stop();
  const counters = started.counters();
  const range = Array.from({ length: ASKED }, (_, i) => i);
  const denied = range.filter((i) => i % 3 !== 0 && i % 20 >= 10).length;
  ok(reads > 12 * ASKED);
  equal(counters.queries, 12 * (ASKED + 2));
  deepEqual(counters.transports, { udp4: 8 * (ASKED + 2), udp6: 0, tcp4: 4 * (ASKED + 2), tcp6: 0 });
  deepEqual(counters.types, { A: 12 * (ASKED - 100 + 2), TXT: 12 * 100 });
  equal(counters.answers, 12 * (ASKED + 1));
  equal(counters.drops, 12);
  equal(counters.rcodes[NXDOMAIN], 12 * denied);
  equal(counters.rcodes[0], 12 * (ASKED + 1 - denied));
  for (const parts of [counters.rcodes, counters.sizes, counters.latencies]) {
    equal(parts.reduce((sum, part) => sum + part), counters.answers);
  }
  equal(counters.faults + counters.sendErrors + counters.truncated + counters.slow, 0);
  deepEqual([counters.tcp.open, counters.tcp.accepted, counters.tcp.refused], [0, 4, 0]);
  equal(counters.tcp.closed.client + counters.tcp.closed.stopped, 4);
});

const A = 1;
const TXT = 16;
const NXDOMAIN = 3;

/** Which worker answers this client. */
async function markOf(client: Client): Promise<string> {
  const answer = await client.ask(Uint8Array.of(0x1d, 0x1d, ...new Uint8Array(10)));
  equal(answer.length, 20);
  return answer.subarray(12).toHex();
}

async function serving(
  change: Partial<DnsServerOptions> & Pick<DnsServerOptions, "board">,
  body: (server: DnsServer, port: number) => Promise<void>,
): Promise<void> {
  const server = await start(change);
  try {
    await body(server, server.addresses[0].port);
  } finally {
    await server.stop();
  }
}

async function start(
  change: Partial<DnsServerOptions> & Pick<DnsServerOptions, "board">,
): Promise<DnsServer> {
  const started = await startDnsServer({
    listen: [{ host: "127.0.0.1", port: 0 }],
    workers: 2,
    respond: () => Promise.resolve(undefined),
    log: () => {},
    ...change,
  });
  if (!started.ok) throw new Error(started.error.message);
  equal(started.value.mode, "batched");
  return started.value;
}

/** What these zones answer, by the algorithm itself. */
function answersOf(zones: readonly Zone[]): (query: Uint8Array) => Uint8Array {
  const images = createImageSet(zones.map((zone) => zone.image));
  const context = createAnswerContext("udp");
  const out = new Uint8Array(1232);
  return (query) => out.slice(0, answerQuery(images, query, query.length, out, context));
}

/** All numbers by name. */
function flat(counters: DnsCounters): Map<string, number> {
  const all = new Map<string, number>();
  const walk = (name: string, value: unknown) => {
    if (typeof value === "number") all.set(name.slice(1), value);
    else for (const [key, part] of Object.entries(value ?? {})) walk(`${name}.${key}`, part);
  };
  walk("", counters);
  return all;
}

function hosts(count: number): string {
  return Array.from({ length: count }, (_, i) => `n${i} 60 A 10.0.0.${i}\n`).join("");
}

function question(id: number, name: string, type = A): Uint8Array {
  return Uint8Array.of(
    ...[id >>> 8, id & 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0],
    ...nameToWire(nameFrom(name)),
    ...[0, type, 0, 1],
  );
}

function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}
