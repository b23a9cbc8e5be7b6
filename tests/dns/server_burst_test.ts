/** Many queries at once: answers that leave in one call, and in one message, are each client's own and complete. */
import { deepEqual, equal, ok } from "node:assert/strict";
import {
  answerQuery,
  createAnswerContext,
  createImageBoard,
  type DnsServer,
  nameFrom,
  nameToWire,
  startDnsServer,
} from "../../dns/mod.ts";
import { realTest } from "../tools/real.ts";
import { zoneOf } from "./answer_zones.ts";
import { type BurstClient, burstClient, type Datagram } from "./burst_client.ts";
import { rawSocket, whyNotRaw } from "./raw_socket.ts";

Deno.test("three hundred queries of one length from one socket are all answered", async () => {
  await holding(LOOPBACK, async ({ places: [place], held, release }) => {
    using clients = await clientsAt("127.0.0.1");
    const [client] = clients.all;
    await held();
    const queries = Array.from({ length: 300 }, (_, id) => asked(id, 100));
    client.send(queries.map((query) => ({ query, ...place })));
    await release();
    await receiveOwn(client, queries, place);
  });
});

Deno.test("answers of many lengths to several sockets at once reach each its own, none twice", async () => {
  const random = randomBelow(1);
  await holding(LOOPBACK, async ({ places: [place], held, release }) => {
    using clients = await clientsAt(...Array<string>(6).fill("127.0.0.1"));
    for (let round = 0; round < 6; round++) {
      // Sometimes few lengths and sometimes many; the longest go alone, for no message has room for many of them.
      const some = Array.from({ length: [0, 2, 3, 8, 40, 60][round] }, () => random(LONGEST + 1));
      const lengths = round === 0 ? [LONGEST] : some;
      const queries = clients.all.map(() =>
        Array.from({ length: 60 }, (_, id) => asked(id, lengths[random(lengths.length)]))
      );
      await held();
      for (const turn of queries[0].keys()) {
        for (const [i, client] of clients.all.entries()) {
          client.send([{ query: queries[i][turn], ...place }]);
        }
      }
      await release();
      await Promise.all(clients.all.map((client, i) => receiveOwn(client, queries[i], place)));
    }
  });
});

Deno.test("bursts that nobody holds back are answered as well", async () => {
  const random = randomBelow(2);
  await holding(LOOPBACK, async ({ places: [place] }) => {
    using clients = await clientsAt(...Array<string>(4).fill("127.0.0.1"));
    for (let round = 0; round < 5; round++) {
      await Promise.all(clients.all.map(async (client) => {
        const queries = Array.from({ length: 100 }, (_, id) => asked(id, random(round * 200 + 1)));
        client.send(queries.map((query) => ({ query, ...place })));
        await receiveOwn(client, queries, place);
      }));
    }
  });
});

for (
  const { title, listen, hosts, from } of [
    { title: "over IPv6", listen: ["::1"], hosts: ["::1"], from: ["::1", "::1"] },
    {
      title: "at a wildcard address, from the address that was asked,",
      listen: ["0.0.0.0"],
      hosts: ["127.0.0.2", "127.0.0.1", "127.0.0.77"],
      from: ["127.0.0.1", "127.0.0.1", "127.0.0.2"],
    },
    {
      title: "at IPv6's wildcard address beside one of IPv4",
      listen: ["::", "127.0.0.1"],
      hosts: ["::1", "127.0.0.1"],
      from: ["::1", "127.0.0.1", "::1", "127.0.0.1"],
    },
  ]
) {
  Deno.test(`bursts ${title} are answered to each its own`, async () => {
    const random = randomBelow(3);
    await holding(listen, async ({ places, held, release }) => {
      const placeOf = (host: string) => {
        const at = listen.findIndex((address) => address.includes(":") === host.includes(":"));
        return { host, port: places[at].port };
      };
      using clients = await clientsAt(...from);
      for (let round = 0; round < 3; round++) {
        const bursts = clients.all.map((_, i) =>
          Array.from({ length: 80 }, (_, id) => {
            const reachable = hosts.filter((host) => host.includes(":") === from[i].includes(":"));
            return {
              query: asked(id, round === 0 ? 50 : random(400)),
              ...placeOf(reachable[random(reachable.length)]),
            };
          })
        );
        await held();
        clients.all.forEach((client, i) => client.send(bursts[i]));
        await release();
        await Promise.all(clients.all.map((client, i) => receiveAll(client, bursts[i])));
      }
    });
  });
}

