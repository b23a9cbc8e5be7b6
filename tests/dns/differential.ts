/** Asks a real server and us the same questions and reports what no rule allows. */
import {
  answerQuery,
  createAnswerContext,
  createImageSet,
  DEFAULT_SETTINGS,
  type ImageSet,
  isAtOrBelow,
  type Name,
  nameFromWire,
  parentName,
  recordToText,
  RRTYPE,
  typeName,
  type Zone,
} from "../../dns/mod.ts";
import { askByTcp, createAsker, type RealServer, type ServerKind } from "./answer_servers.ts";
import { differences, faultsOf, isType, see, type Seen } from "./differential_compare.ts";
import { unproven } from "./differential_proofs.ts";
import { type DnsQuestion, zoneOf } from "./differential_questions.ts";
import { settled } from "./differential_rules.ts";

export interface Comparison {
  readonly compared: number;
  /** What differs, with the question, the seed and both answers, ready to be printed. */
  readonly faults: readonly string[];
  /** How often each rule had something to allow. */
  readonly rules: ReadonlyMap<string, number>;
}

/** `label` says how to make the same zones and questions again. */
export async function compareWith(
  kind: ServerKind,
  server: RealServer,
  zones: readonly Zone[],
  questions: readonly DnsQuestion[],
  label: string,
): Promise<Comparison> {
  const asker = createAsker(server.port);
  const rules = new Map<string, number>();
  const faults: string[] = [];
  const images = createImageSet(zones.map((zone) => zone.image));
  const single = new Map(zones.map((zone) => [zone, createImageSet([zone.image])]));
  const signed = zones.every((zone) => zone.rrset(zone.origin, RRTYPE.DNSKEY) !== undefined);
  let compared = 0;
  try {
    const left = questions.values();
    await Promise.all(Array.from({ length: 32 }, async () => {
      for (const question of left) await compare(question);
    }));
  } finally {
    await asker.close();
  }
  return { compared, faults, rules };

  async function compare(question: DnsQuestion): Promise<void> {
    const udp = await asker.ask(question.query);
    const set = kind === "nsd" ? images : imagesFor(question);
    const { message, whole } = answersOf(set, question);
    const ours = see(message);
    const lines = faultsOf(question, message, ours);
    lines.push(...truncationFaults(question, ours, see(whole)));
    // Where it is tight, the whole answers are compared: what is left out to fit is each server's choice.
    const tight = ours.truncated || (udp[2] & 0x02) !== 0 || whole.length * 2 > limitOf(question);
    const pair = {
      ours: tight ? see(whole) : ours,
      theirs: see(tight ? await askByTcp(server.port, question.query) : udp),
    };
    if (set !== images) lines.push(...additionalFaults(see(whole), authorityOf(question)));
    if (question.dnssecOk && signed) lines.push(...unproven(see(whole), question.name, question.type));
    const context = { kind, question, zones, zone: authorityOf(question) };
    const { pair: rest, used } = settled(pair, context);
    for (const name of used) rules.set(name, (rules.get(name) ?? 0) + 1);
    lines.push(...differences(rest.ours, rest.theirs));
    compared++;
    if (lines.length > 0) faults.push(report(question, lines, pair));
  }

  /**
   * NSD and we follow a chain into every served zone (RFC 1034 §4.3.2 step 3a: "go back to step 1"); Knot and BIND stop
   * at the zone's end, as we do where the other zones are not ours.
   */
  function imagesFor(question: DnsQuestion): ImageSet {
    const zone = authorityOf(question);
    return (zone === undefined ? undefined : single.get(zone)) ?? createImageSet([]);
  }

  /** DS at an apex is asked from the zone above (RFC 4035 §3.1.4.1) where that is served. */
  function authorityOf({ name, type }: DnsQuestion): Zone | undefined {
    const zone = zoneOf(zones, name);
    if (type !== RRTYPE.DS || zone === undefined || name !== zone.origin) return zone;
    return zoneOf(zones.filter((other) => other !== zone), name) ?? zone;
  }

  function report(
    question: DnsQuestion,
    lines: readonly string[],
    pair: { ours: Seen; theirs: Seen },
  ): string {
    const edns = question.udpSize === undefined ? "" : ` bufsize ${question.udpSize}`;
    return [
      `${label}: ${question.name} ${typeName(question.type)}${edns}${question.dnssecOk ? " DO" : ""}`,
      ...lines.map((line) => `  ${line}`),
      ...show("ours", pair.ours),
      ...show(kind, pair.theirs),
    ].join("\n");
  }
}

/** Our answer by UDP, and the one without a limit. */
export function answersOf(
  images: ImageSet,
  question: DnsQuestion,
): { message: Uint8Array; whole: Uint8Array } {
  const settings = { ...DEFAULT_SETTINGS, udpPayload: 4096 };
  const { query } = question;
  const message = new Uint8Array(4096);
  const octets = answerQuery(images, query, query.length, message, createAnswerContext("udp", settings));
  const whole = new Uint8Array(65_535);
  const all = answerQuery(images, query, query.length, whole, createAnswerContext("tcp", settings));
  return { message: message.subarray(0, octets), whole: whole.subarray(0, all) };
}

