/**
 * Where other servers may differ from us, each case by name and with the words that allow it. A rule takes what it allows
 * out of both answers; what is left must be equal.
 */
import {
  firstLabel,
  isAtOrBelow,
  type Name,
  nameFromWire,
  parentName,
  RCODE,
  RRTYPE,
  type Zone,
} from "../../dns/mod.ts";
import type { ServerKind } from "./answer_servers.ts";
import { differences, isReferral, isType, type Seen } from "./differential_compare.ts";
import { unproven } from "./differential_proofs.ts";
import { type DnsQuestion, zoneOf } from "./differential_questions.ts";

export interface Pair {
  readonly ours: Seen;
  readonly theirs: Seen;
}

export interface RuleContext {
  readonly kind: ServerKind;
  readonly question: DnsQuestion;
  readonly zones: readonly Zone[];
  /** The deepest served zone that has the name in question. */
  readonly zone: Zone | undefined;
}

export interface Rule {
  readonly name: string;
  /** Whose answers it is about. */
  readonly kinds: readonly ServerKind[];
  readonly because: string;
  /** The pair without what the rule allows; the very same pair where it does not apply. */
  settle(pair: Pair, context: RuleContext): Pair;
}

const ALL: readonly ServerKind[] = ["knotd", "nsd", "named"];

