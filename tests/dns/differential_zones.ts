/** Zones made from a seed, for comparing servers: every kind of node in every position that all of them load. */
import fc from "fast-check";
import { nameFrom, nameOctets } from "../../dns/mod.ts";
import { between, pick, type Random, seeded } from "../fuzz/seeded.ts";
import { RDATA } from "./rr_arbitraries.ts";

export interface ZoneOptions {
  /** The parent has data of its own below the children's apexes, which it does not answer with. */
  readonly occluded: boolean;
  /** Octets of the longest names, at most 255. */
  readonly longest: number;
}

export type Zones = Readonly<Record<string, string>>;

/**
 * A parent, two children of it that are served too (one right below it, one below an empty non-terminal), and a
 * neighbour. `base` is the parent's origin; nothing but the arguments decides what comes out.
 */
export function generateZones(seed: number, base: string, options: ZoneOptions): Zones {
  const random = seeded(seed * 7919 + 17);
  for (let i = 0; i < 8; i++) random();
  const origins = {
    parent: base,
    child: `child.${base}`,
    deep: `deep.ent.${base}`,
    neighbour: `n-${base}`,
  };
  const children = [
    draftZone(random, origins.child, 40, [], options),
    draftZone(random, origins.deep, 20, [], options),
  ];
  const drafts = [
    draftZone(random, origins.parent, 90, children, options),
    ...children,
    draftZone(random, origins.neighbour, 25, [], options),
  ];
  return Object.fromEntries(drafts.map((draft) => [draft.origin, zoneText(random, draft, drafts, options)]));
}

/** One zone with a name for each type that zone files can hold, but for those of `without`; its rdata is arbitrary. */
export function zoneOfAllTypes(seed: number, origin: string, without: readonly number[]): Zones {
  const lines = apexLines(origin);
  for (const [type, arbitrary] of RDATA) {
    if (NOT_AS_DATA.has(type) || without.includes(type)) continue;
    const owner = nameFrom(`t${type}.${origin}`);
    for (const wire of fc.sample(arbitrary, { seed: seed + type, numRuns: SINGLE.has(type) ? 1 : 3 })) {
      const hex = Uint8Array.from(wire).toHex();
      // The generic form (RFC 3597 §5): all servers read it, whatever they know of the type.
      lines.push(`${owner} 300 IN TYPE${type} \\# ${wire.length} ${hex}`.trimEnd());
    }
  }
  return { [origin]: lines.join("\n") + "\n" };
}

/** SOA, RRSIG, NSEC and the like have rules of their own; NULL is no data of a zone file (RFC 1035 §3.3.10). */
const NOT_AS_DATA = new Set([6, 10, 46, 47, 50, 51]);
/** Types of which a name has one record; RESINFO is among them (RFC 9606 §3). */
const SINGLE = new Set([5, 39, 261]);

interface Draft {
  readonly origin: string;
  readonly nodes: Map<string, Role>;
  readonly cuts: string[];
  /** Owners of DNAME here and in the zones below that are served too: NSD wants no data below any of them. */
  readonly redirects: string[];
}

type Role = "apex" | "nothing" | "data" | "cname" | "dname" | "cut" | "served" | "glue";

const ROLES: readonly Role[] = [
  ...Array<Role>(9).fill("data"),
  ...Array<Role>(5).fill("cname"),
  ...Array<Role>(3).fill("dname"),
  ...Array<Role>(4).fill("cut"),
  ...Array<Role>(4).fill("nothing"),
];

const LABELS = [
  ...["*", "*", "*", "a", "b", "c", "d", "ns", "www", "_sip", "_tcp"],
  ...["\\000", "\\000a", "a\\.b", "\\032", "\\255", "**", "x*", "\\@", "\\092", '\\"', "z-", "A\\193b"],
];

