import { deepEqual, equal, ok } from "node:assert/strict";
import {
  createImageBoard,
  DEFAULT_SETTINGS,
  type DnsServer,
  type DnsServerOptions,
  startDnsServer,
} from "../../dns/mod.ts";
import { parseMessage } from "../../dns/message/parse.ts";
import { ask } from "./answer_servers.ts";
import { allZones, zoneOf } from "./answer_zones.ts";
import { run } from "../tools/real.ts";

Deno.test("a change of two owners is seen whole or not at all, and by every worker at once", async () => {
  let zone = mailZone(0);
  const board = createImageBoard([zone]);
  await serving({ board, workers: 3 }, async (_, port) => {
    let published = 0;
    let asking = true;
    const seen = new Set<number>();
    // Each socket has a port of its own, so that the system spreads them over the workers.
    const readers = Array.from({ length: 6 }, async () => {
      while (asking) {
        const least = published;
        const reply = await ask(port, question(MX, "m", "test"), 3000);
        ok(reply);
        // The preference stands at one owner, the last octet of the address at another one.
        const { answers, additionals } = parsed(reply);
        const preference = answers[0].rdata[1];
        equal(additionals.find(({ type }) => type === A)?.rdata[3], preference);
        ok(preference >= least, `${preference} after ${least} was published`);
        seen.add(preference);
      }
    });
    for (let number = 1; number <= 200; number++) {
      const target = mailZone(number);
      const changes = [...target.owners()].map((owner) => ({ owner, rrsets: target.rrsets(owner) }));
      const next = zone.patched(changes);
      ok(next.ok);
      zone = next.value;
      board.publish([zone]);
      published = number;
      if (number % 10 === 0) await ask(port, question(MX, "m", "test"), 3000);
    }
    asking = false;
    await Promise.all(readers);
    ok(seen.size > 1, "readers saw but one version");
  });
});

for (const ffi of [true, false]) {
  const way = ffi ? "batched" : "portable";

  Deno.test(`a cookie of one server is good at another one with the same secret, and at no other (${way})`, async () => {
    const secret = (octet: number) => ({
      ...DEFAULT_SETTINGS,
      cookieSecrets: [new Uint8Array(16).fill(octet)],
    });
    const opt = (cookie: Uint8Array) =>
      withOpt(question(A, "multi", "example", "test"), 1232, COOKIE, cookie);
    await serving({ ffi, settings: secret(1) }, async (_, first) => {
      const made = cookieIn(await ask(first, opt(new Uint8Array(8).fill(7)), 3000));
      equal(made.length, 24);
      await serving({ ffi, settings: secret(1) }, async (_, same) => {
        // One that is young enough comes back as it is (RFC 9018 §4.3).
        deepEqual(cookieIn(await ask(same, opt(made), 3000)), made);
      });
      await serving({ ffi, settings: secret(2) }, async (_, other) => {
        const anew = cookieIn(await ask(other, opt(made), 3000));
        deepEqual(anew.subarray(0, 8), made.subarray(0, 8));
        ok(anew.some((octet, i) => octet !== made[i]), "a foreign cookie was taken for its own");
      });
    });
  });

  Deno.test(`who did not prove his address gets no more over UDP than is offered, and little for ANY (${way})`, async () => {
    const settings = { ...DEFAULT_SETTINGS, udpPayload: 700 };
    const texts = Array.from({ length: 40 }, (_, i) => `big 60 TXT "${String(i).padStart(60, "0")}"\n`);
    const zone = zoneOf("a.test.", `@ 60 SOA a b 1 2 3 4 5\n${texts.join("")}big 60 A 10.0.0.1\n`);
    const board = createImageBoard([...allZones(), zone]);
    await serving({ ffi, settings, board }, async (_, port) => {
      const cut = await ask(port, withOpt(question(TXT, "big", "a", "test"), 65_535), 3000);
      ok(cut && cut.length <= 700);
      equal(cut[2] & 2, 2);
      const any = await ask(port, withOpt(question(ANY, "big", "a", "test"), 65_535), 3000);
      ok(any && any.length < 100, `${any?.length} octets for ANY`);
      equal(any[2] & 2, 0);
    });
  });

  Deno.test(`a network over its limit does not take another one's answers (${way})`, async () => {
    const rateLimit = { perSecond: 1, slip: 0, ipv4Prefix: 32, ipv6Prefix: 56, exempt: [], buckets: 1024 };
    await serving({ ffi, rateLimit }, async (server, port) => {
      const flood = await Promise.all(
        Array.from({ length: 20 }, () => ask(port, question(A, "multi", "example", "test"), 300)),
      );
      ok(flood.filter((reply) => reply !== undefined).length <= 3);
      const { limited } = server.counters();
      ok(limited >= 17);
      ok(await askFrom("127.0.0.77", port, question(A, "multi", "example", "test")));
      equal(server.counters().limited, limited);
    });
  });
}