export const RULES: readonly Rule[] = [
  {
    name: "any gets something",
    kinds: ALL,
    because:
      `RFC 8482 §4: "a DNS responder [...] MAY decline to provide a conventional ANY response or MAY instead
      send a response with a single RRset"; which one, and whether a chain is followed, is the responder's choice.`,
    settle(pair, { question }) {
      const same = pair.ours.answers.length > 0 && pair.theirs.answers.length > 0;
      return question.type === RRTYPE.ANY && same ? both(pair, { ...WITHOUT_RECORDS, rcode: 0 }) : pair;
    },
  },
  {
    name: "signatures that are asked for",
    kinds: ALL,
    because:
      `RFC 4034 §3: RRSIG records "do not form an RRset", so no server owes all of them. We give those of every
      type there, with the proof that a wildcard needs; Knot and BIND a part, Knot without it.`,
    settle(pair, { question }) {
      const found = ({ answers }: Seen) => answers.some(isType(RRTYPE.RRSIG));
      if (question.type !== RRTYPE.RRSIG || !found(pair.ours) || !found(pair.theirs)) return pair;
      return both(pair, WITHOUT_RECORDS);
    },
  },
  {
    name: "additional data beside an answer is optional",
    kinds: ALL,
    because:
      `RFC 1034 §4.3.2 step 6: "attempt to add other RRs which may be useful". NSD and BIND add none when told to
      answer minimally; Knot adds glue and the records of SVCB's targets too. What we add is compared with the zone.`,
    settle(pair, _context) {
      if (isReferral(pair.ours) || pair.ours.additionals.length + pair.theirs.additionals.length === 0) {
        return pair;
      }
      return both(pair, { additionals: [] });
    },
  },
  {
    name: "addresses that are no glue",
    kinds: ["nsd", "named"],
    because:
      `RFC 9471 §3.1 wants the glue for in-domain name servers; other addresses are additional data that may be
      useful (RFC 1034 §4.3.2 step 6). BIND leaves them out of minimal answers, NSD out of long ones.`,
    settle(pair, _context) {
      if (!isReferral(pair.ours)) return pair;
      const cut = pair.ours.authorities.find(isType(RRTYPE.NS))?.owner;
      const theirs = new Set(pair.theirs.additionals.map(({ text }) => text));
      const needed = pair.ours.additionals.filter(({ owner, text }) =>
        theirs.has(text) || (cut !== undefined && isAtOrBelow(owner, cut))
      );
      if (needed.length === pair.ours.additionals.length) return pair;
      return { ...pair, ours: { ...pair.ours, additionals: needed } };
    },
  },
  {
    name: "addresses made from a wildcard",
    kinds: ["knotd", "nsd"],
    because:
      `RFC 1034 §4.3.2 makes records from a wildcard in step 3c, for the name in question; step 3b adds "whatever
      addresses are available", and no address is there at such a name. Knot and NSD make glue from wildcards below the
      cut too, which are no authoritative data of the zone.`,
    settle(pair, { zones }) {
      const real = pair.theirs.additionals.filter(({ owner }) =>
        zones.some((zone) => zone.rrsets(owner).length > 0)
      );
      if (real.length === pair.theirs.additionals.length) return pair;
      return { ...pair, theirs: { ...pair.theirs, additionals: real } };
    },
  },
  {
    name: "a negative SOA answer has TTL 0",
    kinds: ["named"],
    because:
      `RFC 2308 §3: the TTL of the SOA is "the minimum of the MINIMUM field of the SOA record and the TTL of the SOA
      itself". BIND sets it to 0 where the SOA was asked for, so that updates find the zone anew.`,
    settle(pair, { question }) {
      const soa = pair.theirs.authorities.find(isType(RRTYPE.SOA));
      if (question.type !== RRTYPE.SOA || soa?.ttl !== 0) return pair;
      return both(pair, { authorities: [] });
    },
  },
  {
    name: "a loop is SERVFAIL",
    kinds: ["named"],
    because:
      `RFC 1034 §3.6.2: "CNAME chains should be followed and CNAME loops signalled as an error" speaks to resolvers;
      RFC 1034 §4.3.2 step 3a has the authoritative server copy the CNAMEs and go on. The records are the same.`,
    settle(pair, _context) {
      const loop = pair.ours.rcode === RCODE.NOERROR && pair.theirs.rcode === RCODE.SERVFAIL &&
        !pair.ours.authorities.some(isType(RRTYPE.NS, RRTYPE.SOA)) && pair.ours.answers.length > 0 &&
        endsInLoop(pair.ours);
      return loop ? both(pair, { rcode: RCODE.NOERROR }) : pair;
    },
  },
  {
    name: "a chain that leaves the zone ends",
    kinds: ["named"],
    because:
      `RFC 1034 §4.3.2 step 3a: "change QNAME to the canonical name in the CNAME RR, and go back to step 1", where
      the nearest zone is looked for. BIND stops at the border of a zone that it serves; alone with the first zone, as we
      are asked here, one would refer to the second.`,
    settle(pair, { zones, zone }) {
      const last = lastTarget(pair.ours);
      const leaves = last !== undefined && zoneOf(zones, last) !== zone &&
        !pair.theirs.authorities.some(isType(RRTYPE.NS, RRTYPE.SOA));
      if (!leaves) return pair;
      // The proof that a wildcard needs on the way stays.
      const known = new Set(pair.theirs.authorities.map(({ text }) => text));
      const authorities = pair.ours.authorities.filter(({ text }) => known.has(text));
      return both({ ...pair, ours: { ...pair.ours, authorities } }, { additionals: [] });
    },
  },
  {
    name: "YXDOMAIN ends the answer",
    kinds: ["knotd"],
    because:
      `RFC 6672 §3.2 step 3C: "set RCODE to YXDOMAIN and exit". Knot goes on to what stands at the DNAME's target, or
      adds an SOA, which is for NXDOMAIN and NODATA (RFC 2308 §2).`,
    settle(pair, _context) {
      if (pair.theirs.rcode !== RCODE.YXDOMAIN) return pair;
      const known = new Set(pair.ours.answers.map(({ text }) => text));
      const answers = pair.theirs.answers.filter(({ text }) => known.has(text));
      return { ...pair, theirs: { ...pair.theirs, answers, authorities: [], additionals: [] } };
    },
  },
  {
    name: "a DNAME at a wildcard keeps its owner",
    kinds: ["knotd"],
    because:
      `RFC 6672 §3.2 step 3C: "copy that DNAME into the answer section"; a name below the label * is no match of a
      wildcard, so nothing is made from it. Knot writes the name in question as the owner, and no such DNAME exists; with
      NSEC3 it fails.`,
    settle(pair, _context) {
      const ours = pair.ours.answers.some(({ type, owner }) =>
        type === RRTYPE.DNAME && owner.startsWith("*.")
      );
      const known = new Set(pair.ours.answers.map(({ text }) => text));
      const wrong = pair.theirs.answers.some(({ type, text }) => type === RRTYPE.DNAME && !known.has(text));
      if (!ours || !wrong && pair.theirs.rcode !== RCODE.SERVFAIL) return pair;
      // Signatures, proofs and what follows from there differ with it.
      const { rcode, authoritative } = pair.ours;
      const failed = pair.theirs.rcode === RCODE.SERVFAIL;
      return both(pair, { ...WITHOUT_RECORDS, ...(failed ? { rcode, authoritative } : {}) });
    },
  },
  {
    name: "the parent's NSEC that is asked for at a cut",
    kinds: ["named"],
    because:
      `RFC 1034 §4.3.2 step 3b: at a cut "we have a referral"; of the parent's types there RFC 4035 §3.1.4.1 makes DS
      alone an exception. BIND answers with its NSEC.`,
    settle(pair, { question }) {
      if (
        question.type !== RRTYPE.NSEC || !isReferral(pair.ours) ||
        !pair.theirs.answers.some(isType(RRTYPE.NSEC))
      ) return pair;
      return both(pair, { ...WITHOUT_RECORDS, authoritative: false });
    },
  },
  {
    name: "a hash is no name",
    kinds: ["nsd"],
    because:
      `RFC 5155 §7.2.8: for a name that owns an NSEC3 record and nothing else "the response MUST be constructed as a
      Name Error response", since it is not in the chain; so there is nothing below it either and the wildcard beside it
      applies. NSD takes such a name for the closest encloser.`,
    settle(pair, { question, zone }) {
      for (
        let at: Name | undefined = question.name;
        at !== undefined && at !== zone?.origin;
        at = parentName(at)
      ) {
        if (/^[0-9a-v]{32}$/.test(firstLabel(at))) {
          return both(pair, { ...WITHOUT_RECORDS, rcode: RCODE.NOERROR });
        }
      }
      return pair;
    },
  },
  {
    name: "names below what opt-out leaves out",
    kinds: ["knotd"],
    because:
      `RFC 5155 §7.1 lets the chain leave out empty non-terminals that only insecure delegations make. What is denied
      below one cannot be proven; RFC 2308 §2.1 wants the SOA all the same. Knot gives the code alone, without AA.`,
    settle(pair, _context) {
      const { rcode, authoritative, authorities } = pair.theirs;
      const bare = rcode === RCODE.NXDOMAIN && !authoritative && authorities.length === 0;
      return bare && pair.ours.rcode === rcode ? both(pair, { authorities: [], authoritative: true }) : pair;
    },
  },
  {
    name: "a proof that proves nothing",
    kinds: ALL,
    because:
      `RFC 4035 §3.1.3, RFC 5155 §7.2: the records that prove the denial must be there; ours do, as is worked out in
      differential_proofs.ts, and theirs do not. Knot sorts labels with the octet 0 wrong (RFC 4034 §6.1); NSD takes the
      record at the sibling before the wildcard, not the last one below it; BIND leaves out the record that says that a
      wildcard is an empty non-terminal.`,
    settle(pair, { question }) {
      if (!question.dnssecOk || unproven(pair.theirs, question.name, question.type).length === 0) return pair;
      if (unproven(pair.ours, question.name, question.type).length > 0) return pair;
      return both(pair, (seen) => ({
        authorities: seen.authorities.filter(({ type, rdata }) =>
          !isProof(type === RRTYPE.RRSIG ? rdata[0] << 8 | rdata[1] : type)
        ),
      }));
    },
  },
  {
    name: "more than the proof",
    kinds: ALL,
    because:
      `RFC 4035 §3.1.3 and RFC 5155 §7.2 name the records that must be there. Ours prove the denial; what others add is
      theirs to spend: NSD a record that denies the wildcard where the name is the wildcard, Knot and BIND some more.`,
    settle(pair, { question }) {
      const known = new Set(pair.ours.authorities.map(({ text }) => text));
      const extra = new Set(pair.theirs.authorities.filter(({ text }) => !known.has(text)));
      const only = [...extra].every(({ type, rdata }) =>
        isProof(type === RRTYPE.RRSIG ? rdata[0] << 8 | rdata[1] : type)
      );
      if (extra.size === 0 || !only || !question.dnssecOk) return pair;
      if (unproven(pair.ours, question.name, question.type).length > 0) return pair;
      const authorities = pair.theirs.authorities.filter((record) => !extra.has(record));
      return { ...pair, theirs: { ...pair.theirs, authorities } };
    },
  },
  {
    name: "types that may stand beside a CNAME",
    kinds: ALL,
    because:
      `RFC 1034 §4.3.2 step 3a: "If the data at the node is a CNAME, and QTYPE doesn't match CNAME, copy the CNAME
      RR into the answer section". RRSIG and NSEC may stand beside it (RFC 4034 §3, §4); where there are none, nothing
      matches. Knot (RRSIG), NSD (NSEC3) and BIND (RRSIG, NSEC, KEY) say NODATA then.`,
    settle(pair, { question }) {
      const extra = pair.ours.answers.filter(({ text }) =>
        !pair.theirs.answers.some((other) => other.text === text)
      );
      const applies = [RRTYPE.RRSIG, RRTYPE.NSEC, RRTYPE.NSEC3, RRTYPE.KEY, RRTYPE.SIG, RRTYPE.NXT].some((
        type,
      ) => type === question.type);
      if (!applies || extra.length === 0 || pair.theirs.rcode !== RCODE.NOERROR) return pair;
      const denied = pair.theirs.authorities.some(isType(RRTYPE.SOA));
      if (!denied || extra[0].type !== RRTYPE.CNAME && !extra.some(isType(RRTYPE.CNAME))) return pair;
      return both(pair, { ...WITHOUT_RECORDS, rcode: RCODE.NOERROR });
    },
  },
];

