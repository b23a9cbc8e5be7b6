/** Questions about zones, made from a seed: at, beside, above and below every name, in mixed case, for all types. */
import {
  firstLabel,
  isAtOrBelow,
  type Name,
  nameFrom,
  nameOctets,
  nameToWire,
  parentName,
  RRTYPE,
  type Zone,
} from "../../dns/mod.ts";
import { between, pick, seeded } from "../fuzz/seeded.ts";

export interface DnsQuestion {
  readonly name: Name;
  readonly type: number;
  /** The whole query. */
  readonly query: Uint8Array;
  /** EDNS size offered; `undefined` without OPT. */
  readonly udpSize: number | undefined;
  readonly dnssecOk: boolean;
}

export interface QuestionOptions {
  readonly seed: number;
  readonly count: number;
  /** Sizes to choose from; `undefined` stands for a query without EDNS. */
  readonly sizes: readonly (number | undefined)[];
  /** How many of the questions have DO set, from 0 to 1. */
  readonly dnssec: number;
}

export function generateQuestions(zones: readonly Zone[], options: QuestionOptions): DnsQuestion[] {
  const random = seeded(options.seed * 104_729 + 5);
  for (let i = 0; i < 8; i++) random();
  const names = [...candidateNames(zones)];
  const questions: DnsQuestion[] = [];
  while (questions.length < options.count) {
    const name = pick(random, names);
    const deepest = zoneOf(zones, name);
    const present = deepest?.rrsets(name).map(({ type }) => type) ?? [];
    const type = present.length > 0 && random() < 0.4
      ? pick(random, present)
      : random() < 0.9
      ? pick(random, TYPES)
      : between(random, 1, 65_534);
    if (UNASKED(type)) continue;
    const udpSize = pick(random, options.sizes);
    const dnssecOk = udpSize !== undefined && random() < options.dnssec;
    const id = questions.length & 0xffff;
    const query = buildQuery(id, mixedCase(random, nameToWire(name)), type, udpSize, dnssecOk);
    questions.push({ name, type, query, udpSize, dnssecOk });
  }
  return questions;
}

/** The deepest zone that has the name. */
export function zoneOf(zones: readonly Zone[], name: Name): Zone | undefined {
  let best: Zone | undefined;
  for (const zone of zones) {
    if (isAtOrBelow(name, zone.origin) && (best === undefined || isAtOrBelow(zone.origin, best.origin))) {
      best = zone;
    }
  }
  return best;
}

/** Query and meta types have other rules than data (RFC 6895 §3.1); ANY is asked all the same. */
function UNASKED(type: number): boolean {
  return type === 0 || type === 41 || (type >= 128 && type < 255) || type === 65_535;
}

const TYPES = [
  ...[1, 1, 2, 5, 6, 12, 13, 15, 16, 16, 28, 33, 35, 39, 43, 43, 46, 47, 48, 50, 51, 52, 59, 64, 65, 99],
  ...[255, 257, 65_280],
];

function* candidateNames(zones: readonly Zone[]): Iterable<Name> {
  yield* ["test.", ".", "elsewhere.invalid.", "sub.x.elsewhere.", "com."].map(nameFrom);
  const seen = new Set<Name>();
  let hashes = 0;
  for (const zone of zones) {
    for (const { owner, type } of zone.records()) {
      // As many names as in the zone are hashes of others; some of them are enough.
      if (type === RRTYPE.NSEC3 && hashes++ % 16 !== 0) seen.add(owner);
      for (
        let name: Name | undefined = owner;
        name !== undefined && !seen.has(name);
        name = parentName(name)
      ) {
        seen.add(name);
        yield name;
        yield name;
        yield* beside(name);
        if (name === zone.origin) break;
      }
    }
  }
}

/** Names that differ from it by a little, as far as they are names. */
function* beside(name: Name): Iterable<Name> {
  const parent = parentName(name);
  const texts = [
    `x.${name}`,
    `*.${name}`,
    `x.y.${name}`,
    `a.${name}`,
    `\\000.${name}`,
    `x.*.${name}`,
    `\\255.${name}`,
  ];
  if (parent !== undefined) {
    const rest = parent === "." ? "" : parent;
    const label = firstLabel(name);
    texts.push(
      `${label}\\000.${rest}`,
      `${label}x.${rest}`,
      `q-${label}.${rest}`,
      `*.${rest}`,
      `\\*.${rest}`,
    );
  }
  for (const text of texts) {
    try {
      const near = nameFrom(text === "." ? "." : text.replace(/\.\.$/, "."));
      if (nameOctets(near) <= 255) yield near;
    } catch (error) {
      // Longer than a name or a label can be.
      if (!(error instanceof RangeError)) throw error;
    }
  }
}

function mixedCase(random: () => number, wire: Uint8Array): Uint8Array {
  for (let at = 0; wire[at] !== 0; at += 1 + wire[at]) {
    for (let i = at + 1; i <= at + wire[at]; i++) {
      if (wire[i] >= 0x61 && wire[i] <= 0x7a && random() < 0.3) wire[i] -= 0x20;
    }
  }
  return wire;
}

/** A query for class IN, RD clear. */
export function buildQuery(
  id: number,
  name: Uint8Array,
  type: number,
  udpSize: number | undefined,
  dnssecOk: boolean,
): Uint8Array {
  const opt = udpSize === undefined
    ? []
    : [0, 0, 41, udpSize >>> 8, udpSize & 0xff, 0, 0, dnssecOk ? 0x80 : 0, 0, 0, 0];
  return Uint8Array.of(
    ...[id >>> 8, id, 0, 0, 0, 1, 0, 0, 0, 0, 0, opt.length === 0 ? 0 : 1],
    ...name,
    ...[type >>> 8, type, 0, 1],
    ...opt,
  );
}
