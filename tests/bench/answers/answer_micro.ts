/**
 * The answer algorithm by itself, one thread, no sockets: nanoseconds of CPU a query, the least of rounds in which the
 * scenarios take turns. Queries and responses lie in slots as in a worker's batch. Arguments: scenarios by the start of their title;
 * none for all. `--queries=N` and `--rounds=N` for profiles: `deno run -A --cpu-prof … --queries=5000000 --rounds=1 a)`.
 */
import { createHash } from "node:crypto";
import process from "node:process";
import {
  answerQuery,
  compileZone,
  createAnswerContext,
  createImageSet,
  type ImageSet,
  type Name,
  nameFrom,
  nameToWire,
  type ResourceRecord,
  RRTYPE,
} from "../../../dns/mod.ts";

const NAMES = 100_000;
const SLOTS = 64;
const option = (name: string, otherwise: number) =>
  Number(Deno.args.find((arg) => arg.startsWith(`--${name}=`))?.split("=")[1] ?? otherwise);
const QUERIES = option("queries", 300_000);
const ROUNDS = option("rounds", 5);
const WANTED = Deno.args.filter((arg) => !arg.startsWith("--"));

interface Scenario {
  readonly title: string;
  readonly zone: () => ResourceRecord[];
  readonly origin: string;
  readonly question: () => [string, number];
  readonly dnssec?: boolean;
  readonly rcode: number;
}

const SCENARIOS: readonly Scenario[] = [
  {
    title: "a) 100,000 names, A",
    origin: "example.test.",
    zone: plainZone,
    question: () => [`name-${random(NAMES)}.example.test.`, RRTYPE.A],
    rcode: 0,
  },
  {
    title: "c) NXDOMAIN",
    origin: "example.test.",
    zone: plainZone,
    question: () => [`none-${random(1e9)}.example.test.`, RRTYPE.A],
    rcode: 3,
  },
  {
    title: "d) NXDOMAIN, NSEC, DO",
    origin: "example.test.",
    zone: () => withNsec("example.test.", plainZone()),
    question: () => [`none-${random(1e9)}.example.test.`, RRTYPE.A],
    dnssec: true,
    rcode: 3,
  },
  {
    title: "d) NXDOMAIN, NSEC3, DO",
    origin: "example.test.",
    zone: () => withNsec3("example.test.", plainZone()),
    question: () => [`none-${random(1e9)}.example.test.`, RRTYPE.A],
    dnssec: true,
    rcode: 3,
  },
  {
    title: "d) A, NSEC zone, DO",
    origin: "example.test.",
    zone: () => withNsec("example.test.", plainZone()),
    question: () => [`name-${random(NAMES)}.example.test.`, RRTYPE.A],
    dnssec: true,
    rcode: 0,
  },
  {
    title: "e) root-like referrals",
    origin: ".",
    zone: rootZone,
    question: () => [`www.name${random(1e6)}.tld${random(1400)}.`, RRTYPE.A],
    rcode: 0,
  },
  {
    title: "e) root-like referrals, DO",
    origin: ".",
    zone: () => withNsec(".", rootZone()),
    question: () => [`www.name${random(1e6)}.tld${random(1400)}.`, RRTYPE.A],
    dnssec: true,
    rcode: 0,
  },
  {
    title: "f) wildcards",
    origin: "example.test.",
    zone: () => [
      ...plainZone(),
      ...Array.from({ length: 1000 }, (_, i) => record(`*.wild-${i}.example.test.`, RRTYPE.A, address(i))),
    ],
    question: () => [`any-${random(1e9)}.wild-${random(1000)}.example.test.`, RRTYPE.A],
    rcode: 0,
  },
];

interface Prepared {
  readonly scenario: Scenario;
  readonly set: ImageSet;
  readonly queries: readonly Uint8Array[];
  readonly times: number[];
}

const prepared: Prepared[] = [];
for (const scenario of SCENARIOS) {
  if (WANTED.length > 0 && !WANTED.some((start) => scenario.title.startsWith(start))) continue;
  const zone = compileZone(nameFrom(scenario.origin), scenario.zone());
  if (!zone.ok) throw new Error(zone.error.message);
  const queries = Array.from(
    { length: 20_000 },
    () => query(...scenario.question(), scenario.dnssec ?? false),
  );
  prepared.push({ scenario, set: createImageSet([zone.value.image]), queries, times: [] });
}