function isProof(type: number): boolean {
  return type === RRTYPE.NSEC || type === RRTYPE.NSEC3;
}

const WITHOUT_RECORDS = { answers: [], authorities: [], additionals: [] };

function both(pair: Pair, change: Partial<Seen> | ((seen: Seen) => Partial<Seen>)): Pair {
  const apply = (seen: Seen): Seen => ({ ...seen, ...typeof change === "function" ? change(seen) : change });
  return { ours: apply(pair.ours), theirs: apply(pair.theirs) };
}

/** Where the chain of an answer ends: the CNAME target that owns nothing in it. */
function lastTarget(seen: Seen): Name | undefined {
  const targets = seen.answers.filter(isType(RRTYPE.CNAME)).map(({ rdata }) => nameFromWire(rdata, 0)?.name);
  return targets.find((target) =>
    target !== undefined && !seen.answers.some(({ owner }) => owner === target)
  );
}

/** Every CNAME target owns the next CNAME. */
function endsInLoop(seen: Seen): boolean {
  return seen.answers.some(isType(RRTYPE.CNAME)) && lastTarget(seen) === undefined &&
    seen.answers.every(isType(RRTYPE.CNAME, RRTYPE.DNAME, RRTYPE.RRSIG));
}

/** Both answers without what the rules allow, and the names of the rules that had something to allow. */
export function settled(pair: Pair, context: RuleContext): { pair: Pair; used: string[] } {
  const used: string[] = [];
  for (const rule of RULES) {
    if (differences(pair.ours, pair.theirs).length === 0) break;
    if (!rule.kinds.includes(context.kind)) continue;
    const next = rule.settle(pair, context);
    if (next !== pair) used.push(rule.name);
    pair = next;
  }
  return { pair, used };
}
