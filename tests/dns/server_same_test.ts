/** Batched or portable, a server gives the same octets: to thousands of questions of all kinds, over UDP and TCP, IPv4 and IPv6. */
import { equal, ok } from "node:assert/strict";
import fc from "fast-check";
import {
  answerQuery,
  type AnswerSettings,
  brokenZone,
  createAnswerContext,
  createImageBoard,
  createImageSet,
  createResponder,
  DEFAULT_SETTINGS,
  type DnsServer,
  generateTsigKey,
  nameFrom,
  nameToWire,
  parseMessage,
  RRTYPE,
  startDnsServer,
  type Zone,
} from "../../dns/mod.ts";
import { makeCookie } from "../../dns/edns/cookie.ts";
import { createFrameReader, frame } from "../../dns/server/tcp_frames.ts";
import { arbitraryPacket, change, keptPackets, queriesFor } from "../fuzz/answers_packets.ts";
import { worlds } from "../fuzz/answers_world.ts";
import { seeded } from "../fuzz/seeded.ts";
import { questionNames, zoneOf } from "./answer_zones.ts";
import { generateQuestions } from "./differential_questions.ts";
import { generateZones, zoneOfAllTypes } from "./differential_zones.ts";

const NOW = 1_800_000_000;
const KEY = generateTsigKey(nameFrom("admin._update."), (octets) => new Uint8Array(octets).fill(7));
/** No cookies: they tell the time at which they were made. */
const SETTINGS: AnswerSettings = {
  ...DEFAULT_SETTINGS,
  nsid: new TextEncoder().encode("ns1"),
  version: "Bailiwick",
  id: "ns1",
  keepalive: 100,
};

Deno.test("both ways give the same octets to questions of all kinds", async () => {
  const zones = allZones();
  const questions = generateQuestions(zones, {
    seed: 1,
    count: 3000,
    sizes: [undefined, 512, 700, 1232, 4096],
    dnssec: 0.6,
  });
  const queries = [...questions.map(({ query }) => query), ...oddQueries(), ...packets(zones)];
  ok(queries.length >= 4000, `${queries.length} queries`);
  const seen = await sameAnswers(zones, SETTINGS, () => queries);
  for (const kind of KINDS) {
    ok((seen.get(kind) ?? 0) > 0, `no answer of kind ${kind}: ${[...seen].join(" ")}`);
  }
});

Deno.test("both ways take the cookies that the other one's secret makes, and give them back", async () => {
  const secret = new Uint8Array(16).fill(9);
  const settings = { ...SETTINGS, cookieSecrets: [secret] };
  const now = Math.floor(Date.now() / 1000);
  const zones = allZones().slice(0, 3);
  const wires = questionNames(zones).slice(0, 150).map((name) => nameToWire(nameFrom(name)));
  const seen = await sameAnswers(zones, settings, (address) => {
    const cookie = new Uint8Array(24).fill(1, 0, 8);
    // One that is valid and young comes back as it is (RFC 9018 §4.3).
    makeCookie(cookie, 0, address, address.length, secret, now, cookie, 8);
    const option = [0, 10, 0, 24, ...cookie];
    return [
      ...wires.map((wire, index) => withOpt([...wire, 0, 1 + index % 33, 0, 1], 1, option)),
      withOpt([], 0, option),
    ];
  });
  equal(seen.get("cookie"), wires.length + 1);
});