function draftZone(
  random: Random,
  origin: string,
  size: number,
  served: readonly Draft[],
  options: ZoneOptions,
): Draft {
  const redirects = served.flatMap((child) => child.redirects);
  const draft: Draft = { origin, nodes: new Map([[origin, "apex"]]), cuts: [], redirects };
  const open = [origin, origin, origin];
  // A DNAME at the apex leaves no room below (RFC 6672 §2.3), and NSD counts what a zone above has there too.
  if (origin.startsWith("n-") && random() < 0.4) return { ...draft, nodes: new Map([[origin, "dname"]]) };
  for (const { origin: name } of served) {
    draft.nodes.set(name, "served");
    draft.cuts.push(name);
    if (options.occluded) open.push(name);
  }
  while (draft.nodes.size < size) {
    const parent = pick(random, open);
    const name = `${pick(random, LABELS)}.${parent}`;
    if (draft.nodes.has(name) || nameOctets(nameFrom(name)) > 200 || isRedirected(draft, name)) continue;
    let role = pick(random, ROLES);
    if (role === "cut" && name.startsWith("*.")) role = "data";
    draft.nodes.set(name, role);
    if (role === "cut") draft.cuts.push(name);
    if (role === "dname") draft.redirects.push(name);
    else open.push(name, name);
  }
  addLongNames(random, draft, options.longest);
  return draft;
}

/** The longest names: by labels of 63, and by as many labels as there can be. */
function addLongNames(random: Random, { origin, nodes }: Draft, longest: number): void {
  const room = longest - nameOctets(nameFrom(origin));
  const wide: string[] = [];
  for (let left = room; left > 1;) {
    const size = Math.min(63, left - 1);
    wide.push("w".repeat(left - size - 1 === 1 ? size - 1 : size));
    left -= wide[wide.length - 1].length + 1;
    if (left === 1) break;
  }
  nodes.set(`${wide.reverse().join(".")}.${origin}`, pick(random, ["data", "cname"]));
  nodes.set(`${"m.".repeat(room >> 1)}${origin}`, "data");
  nodes.set(`*.${"v.".repeat((room >> 1) - 1)}${origin}`, pick(random, ["data", "cname"]));
}

function apexLines(origin: string): string[] {
  return [
    `${origin} 3600 IN SOA Ns1.${origin} hostmaster.${origin} 7 3600 600 86400 120`,
    `${origin} 3600 IN NS ns1.outside.invalid.`,
  ];
}

function zoneText(random: Random, draft: Draft, all: readonly Draft[], { occluded }: ZoneOptions): string {
  const { origin, nodes } = draft;
  const lines = apexLines(origin);
  if (nodes.get(origin) === "apex") {
    lines.push(`${origin} 3600 IN MX 10 mail.${origin}`, `mail.${origin} 300 IN A 192.0.2.25`);
  }
  const names = [...nodes.keys()];
  const everywhere = all.flatMap(({ nodes }) => [...nodes.keys()]);
  const target = () => {
    switch (between(random, 0, 9)) {
      case 0:
        return pick(random, ["www.outside.invalid.", "missing.invalid."]);
      case 1:
        return `missing.${pick(random, names)}`;
      case 2:
      case 3:
        return pick(random, everywhere);
      default:
        return pick(random, names);
    }
  };
  const fitting = () => {
    for (;;) {
      const name = target();
      if (nameFits(name)) return name;
    }
  };
  const ttl = () => pick(random, [0, 60, 300, 3600]);
  for (const [name, role] of nodes) {
    switch (role) {
      case "data":
        lines.push(...dataLines(random, name, fitting, ttl));
        break;
      case "cname":
        lines.push(`${name} ${ttl()} IN CNAME ${random() < 0.08 ? name : fitting()}`);
        break;
      case "dname":
        // NSD makes a node of the target and refuses it below the DNAME.
        lines.push(`${name} ${ttl()} IN DNAME ${random() < 0.08 ? "." : elsewhere(name, fitting)}`);
        if (random() < 0.4) lines.push(`${name} 60 IN TXT "beside a DNAME"`);
        break;
      case "served":
        if (!occluded) {
          lines.push(`${name} 300 IN NS ns.outside.invalid.`);
          break;
        }
        lines.push(...cutLines(random, name, draft, occluded, fitting, ttl));
        break;
      case "cut":
        lines.push(...cutLines(random, name, draft, occluded, fitting, ttl));
        break;
    }
  }
  return [...new Set(lines)].join("\n") + "\n";
}