Deno.test("ten thousand idle TCP connections, or as many as descriptors allow, cost UDP no answer", async () => {
  const descriptors = Number((await run("sh", ["-c", "ulimit -n"])).stdout);
  // Both ends are in this process, and the server takes three quarters of what it may have.
  const count = Math.min(10_000, Math.floor((descriptors - 1000) / 2));
  const tcp = { maxConnections: count, maxPerAddress: count, idleMs: 600_000 };
  await serving({ workers: 2, tcp }, async (server, port) => {
    const idle: Deno.TcpConn[] = [];
    try {
      for (let i = 0; i < count; i++) idle.push(await Deno.connect({ hostname: "127.0.0.1", port }));
      while (server.counters().tcp.accepted < count) {
        await ask(port, question(A, "multi", "example", "test"), 3000);
      }
      const { answers } = server.counters();
      for (let i = 0; i < 1000; i++) ok(await ask(port, question(A, "multi", "example", "test"), 3000));
      equal(server.counters().answers, answers + 1000);
      equal(server.counters().tcp.open, count);
    } finally {
      for (const connection of idle) connection.close();
    }
  });
});

function mailZone(number: number) {
  const text = `@ 60 SOA a b ${number} 2 3 4 5\nm 60 MX ${number} h.test.\nh 60 A 10.0.0.${number}\n`;
  return zoneOf("test.", text);
}

function parsed(reply: Uint8Array) {
  const message = parseMessage(reply);
  if (!message.ok) throw new Error(message.error.message);
  return message.value;
}

function cookieIn(reply: Uint8Array | undefined): Uint8Array {
  ok(reply);
  const option = parsed(reply).edns?.options.find(({ code }) => code === COOKIE);
  ok(option);
  return option.data;
}

async function askFrom(hostname: string, port: number, query: Uint8Array): Promise<Uint8Array> {
  const socket = Deno.listenDatagram({ transport: "udp", hostname, port: 0 });
  try {
    await socket.send(query, { transport: "udp", hostname: "127.0.0.1", port });
    return (await socket.receive())[0];
  } finally {
    socket.close();
  }
}

async function serving(
  change: Partial<DnsServerOptions>,
  body: (server: DnsServer, port: number) => Promise<void>,
): Promise<void> {
  const server = await startDnsServer({
    listen: [{ host: "127.0.0.1", port: 0 }],
    workers: 1,
    board: change.board ?? createImageBoard(allZones()),
    respond: () => Promise.resolve(undefined),
    log: () => {},
    ...change,
  });
  if (!server.ok) throw new Error(server.error.message);
  try {
    await body(server.value, server.value.addresses[0].port);
  } finally {
    await server.value.stop();
  }
}

function question(type: number, ...labels: string[]): Uint8Array {
  const name = labels.flatMap((label) => [label.length, ...new TextEncoder().encode(label)]);
  return Uint8Array.of(0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...name, 0, 0, type, 0, 1);
}

function withOpt(
  query: Uint8Array,
  payload: number,
  code = 0,
  data: Uint8Array = new Uint8Array(0),
): Uint8Array {
  const option = code === 0 ? [] : [0, code, 0, data.length, ...data];
  const bytes = [...query, 0, 0, 41, payload >> 8, payload & 255, 0, 0, 0, 0, 0, option.length, ...option];
  bytes[11] = 1;
  return Uint8Array.from(bytes);
}

const A = 1;
const MX = 15;
const TXT = 16;
const ANY = 255;
const COOKIE = 10;