/**
 * TC exactly when something required is missing (RFC 2181 §9): without it, all sections but the additional one are
 * whole, and of that the glue (RFC 9471 §3); with it, the whole answer is larger than the limit.
 */
function truncationFaults(question: DnsQuestion, udp: Seen, whole: Seen): string[] {
  const limit = limitOf(question);
  const lines: string[] = [];
  if (udp.octets > limit) lines.push(`${udp.octets} octets where ${limit} are allowed`);
  if (whole.truncated) lines.push("truncated by TCP");
  if (udp.truncated) {
    return whole.octets > limit ? lines : [...lines, `truncated, but ${whole.octets} octets fit`];
  }
  const { additionals: some, octets: _, ...required } = udp;
  const { additionals: all, octets: __, ...allRequired } = whole;
  lines.push(
    ...differences({ ...required, additionals: [], octets: 0 }, {
      ...allRequired,
      additionals: [],
      octets: 0,
    }),
  );
  const known = new Set(all.map(({ text }) => text));
  for (const { text } of some) if (!known.has(text)) lines.push(`not in the whole answer: ${text}`);
  return lines;
}

function limitOf({ udpSize }: DnsQuestion): number {
  return Math.max(512, udpSize ?? 512);
}

function show(who: string, seen: Seen): string[] {
  const flags = `${seen.authoritative ? " aa" : ""}${seen.truncated ? " tc" : ""}`;
  const lines = [`  ${who}: rcode ${seen.rcode}${flags}, ${seen.octets} octets`];
  for (const field of ["answers", "authorities", "additionals"] as const) {
    for (const { text } of seen[field]) lines.push(`    ${field.slice(0, -1)} ${text}`);
  }
  return lines;
}

const TARGET_AT: ReadonlyMap<number, number> = new Map([
  [RRTYPE.NS, 0],
  [RRTYPE.MX, 2],
  [RRTYPE.SRV, 6],
  [RRTYPE.SVCB, 2],
  [RRTYPE.HTTPS, 2],
]);

/**
 * Beside an answer stand the addresses, as the zone has them with authority, of all names that MX, SRV, NS, SVCB and HTTPS
 * lead to (RFC 1034 §4.3.2 step 6, RFC 2782, RFC 9460 §4.1), and nothing else.
 */
function additionalFaults(whole: Seen, zone: Zone | undefined): string[] {
  if (zone === undefined || whole.answers.length === 0 || whole.authorities.some(isType(RRTYPE.NS))) {
    return [];
  }
  const expected = new Set<string>();
  for (const { owner, type, rdata } of whole.answers) {
    const at = TARGET_AT.get(type);
    if (at === undefined) continue;
    const target = nameFromWire(rdata, at)?.name;
    // The root as target of SVCB stands for the owner (RFC 9460 §2.5).
    const name = target === "." && type >= RRTYPE.SVCB ? owner : target;
    if (name === undefined || !isAuthoritative(zone, name)) continue;
    for (const address of [RRTYPE.A, RRTYPE.AAAA]) {
      const rrset = zone.rrset(name, address);
      for (const rdata of rrset?.rdatas ?? []) {
        expected.add(recordToText({ owner: name, type: address, class: 1, ttl: rrset?.ttl ?? 0, rdata }));
      }
    }
  }
  // A name that a wildcard stands for has the wildcard's addresses, which its owner alone does not show.
  const made = new Set(
    whole.answers.map(({ owner }) => owner).filter((owner) => zone.rrsets(owner).length === 0),
  );
  const found = new Set(
    whole.additionals.filter(({ type, owner }) => type !== RRTYPE.RRSIG && !made.has(owner)).map(({ text }) =>
      text
    ),
  );
  return [
    ...[...expected].filter((text) => !found.has(text)).map((text) => `additional data is missing: ${text}`),
    ...[...found].filter((text) => !expected.has(text)).map((text) =>
      `additional data that leads nowhere: ${text}`
    ),
  ];
}

/** In the zone, and neither at or below a delegation nor below a DNAME. */
function isAuthoritative(zone: Zone, name: Name): boolean {
  if (!isAtOrBelow(name, zone.origin)) return false;
  for (let at: Name | undefined = name; at !== undefined && at !== zone.origin; at = parentName(at)) {
    if (zone.rrset(at, RRTYPE.NS) !== undefined) return false;
    if (at !== name && zone.rrset(at, RRTYPE.DNAME) !== undefined) return false;
  }
  return name === zone.origin || zone.rrset(zone.origin, RRTYPE.DNAME) === undefined;
}
