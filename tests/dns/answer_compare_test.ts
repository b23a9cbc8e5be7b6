/** The same zones and questions for BIND, Knot, NSD and us: one answer. Deliberate differences are listed here. */
import { deepEqual, ok } from "node:assert/strict";
import { Buffer } from "node:buffer";
import { decode, type DecodedPacket, encode } from "dns-packet";
import {
  answerQuery,
  createAnswerContext,
  createImageSet,
  type ImageSet,
  nameFrom,
  nameToWire,
  type Zone,
} from "../../dns/mod.ts";
import { realTest } from "../tools/real.ts";
import { ask, type ServerKind, startRealServer } from "./answer_servers.ts";
import { allImages, allZones, questionNames, ZONES } from "./answer_zones.ts";

const DS = 43;
const SERVFAIL = 2;
const TYPES = [1, 2, 5, 6, 15, 16, 28, 33, 39, 43, 65, 65534];

for (const kind of ["knotd", "nsd", "named"] as const) {
  realTest(`answers are those of ${kind}`, { needs: [kind] }, async ({ dir }) => {
    const zones = allZones();
    const images = allImages();
    const names = questionNames(zones);
    const server = await startRealServer(kind, dir, loadable(kind));
    const differences: string[] = [];
    let compared = 0;
    try {
      const questions = names.flatMap((name) => TYPES.map((type) => ({ name, type })));
      await inParallel(questions, 16, async ({ name, type }) => {
        const query = question(name, type);
        const reply = await ask(server.port, query, 3000);
        ok(reply, `${kind} does not answer ${name} ${type}`);
        const out = new Uint8Array(1232);
        const set = kind === "nsd" ? images : imagesFor(zones, name, type);
        const length = answerQuery(set, query, query.length, out, createAnswerContext("udp"));
        const theirs = view(reply, kind);
        const ours = view(out.subarray(0, length), kind);
        if (kind === "named" && theirs.rcode === SERVFAIL && isLoop(ours)) return;
        // BIND has the other zone too, stops at its border and adds nothing; alone with the zone, it would refer.
        if (kind === "named" && name === "tochild.example.test.") return;
        compared++;
        if (
          JSON.stringify(comparable(ours, theirs, kind)) !== JSON.stringify(comparable(theirs, theirs, kind))
        ) {
          differences.push(
            `${name} ${type}\n  ours   ${JSON.stringify(ours)}\n  theirs ${JSON.stringify(theirs)}`,
          );
        }
      });
    } finally {
      await server.stop();
    }
    deepEqual(differences, []);
    ok(compared > names.length * TYPES.length * 0.9, `only ${compared} answers were compared`);
  });
}

/** Knot and NSD refuse to load data below a DNAME (RFC 6672 §2.4); BIND and we ignore it. */
function loadable(kind: ServerKind): Readonly<Record<string, string>> {
  if (kind === "named") return ZONES;
  return { ...ZONES, "example.test.": ZONES["example.test."].replace(/^below\.dn .*\n/m, "") };
}

interface View {
  readonly rcode: number;
  readonly aa: boolean;
  readonly tc: boolean;
  readonly answers: string[];
  readonly authorities: string[];
  readonly additionals: string[];
}

/**
 * NSD and we follow a chain into every served zone (RFC 1034 §4.3.2 step 3a); Knot and BIND stop at the zone's end, as we
 * do where the other zones are not ours.
 */
function imagesFor(zones: readonly Zone[], name: string, type: number): ImageSet {
  const above = zones.filter(({ origin }) =>
    (name === origin && (type !== DS || origin !== "served.example.test.")) ||
    name.toLowerCase().endsWith(`.${origin}`)
  );
  above.sort((a, b) => b.origin.length - a.origin.length);
  return createImageSet(above.slice(0, 1).map((zone) => zone.image));
}

/** BIND answers SERVFAIL to a chain that bites its tail; the others and we give the chain. */
function isLoop(ours: View): boolean {
  return ours.rcode === 0 && ours.answers.some((text) => text.includes(" cname ")) &&
    ours.answers.every((text) => /loop|self/.test(text));
}

/**
 * Additional data is optional (RFC 2181 §5.4.1 and RFC 9471 §3 leave all but in-domain glue to the server): compared in
 * referrals only, and of BIND's only what it gives; with minimal responses it leaves addresses out that are no glue.
 */
function comparable(shown: View, theirs: View, kind: ServerKind): View {
  const referral = theirs.answers.length === 0 && theirs.authorities.some((text) => text.includes(" ns "));
  return {
    ...shown,
    additionals: !referral
      ? []
      : kind === "named"
      ? shown.additionals.filter((text) => theirs.additionals.includes(text))
      : shown.additionals,
  };
}

function view(message: Uint8Array, kind: ServerKind): View {
  const packet: DecodedPacket = decode(Buffer.from(message));
  const records = (list: readonly object[] | undefined) =>
    (list ?? []).map((record) => {
      const { name, type, ttl, data } = record as Record<string, unknown>;
      return `${name} ${type} ${ttl} ${JSON.stringify(data)}`.toLowerCase();
    }).filter((text) => !/^\S+ opt /.test(text));
  // Sections are sets (RFC 2181 §5): some servers repeat the records of a loop.
  const set = (list: readonly object[] | undefined) => [...new Set(records(list).map(settled))].sort();
  // BIND answers a negative SOA query with TTL 0, for the sake of dynamic updates; RFC 2308 §3 does not.
  const settled = (text: string) =>
    kind === "named" && (packet.questions ?? [])[0]?.type === "SOA"
      ? text.replace(/ soa \d+ /, " soa TTL ")
      : text;
  return {
    rcode: message[3] & 0x0f,
    aa: (message[2] & 0x04) !== 0,
    tc: (message[2] & 0x02) !== 0,
    answers: set(packet.answers),
    authorities: set(packet.authorities),
    additionals: set(packet.additionals),
  };
}

function question(name: string, type: number): Uint8Array {
  // Upper case goes in behind the canonical form, so that it reaches the servers.
  const wire = nameToWire(nameFrom(name));
  if (type % 2 === 1) { for (let i = 0; i < wire.length; i++) if (wire[i] === 0x78) wire[i] = 0x58; }
  const head = encode({
    type: "query",
    id: type,
    questions: [],
    additionals: [{ type: "OPT", name: ".", udpPayloadSize: 1232, flags: 0, options: [] } as never],
  });
  const query = new Uint8Array(head.length + wire.length + 4);
  query.set(head.subarray(0, 12));
  query.set(wire, 12);
  query.set([type >>> 8, type & 0xff, 0, 1], 12 + wire.length);
  query.set(head.subarray(12), 16 + wire.length);
  query[5] = 1;
  return query;
}

async function inParallel<T>(
  items: readonly T[],
  width: number,
  body: (item: T) => Promise<void>,
): Promise<void> {
  const iterator = items.values();
  await Promise.all(Array.from({ length: width }, async () => {
    for (const item of iterator) await body(item);
  }));
}
