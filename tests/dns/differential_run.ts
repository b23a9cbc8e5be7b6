/** One round of comparison with a real server: zones and questions from seeds, signed or not. */
import type { Zone } from "../../dns/mod.ts";
import { zoneOf } from "./answer_zones.ts";
import { type ServerKind, startRealServer } from "./answer_servers.ts";
import { compareWith, type Comparison } from "./differential.ts";
import { generateQuestions } from "./differential_questions.ts";
import { type Signing, signZones } from "./differential_signing.ts";
import { generateZones, zoneOfAllTypes, type Zones } from "./differential_zones.ts";

export interface Round {
  readonly kind: ServerKind;
  readonly seeds: readonly number[];
  /** In all. */
  readonly questions: number;
  /** `undefined`: the zones are not signed. */
  readonly signing: Signing | undefined;
}

/** Starts the server in `dir`, asks, stops it. */
export async function compareRound(dir: string, round: Round): Promise<Comparison> {
  const { seeds, signing } = round;
  const texts = await zonesOf(dir, round);
  return await compareZones(dir, texts, round, `${signing ?? "unsigned"} zones of seeds ${seeds.join(",")}`);
}

/** The same with given zones; the first seed is that of the questions. */
export async function compareZones(
  dir: string,
  texts: Zones,
  round: Round,
  label: string,
): Promise<Comparison> {
  const { kind, seeds, signing } = round;
  const zones = Object.entries(texts).map(([origin, text]): Zone => zoneOf(origin, text));
  const questions = generateQuestions(zones, {
    seed: seeds[0],
    count: round.questions,
    sizes: signing === undefined
      ? [undefined, 512, 1232, 4096, 4096]
      : [undefined, 512, 1232, 4096, 4096, 4096],
    dnssec: signing === undefined ? 0.3 : 0.9,
  });
  const server = await startRealServer(kind, dir, kind === "nsd" ? readableForNsd(texts) : texts);
  try {
    return await compareWith(kind, server, zones, questions, `${label}, ${round.questions} questions`);
  } finally {
    await server.stop();
  }
}

async function zonesOf(dir: string, { kind, seeds, signing }: Round): Promise<Zones> {
  // NSD has one tree of names for all zones, and takes what is below a child's apex for data of the child.
  const occluded = kind !== "nsd";
  // With NSEC3, dnssec-signzone wants to put a label in front of every name.
  const longest = signing === undefined || signing === "nsec" ? 255 : 253;
  const plain: Zones = Object.assign(
    {},
    ...seeds.map((seed) => generateZones(seed, `s${seed}.test.`, { occluded, longest })),
  );
  if (signing === undefined) {
    return { ...zoneOfAllTypes(seeds[0], "types.test.", kind === "named" ? NOT_FOR_BIND : []), ...plain };
  }
  return await signZones(
    dir,
    Object.fromEntries(Object.entries(plain).map(([origin, text]) => [origin, { text, signing }])),
  );
}

/** NSD 4.6 takes the dot behind an escaped backslash for an escaped dot. */
function readableForNsd(texts: Zones): Zones {
  return Object.fromEntries(
    Object.entries(texts).map(([origin, text]) => [origin, text.replaceAll("\\\\", "\\092")]),
  );
}

/** MD, MF and DLV are obsolete for it; of NAPTR it reads the regular expression, of LOC it refuses sizes like 0e3. */
const NOT_FOR_BIND = [3, 4, 29, 35, 32_769];