function isRedirected({ redirects }: Draft, name: string): boolean {
  return redirects.some((redirect) => name === redirect || name.endsWith(`.${redirect}`));
}

function elsewhere(name: string, target: () => string): string {
  for (;;) {
    const text = target();
    if (text !== name && !text.endsWith(`.${name}`)) return text;
  }
}

function nameFits(name: string): boolean {
  let octets = 1;
  for (const label of name.split(/(?<!\\)\./)) {
    if (label !== "") octets += label.replace(/\\\d{3}|\\./g, "x").length + 1;
  }
  return octets <= 255;
}

function dataLines(random: Random, name: string, target: () => string, ttl: () => number): string[] {
  const kinds: readonly (() => string[])[] = [
    () => ["A 192.0.2.1", "A 192.0.2.2"].slice(0, between(random, 1, 2)),
    () => ["AAAA 2001:db8::1"],
    () => ['TXT "some text"', 'TXT "other" "text"'].slice(0, between(random, 1, 2)),
    () => [`MX 10 ${target()}`, `MX 20 ${target()}`],
    () => [`SRV 0 5 5060 ${target()}`],
    () => [`PTR ${target()}`],
    () => [`HTTPS 1 ${random() < 0.3 ? "." : target()} alpn=h2`],
    () => [`SVCB 0 ${target()}`],
    () => [`NAPTR 1 1 "S" "SIP+D2U" "" ${target()}`],
    () => [`CAA 0 issue "ca.test"`],
    () => [`HINFO "a" "b"`],
    () => [`TYPE65280 \\# 3 010203`],
    () => [`AFSDB 1 ${target()}`],
    () => [`KX 1 ${target()}`],
    () => [`RP ${target()} ${target()}`],
  ];
  const lines: string[] = [];
  for (const kind of new Set([kinds[between(random, 0, 2)], pick(random, kinds), pick(random, kinds)])) {
    const seconds = ttl();
    for (const text of kind()) lines.push(`${name} ${seconds} IN ${text}`);
  }
  return lines;
}

/** NS whose names lie inside, in a sibling delegation, in the zone, outside; glue for some of them; DS for some. */
function cutLines(
  random: Random,
  cut: string,
  draft: Draft,
  occluded: boolean,
  target: () => string,
  ttl: () => number,
): string[] {
  const { origin, nodes, cuts } = draft;
  const lines: string[] = [];
  const seconds = ttl();
  for (let count = between(random, 1, 3); count > 0; count--) {
    const server = pick(random, [
      () => `ns.${cut}`,
      () => `in.side.${cut}`,
      () => cut,
      () => `ns.${pick(random, cuts.filter((cut) => occluded || nodes.get(cut) !== "served"))}`,
      () => "ns.outside.invalid.",
      () => `ns.${origin}`,
      target,
    ])();
    if (!nameFits(server)) continue;
    lines.push(`${cut} ${seconds} IN NS ${server}`);
    // Glue only where nothing else stands: a name that was given a role keeps to it.
    const role = nodes.get(server) ?? "glue";
    const belowServed = cuts.some((cut) => nodes.get(cut) === "served" && server.endsWith(`.${cut}`));
    const glueFits = role === "glue" || role === "cut" || role === "served" || role === "nothing";
    if (
      glueFits && !(belowServed && !occluded) && !isRedirected(draft, server) &&
      server.endsWith(`.${origin}`) && random() < 0.8
    ) {
      lines.push(`${server} 600 IN A 192.0.2.53`);
      if (random() < 0.5) lines.push(`${server} 900 IN AAAA 2001:db8::53`);
    }
  }
  if (lines.length === 0) lines.push(`${cut} ${seconds} IN NS ns.outside.invalid.`);
  if (random() < 0.4) {
    const digest = "1F8188345F2B0D0A12EAEA95F2EF6DC66C1EA6F46A0DC4AE8E3D3E1E9B3F3A2C";
    lines.push(`${cut} 300 IN DS ${between(random, 1, 65_535)} 13 2 ${digest}`);
  }
  return lines;
}