const slots = new Uint8Array(SLOTS * 1296);
const outs = Array.from({ length: SLOTS }, (_, i) => slots.subarray(i * 1296, i * 1296 + 1232));
const ins = Array.from({ length: SLOTS }, () => new Uint8Array(512));
const context = createAnswerContext("udp");
for (const one of prepared) check(one);
for (let round = 0; round <= ROUNDS; round++) {
  for (const one of prepared) {
    const time = run(one);
    // The first round is for the compiler.
    if (round > 0 || ROUNDS === 0) one.times.push(time);
  }
}
const overhead = copying();
console.log(`nanoseconds a query; ${overhead.toFixed(0)} of copying it into its slot are taken off`);
for (const { scenario, set, queries, times } of prepared) {
  let octets = 0;
  for (const query of queries) octets += answerQuery(set, query, query.length, outs[0], context);
  const least = Math.min(...times) - overhead;
  console.log(
    `${scenario.title.padEnd(28)} ${least.toFixed(0).padStart(6)}   ${
      (octets / queries.length).toFixed(0).padStart(5)
    } octets`,
  );
}

function check({ scenario, set, queries }: Prepared): void {
  for (const query of queries) {
    const length = answerQuery(set, query, query.length, outs[0], context);
    const unproven = scenario.dnssec === true && scenario.rcode === 3 && outs[0][9] < 6;
    if (length < 12 || (outs[0][3] & 15) !== scenario.rcode || (outs[0][2] & 2) !== 0 || unproven) {
      throw new Error(`${scenario.title}: ${length} octets, rcode ${outs[0][3] & 15}, flags ${outs[0][2]}`);
    }
  }
}

function run({ set, queries }: Prepared): number {
  const from = cpu();
  for (let done = 0, next = 0; done < QUERIES;) {
    for (let slot = 0; slot < SLOTS; slot++) {
      const query = queries[next];
      const bytes = ins[slot];
      for (let i = 0; i < query.length; i++) bytes[i] = query[i];
      answerQuery(set, bytes, query.length, outs[slot], context);
      if (++next === queries.length) next = 0;
    }
    done += SLOTS;
  }
  return (cpu() - from) * 1e3 / QUERIES;
}