Deno.test("a client that has gone costs the others no answer", async () => {
  await holding(LOOPBACK, async ({ server, places: [place], held, release }) => {
    using clients = await clientsAt("127.0.0.1", "127.0.0.1");
    const gone = await burstClient("127.0.0.1");
    const queries = clients.all.map(() => Array.from({ length: 50 }, (_, id) => asked(id, id % 3 * 100)));
    for (let round = 0; round < 3; round++) {
      await held();
      for (const turn of queries[0].keys()) {
        for (const [i, client] of clients.all.entries()) {
          client.send([{ query: queries[i][turn], ...place }]);
          if (round === 0) gone.send([{ query: asked(turn, 100), ...place }]);
        }
      }
      if (round === 0) gone[Symbol.dispose]();
      await release();
      await Promise.all(clients.all.map((client, i) => receiveOwn(client, queries[i], place)));
    }
    // What nobody waits for is answered too: that nobody waits is not known. Each client asks a last time, and so does who holds.
    equal(server.counters().answers, 100 + 3 * (100 + 2 + 1));
  });
});

realTest("answers that the system refuses to send cost the others none", {
  needs: [],
  ignore: await whyNotRaw(),
}, async () => {
  using raw = await rawSocket();
  const random = randomBelow(4);
  await holding(LOOPBACK, async ({ server, places: [place], held, release }) => {
    using clients = await clientsAt("127.0.0.1", "127.0.0.1", "127.0.0.1");
    let refused = 0;
    for (let round = 0; round < 4; round++) {
      const queries = clients.all.map(() =>
        Array.from({ length: 50 }, (_, id) => asked(id, round % 2 === 0 ? 60 : random(300)))
      );
      await held();
      for (const turn of queries[0].keys()) {
        for (const [i, client] of clients.all.entries()) {
          // From port 0 (RFC 768: none), where no answer can go. One in a batch of single messages, several in one message.
          if (turn % 10 === 3 && i <= round) {
            raw.sendFromPort(0, asked(turn, 60), place);
            refused++;
          }
          client.send([{ query: queries[i][turn], ...place }]);
        }
      }
      await release();
      await Promise.all(clients.all.map((client, i) => receiveOwn(client, queries[i], place)));
      const { sendErrors, drops } = server.counters();
      ok(refused > 0);
      equal(sendErrors + drops, refused);
    }
  });
});

/** A server of one worker, which a test can hold while it asks. */
interface Held {
  readonly server: DnsServer;
  /** As bound, in the order of the hosts. */
  readonly places: readonly Place[];
  /** From now until `release` the worker takes nothing. */
  readonly held: () => Promise<void>;
  readonly release: () => Promise<void>;
}

const LOOPBACK = ["127.0.0.1"];
/** With the rest of the message as long as a UDP answer may be. */
const LONGEST = 1150;
const LAST = 0xfffe;

const board = createImageBoard([
  zoneOf(
    "b.test.",
    `@ 60 SOA a b 1 2 3 4 5\n${
      Array.from({ length: LONGEST + 1 }, (_, octets) => `t${octets} 60 TXT ${strings(octets)}\n`).join("")
    }`,
  ),
]);