/** What has to be among the answers, so that the comparison means something. */
const KINDS = [
  ...["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "BADVERS", "NOTAUTH"],
  ...["answer", "referral", "glue", "NODATA", "TC", "wildcard", "CNAME", "DNAME", "ANY", "CHAOS", "NSID"],
  ...["NSEC", "NSEC3", "RRSIG", "DS", "TSIG", "EXPIRE", "ZONEVERSION", "EDE", "longer than 512", "silence"],
];

const LONG = "l".repeat(63);
/** Octets of text whose answers lie around 512 and 1232 octets, without OPT and with it. */
const SIZES = [440, 1160].flatMap((from) => Array.from({ length: 50 }, (_, i) => from + i));

/** Changed zones, signed ones, generated ones, one of all types, one of long answers, one that was never good. */
function allZones(): Zone[] {
  const [, signed, patched] = worlds();
  const generated = {
    ...generateZones(1, "s1.test.", { occluded: true, longest: 255 }),
    ...generateZones(2, "s2.test.", { occluded: true, longest: 255 }),
    ...zoneOfAllTypes(1, "types.test.", []),
  };
  const texts = SIZES.map((octets) =>
    `s${octets} TXT ${`${"-".repeat(99)} `.repeat(octets / 100)}${"-".repeat(octets % 100)}\n`
  )
    .join("");
  return [
    ...patched.zones,
    ...signed.zones,
    ...Object.entries(generated).map(([origin, text]) => zoneOf(origin, text)),
    zoneOf("big.test.", `$TTL 60\n@ SOA a b 1 2 3 4 5\n${texts}long DNAME ${LONG}.${LONG}.${LONG}.test.\n`),
    brokenZone(nameFrom("bad.test.")),
  ];
}

/** What generated questions do not have: classes, opcodes, counts, versions, options. */
function oddQueries(): Uint8Array[] {
  const question = (name: string, type: number, dnsClass = 1) => [
    ...nameToWire(nameFrom(name)),
    ...[type >>> 8, type, dnsClass >>> 8, dnsClass],
  ];
  const multi = question("multi.example.test.", RRTYPE.A);
  const header = (octets: Partial<Record<number, number>>) =>
    Uint8Array.of(0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...multi).map((octet, at) => octets[at] ?? octet);
  const options: number[][] = [[3, 0], [9, 0], [12, 4, 0, 0, 0, 0], [19, 0], [8, 1, 7], [99, 2, 1, 2], [
    10,
    1,
    1,
  ]]
    .map(([code, length, ...data]) => [0, code, 0, length, ...data]);
  const names = [
    "example.test.",
    "multi.example.test.",
    "gone.example.test.",
    "x.sub.example.test.",
    "bad.test.",
  ];
  return [
    ...["version.bind.", "version.server.", "id.server.", "hostname.bind.", "authors.bind."].flatMap((name) =>
      [16, 255, 1].flatMap((type) =>
        [3, 4, 254].map((dnsClass) => withOpt(question(name, type, dnsClass), 1))
      )
    ),
    ...SIZES.map((octets) => [...question(`s${octets}.big.test.`, RRTYPE.TXT)]).flatMap((asked) => [
      withOpt(asked, 1),
      Uint8Array.of(0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...asked),
    ]),
    ...names.flatMap((name) => [
      ...[1, 6, 255].map((type) => withOpt(question(name, type, 255), 1)),
      ...[128, 251, 252, 253, 254].map((type) => withOpt(question(name, type), 1)),
      ...options.map((option) => withOpt(question(name, RRTYPE.SOA), 1, option)),
      withOpt(question(name, RRTYPE.SOA), 1, options.slice(0, 6).flat()),
      ...[1, 255].map((version) => withOpt(question(name, RRTYPE.A), 1, [], version)),
    ]),
    withOpt(question(`${LONG}.long.big.test.`, RRTYPE.A), 1),
    ...["nsec", "nsec3", "opt-out"].map((zone) =>
      withOpt(question(`x.sub.${zone}.test.`, 1), 1, [], 0, 0x80)
    ),
    // Opcodes, RD and the other flags, all counts.
    ...Array.from({ length: 16 }, (_, opcode) => header({ 2: opcode << 3 })),
    ...Array.from({ length: 8 }, (_, bit) => header({ 2: 1 << bit })),
    ...Array.from({ length: 8 }, (_, bit) => header({ 3: 1 << bit })),
    ...[5, 7, 9, 11].flatMap((at) => [0, 2, 255].map((count) => header({ [at]: count }))),
    // Too short for a header, and headers alone.
    ...Array.from({ length: 14 }, (_, length) => header({}).slice(0, length)),
    withOpt([], 0),
  ];
}

/** What a fuzzer throws: packets that were of interest once, changed ones, and arbitrary ones. */
function packets(zones: readonly Zone[]): Uint8Array[] {
  const random = seeded(7);
  const names = questionNames(zones.slice(0, 6));
  const kept = keptPackets();
  const asked = queriesFor(names.filter((_, index) => index % 8 === 0), KEY);
  return [
    ...kept,
    ...asked,
    ...kept.map((packet) => change(random, packet, kept)),
    ...fc.sample(arbitraryPacket(names), { seed: 3, numRuns: 400 }),
  ].filter((packet) => packet.length <= LONGEST_QUERY);
}

/** A longer datagram is FORMERR to one of the two; `server_test.ts` has those. */
const LONGEST_QUERY = 4096;

function withOpt(
  question: readonly number[],
  count: number,
  options: readonly number[] = [],
  version = 0,
  flags = 0,
): Uint8Array {
  const opt = [0, 0, 41, 4, 208, 0, version, flags, 0, options.length >>> 8, options.length, ...options];
  return Uint8Array.of(0, 0, 1, 0, 0, count, 0, 0, 0, 0, 0, 1, ...question, ...opt);
}

/**
 * Asks both servers all queries, which depend on the address that they come from, in all four ways, and gives the number
 * of answers of each kind.
 */
async function sameAnswers(
  zones: readonly Zone[],
  settings: AnswerSettings,
  queriesFrom: (address: Uint8Array) => readonly Uint8Array[],
): Promise<Map<string, number>> {
  const kinds = new Map<string, number>();
  const heard = new Map<string, Heard[]>();
  for (const ffi of [true, false]) {
    await serving(zones, settings, ffi, async (server) => {
      for (const { host, port } of server.addresses) {
        const queries = numbered(queriesFrom(ADDRESSES[host]));
        heard.set(`${host} UDP`, [...heard.get(`${host} UDP`) ?? [], await overUdp(host, port, queries)]);
        heard.set(`${host} TCP`, [...heard.get(`${host} TCP`) ?? [], await overTcp(host, port, queries)]);
      }
      equal(server.counters().faults, 0);
    });
  }
  equal(heard.size, 4);
  for (const [way, [batched, portable]] of heard) {
    const host = way.split(" ")[0];
    const queries = numbered(queriesFrom(ADDRESSES[host]));
    for (const [index, query] of queries.entries()) {
      equal(batched[index], portable[index], `${way} ${query.toHex()}`);
      // The least must not be answered, and nothing else may be left unanswered.
      equal(batched[index] === undefined, isSilent(query), `${way} ${query.toHex()}: ${batched[index]}`);
      if (way !== "127.0.0.1 UDP") continue;
      for (const kind of kindsOf(query, batched[index])) kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    }
  }
  return kinds;
}

/** Answers by the numbers of their queries, in hexadecimal; `undefined` for silence. */
type Heard = readonly (string | undefined)[];

const ADDRESSES: Readonly<Record<string, Uint8Array>> = {
  "127.0.0.1": Uint8Array.of(127, 0, 0, 1),
  "::1": new Uint8Array(16).with(15, 1),
};

function isSilent(query: Uint8Array): boolean {
  return query.length < 12 || (query[2] & 0x80) !== 0;
}

/** With their index as ID, and one more that must be answered when all before it have been looked at. */
function numbered(queries: readonly Uint8Array[]): Uint8Array[] {
  return [...queries, withOpt([0, 0, 6, 0, 1], 1)].map((query, index) => {
    const copy = query.slice();
    copy.set([index >>> 8, index & 0xff].slice(0, query.length));
    return copy;
  });
}

/** So many are on their way at a time: fewer than any socket's buffer holds. */
const WINDOW = 16;

async function overUdp(hostname: string, port: number, queries: readonly Uint8Array[]): Promise<Heard> {
  const socket = Deno.listenDatagram({ transport: "udp", hostname, port: 0 });
  const buffer = new Uint8Array(0xffff);
  return await converse(queries, {
    async send(window) {
      for (const query of window) await socket.send(query, { transport: "udp", hostname, port });
    },
    receive: async () => (await socket.receive(buffer))[0],
    close: () => socket.close(),
  });
}

async function overTcp(hostname: string, port: number, queries: readonly Uint8Array[]): Promise<Heard> {
  const connection = await Deno.connect({ hostname, port });
  const frames = createFrameReader();
  const buffer = new Uint8Array(0xffff);
  return await converse(queries, {
    async send(window) {
      const bytes = Uint8Array.from(window.flatMap((query) => [...frame(query)]));
      for (let from = 0; from < bytes.length;) from += await connection.write(bytes.subarray(from));
    },
    async receive() {
      for (;;) {
        const message = frames.next();
        if (message !== undefined) return message;
        const count = await connection.read(buffer);
        if (count === null) throw new Error("the server has closed the connection");
        frames.push(buffer.subarray(0, count));
      }
    },
    close: () => connection.close(),
  });
}

interface Line {
  send(window: readonly Uint8Array[]): Promise<void>;
  receive(): Promise<Uint8Array>;
  close(): void;
}

/** Sends a window of queries and receives until all that have to be answered are, window by window. */
async function converse(queries: readonly Uint8Array[], line: Line): Promise<Heard> {
  const heard = new Array<string | undefined>(queries.length).fill(undefined);
  const owed = new Set<number>();
  let overdue = false;
  // Without it a query that nobody answers would keep the test for ever.
  const timer = setTimeout(() => {
    overdue = true;
    line.close();
  }, 60_000);
  try {
    for (let from = 0; from < queries.length; from += WINDOW) {
      const window = queries.slice(from, from + WINDOW);
      for (const [at, query] of window.entries()) if (!isSilent(query)) owed.add(from + at);
      await line.send(window);
      while (owed.size > 0) {
        const answer = await line.receive();
        const index = answer[0] << 8 | answer[1];
        equal(heard[index], undefined, `${queries[index]?.toHex()} was answered twice`);
        heard[index] = answer.toHex();
        owed.delete(index);
      }
    }
  } catch (error) {
    if (!overdue) throw error;
    throw new Error(`not answered: ${[...owed].map((index) => queries[index].toHex()).join(" ")}`);
  } finally {
    clearTimeout(timer);
    if (!overdue) line.close();
  }
  return heard;
}

/** What an answer shows, as far as it can be read. */
function kindsOf(query: Uint8Array, hex: string | undefined): Set<string> {
  if (hex === undefined) return new Set(["silence"]);
  const answer = Uint8Array.fromHex(hex);
  const parsed = parseMessage(answer);
  ok(parsed.ok, `${hex} cannot be read`);
  const { rcode, truncated, authoritative, questions, answers, authorities, additionals, edns, tsig } =
    parsed.value;
  const kinds = new Set<string>([RCODES[rcode] ?? `RCODE ${rcode}`]);
  const has = (kind: string, is: boolean) => is && kinds.add(kind);
  const types = [...answers, ...authorities].map(({ type }) => type);
  has("TC", truncated);
  has("answer", answers.length > 0);
  const delegated = !authoritative && answers.length === 0 &&
    authorities.some(({ type }) => type === RRTYPE.NS);
  has("referral", rcode === 0 && delegated);
  has("glue", delegated && additionals.length > 0);
  has("NODATA", rcode === 0 && authoritative && answers.length === 0 && types.includes(RRTYPE.SOA));
  // A signature over fewer labels than its owner has (RFC 4034 §3.1.3).
  has(
    "wildcard",
    answers.some(({ owner, type, rdata }) => type === RRTYPE.RRSIG && rdata[3] < labels(owner)),
  );
  for (const type of ["CNAME", "DNAME", "RRSIG", "NSEC", "NSEC3", "DS"] as const) {
    has(type, types.includes(RRTYPE[type]));
  }
  has("ANY", questions[0]?.type === 255 && answers.length > 0);
  has("CHAOS", questions[0]?.class === 3 && answers.length > 0);
  has("TSIG", tsig !== undefined);
  for (const { code } of edns?.options ?? []) has(OPTIONS[code], OPTIONS[code] !== undefined);
  has("longer than 512", answer.length > 512 && query.length < 512);
  return kinds;
}

function labels(name: string): number {
  return name.replaceAll(/\\(\d{3}|.)/g, "x").split(".").filter((label) => label !== "" && label !== "*")
    .length;
}

const RCODES: Readonly<Record<number, string>> = {
  ...{ 0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED", 6: "YXDOMAIN" },
  ...{ 9: "NOTAUTH", 16: "BADVERS" },
};
const OPTIONS: Readonly<Record<number, string>> = {
  ...{ 3: "NSID", 9: "EXPIRE", 10: "cookie", 15: "EDE", 19: "ZONEVERSION" },
};

async function serving(
  zones: readonly Zone[],
  settings: AnswerSettings,
  ffi: boolean,
  body: (server: DnsServer) => Promise<void>,
): Promise<void> {
  const images = createImageSet(zones.map(({ image }) => image));
  const server = await startDnsServer({
    listen: [{ host: "127.0.0.1", port: 0 }, { host: "::1", port: 0 }],
    workers: 1,
    board: createImageBoard(zones),
    settings,
    respond: createResponder({
      answer: (query, out, { protocol }) =>
        answerQuery(images, query, query.length, out, createAnswerContext(protocol, settings)),
      context: ({ protocol }) => createAnswerContext(protocol, settings),
      lookupKey: (name) => name === KEY.name ? KEY : undefined,
      update: () => Promise.resolve({ rcode: 0 }),
      now: () => NOW * 1000,
      log: () => {},
    }),
    log: () => {},
    ffi,
  });
  if (!server.ok) throw new Error(server.error.message);
  try {
    equal(server.value.mode, ffi ? "batched" : "portable");
    await body(server.value);
  } finally {
    await server.value.stop();
  }
}