/** Microseconds of this process: others may use the machine too. */
function cpu(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

function copying(): number {
  const queries = prepared[0].queries;
  let best = Infinity;
  for (let round = 0; round < 5; round++) {
    const from = cpu();
    for (let done = 0, next = 0; done < QUERIES; done++) {
      const query = queries[next];
      const bytes = ins[done % SLOTS];
      for (let i = 0; i < query.length; i++) bytes[i] = query[i];
      if (++next === queries.length) next = 0;
    }
    best = Math.min(best, (cpu() - from) * 1e3 / QUERIES);
  }
  return best;
}

function plainZone(): ResourceRecord[] {
  const records = apex("example.test.");
  for (let i = 0; i < NAMES; i++) records.push(record(`name-${i}.example.test.`, RRTYPE.A, address(i)));
  return records;
}

function rootZone(): ResourceRecord[] {
  const records = apex(".");
  for (let i = 0; i < 1400; i++) {
    for (let k = 0; k < 6; k++) {
      const host = `${"abcdef"[k]}.nic.tld${i}.`;
      records.push(record(`tld${i}.`, RRTYPE.NS, nameToWire(nameFrom(host))));
      records.push(record(host, RRTYPE.A, address(i * 6 + k)));
      records.push(
        record(host, RRTYPE.AAAA, Uint8Array.of(0x20, 1, ...new Uint8Array(10), ...address(i * 6 + k))),
      );
    }
    records.push(record(`tld${i}.`, RRTYPE.DS, Uint8Array.of(1, 2, 8, 2, ...noise(32))));
  }
  return records;
}

function apex(origin: string): ResourceRecord[] {
  const host = nameToWire(nameFrom(`ns.${origin === "." ? "" : origin}`));
  const numbers = Uint8Array.of(0, 0, 0, 1, 0, 0, 14, 16, 0, 0, 2, 88, 0, 1, 81, 128, 0, 0, 0, 60);
  return [
    record(origin, RRTYPE.SOA, Uint8Array.of(...host, ...host, ...numbers)),
    record(origin, RRTYPE.NS, host),
    record(`ns.${origin === "." ? "" : origin}`, RRTYPE.A, address(1)),
  ];
}

/** A chain and signatures of the right size; what they say nobody verifies here. */
function withNsec(origin: string, records: ResourceRecord[]): ResourceRecord[] {
  const types = typesByOwner(records);
  const owners = signedOwners(records, types);
  const sorted = [...owners].map((owner) => ({ owner, key: owner.split(".").reverse().join("\0") }))
    .sort((a, b) => a.key < b.key ? -1 : 1).map(({ owner }) => owner);
  const chain = sorted.map((owner, i) =>
    record(
      owner,
      RRTYPE.NSEC,
      Uint8Array.of(...nameToWire(sorted[(i + 1) % sorted.length]), 0, 6, 0x60, 0, 0, 0, 0, 3),
    )
  );
  return signed(origin, [...records, ...chain], owners, types);
}

function withNsec3(origin: string, records: ResourceRecord[]): ResourceRecord[] {
  const types = typesByOwner(records);
  const owners = signedOwners(records, types);
  const hashes = [...owners].map((owner) => createHash("sha1").update(nameToWire(owner)).digest())
    .sort((a, b) => a < b ? -1 : 1);
  const sorted = hashes.map((hash) => ({ hash, text: base32hex(hash) })).sort((a, b) =>
    a.text < b.text ? -1 : 1
  );
  const chain = sorted.map(({ text }, i) => {
    const next = sorted[(i + 1) % sorted.length].hash;
    const rdata = Uint8Array.of(1, 0, 0, 0, 0, 20, ...next, 0, 6, 0x40, 0, 0, 0, 0, 2);
    return record(`${text}.${origin}`, RRTYPE.NSEC3, rdata);
  });
  for (const { owner } of chain) owners.add(owner);
  const parameters = record(origin, RRTYPE.NSEC3PARAM, Uint8Array.of(1, 0, 0, 0, 0));
  return signed(origin, [...records, parameters, ...chain], owners, types);
}

function typesByOwner(records: readonly ResourceRecord[]): Map<Name, Set<number>> {
  const types = new Map<Name, Set<number>>();
  for (const { owner, type } of records) types.set(owner, (types.get(owner) ?? new Set()).add(type));
  return types;
}

/** All but glue. */
function signedOwners(records: readonly ResourceRecord[], types: Map<Name, Set<number>>): Set<Name> {
  const cuts = new Set(records.filter(({ type }) => type === RRTYPE.DS).map(({ owner }) => owner));
  const owners = new Set<Name>();
  for (const owner of types.keys()) {
    let glue = false;
    for (let at = owner.indexOf(".") + 1; at > 0 && at < owner.length; at = owner.indexOf(".", at) + 1) {
      if (cuts.has(owner.slice(at) as Name)) glue = true;
    }
    if (!glue) owners.add(owner);
  }
  return owners;
}

function signed(
  origin: string,
  records: ResourceRecord[],
  owners: Set<Name>,
  types: Map<Name, Set<number>>,
): ResourceRecord[] {
  const signer = nameToWire(nameFrom(origin));
  const signatures: ResourceRecord[] = [];
  const seen = new Set<string>();
  for (const { owner, type, ttl } of records) {
    const delegation = type === RRTYPE.NS && types.get(owner)?.has(RRTYPE.SOA) !== true;
    if (!owners.has(owner) || delegation || seen.has(`${owner} ${type}`)) continue;
    seen.add(`${owner} ${type}`);
    const labels = owner.split(".").length - 1;
    const head = [
      type >>> 8,
      type & 255,
      13,
      labels,
      ttl >>> 24,
      ttl >>> 16 & 255,
      ttl >>> 8 & 255,
      ttl & 255,
    ];
    signatures.push(
      record(owner, RRTYPE.RRSIG, Uint8Array.of(...head, ...noise(10), ...signer, ...noise(64))),
    );
  }
  return [...records, ...signatures];
}

function base32hex(bytes: Uint8Array): string {
  let text = "";
  let bits = 0;
  let value = 0;
  for (const octet of bytes) {
    value = value << 8 | octet;
    for (bits += 8; bits >= 5; bits -= 5) text += (value >>> bits - 5 & 31).toString(32);
    value &= 255;
  }
  return text;
}

function record(owner: string, type: number, rdata: Uint8Array): ResourceRecord {
  return { owner: nameFrom(owner), type, class: 1, ttl: 3600, rdata };
}

function address(i: number): Uint8Array {
  return Uint8Array.of(192, i >>> 16 & 255, i >>> 8 & 255, i & 255);
}

function noise(octets: number): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(octets));
}

function random(below: number): number {
  return Math.floor(Math.random() * below);
}

/** With OPT, as resolvers ask. */
function query(name: string, type: number, dnssec: boolean): Uint8Array {
  const wire = nameToWire(nameFrom(name));
  return Uint8Array.of(
    ...[7, 9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, ...wire, type >>> 8, type & 255, 0, 1],
    ...[0, 0, 41, 0x04, 0xd0, 0, 0, dnssec ? 0x80 : 0, 0, 0, 0],
  );
}