async function holding(hosts: readonly string[], body: (held: Held) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "bailiwick-test-" });
  const gate = `${dir}/gate`;
  const hold = Uint8Array.of(0x40, 0x1d, ...new Uint8Array(10), ...new TextEncoder().encode(gate));
  const started = await startDnsServer({
    listen: hosts.map((host) => ({ host, port: 0 })),
    workers: 1,
    board,
    respond: () => Promise.resolve(undefined),
    log: (line) => {
      throw new Error(line);
    },
    workerModule: new URL("./held_worker.ts", import.meta.url),
  });
  if (!started.ok) throw new Error(started.error.message);
  const server = started.value;
  equal(server.mode, "batched");
  let holder: BurstClient | undefined;
  const first = server.addresses[0];
  const reached = first.host === "0.0.0.0" ? "127.0.0.1" : first.host === "::" ? "::1" : first.host;
  const release = async () => {
    await Deno.remove(gate);
    await holder?.receive(1);
  };
  try {
    holder = await burstClient(reached);
    await body({
      server,
      places: server.addresses,
      async held() {
        await Deno.writeFile(gate, new Uint8Array());
        holder?.send([{ query: hold, host: reached, port: first.port }]);
        while (!await exists(`${gate}.held`)) await new Promise((resolve) => setTimeout(resolve, 1));
        await Deno.remove(`${gate}.held`);
      },
      release,
    });
  } finally {
    await Deno.remove(gate).catch(() => {});
    holder?.[Symbol.dispose]();
    await server.stop();
    await Deno.remove(dir, { recursive: true });
  }
}

interface Place {
  readonly host: string;
  readonly port: number;
}

/** Receives exactly the answers to these; what is asked after them is answered next. */
async function receiveOwn(client: BurstClient, queries: readonly Uint8Array[], place: Place): Promise<void> {
  await receiveAll(client, queries.map((query) => ({ query, ...place })));
}

async function receiveAll(
  client: BurstClient,
  sent: readonly (Place & { readonly query: Uint8Array })[],
): Promise<void> {
  const answersTo = (messages: typeof sent) =>
    told(messages.map(({ query, ...place }) => ({ octets: expected(query), ...place })));
  deepEqual(told(await client.receive(sent.length)), answersTo(sent));
  // Nothing came twice: the answer to a later question is the only one.
  const last = [{ ...sent[0], query: asked(LAST, 7) }];
  client.send(last);
  deepEqual(told(await client.receive(1)), answersTo(last));
  equal(client.left().length, 0);
}

/** Datagrams in the order of their octets, readable where they differ. */
function told(datagrams: readonly Datagram[]): string[] {
  return datagrams.map(({ octets, host, port }) => `${octets.toHex()} from ${host} ${port}`).toSorted();
}

function expected(query: Uint8Array): Uint8Array {
  const out = new Uint8Array(1232);
  return out.slice(0, answerQuery(board.current(), query, query.length, out, context));
}

const context = createAnswerContext("udp");

/** A query for the TXT record of so many octets. */
function asked(id: number, octets: number): Uint8Array {
  const name = nameToWire(nameFrom(`t${octets}.b.test.`));
  const head = [id >>> 8, id & 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
  return Uint8Array.of(...head, ...name, 0, 16, 0, 1, 0, 0, 41, 1232 >> 8, 1232 & 0xff, 0, 0, 0, 0, 0, 0);
}

/** Character strings (RFC 1035 §3.3) of so many octets in all. */
function strings(octets: number): string {
  const full = Array<string>(Math.floor(octets / 250)).fill(`"${"x".repeat(250)}"`);
  return [...full, `"${"y".repeat(octets % 250)}"`].join(" ");
}

async function clientsAt(...hosts: readonly string[]) {
  const all = await Promise.all(hosts.map(burstClient));
  return {
    all,
    [Symbol.dispose]() {
      for (const client of all) client[Symbol.dispose]();
    },
  };
}

/** The same numbers every time (mulberry32). */
function randomBelow(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = state + 0x6d2b79f5 | 0;
    let mixed = Math.imul(state ^ state >>> 15, state | 1);
    mixed ^= mixed + Math.imul(mixed ^ mixed >>> 7, mixed | 61);
    return ((mixed ^ mixed >>> 14) >>> 0) % limit;
  };
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
