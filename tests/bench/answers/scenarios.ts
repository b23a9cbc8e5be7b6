/** What is asked of which zone, and what every right server answers. */
import { type Denial, textFile, zoneFile } from "./cache.ts";
import type { Asking } from "./dnsperf.ts";
import {
  type BenchZone,
  existingQuestions,
  flatZone,
  LARGE_NAMES,
  missingQuestions,
  referralQuestions,
  rootLikeZone,
  SMALL_NAMES,
  wildcardQuestions,
  wildcardZone,
} from "./zones.ts";

export interface Scenario {
  /** A letter and perhaps a digit: `a`, `d1`. A letter alone asks for all that begin with it. */
  readonly key: string;
  readonly title: string;
  readonly asking: Asking;
  readonly expected: Expected;
  readonly denial: Denial | undefined;
  /** Makes the files, or finds them. */
  files(): Promise<ScenarioFiles>;
}

/** Of each answer in the scenario. */
export interface Expected {
  readonly rcode: number;
  readonly answers: number;
  /** At least so many records in the authority section: SOA, NSEC or NSEC3, NS, DS and signatures as the answer needs. */
  readonly authority: number;
}

export interface ScenarioFiles {
  readonly origin: string;
  readonly zone: string;
  readonly questions: string;
}

const FOUND: Expected = { rcode: 0, answers: 1, authority: 0 };
const DENIED: Expected = { rcode: 3, answers: 0, authority: 1 };
const PROVEN: Expected = { rcode: 3, answers: 0, authority: 4 };
const PROVEN_HASHED: Expected = { rcode: 3, answers: 0, authority: 6 };
const REFERRED: Expected = { rcode: 0, answers: 0, authority: 4 };
const REFERRED_SIGNED: Expected = { rcode: 0, answers: 0, authority: 6 };
const UDP: Asking = { transport: "udp", edns: "none" };
const QUESTIONS = 500_000;

export const SCENARIOS: readonly Scenario[] = [
  scenario(
    "a",
    "100,000 names asked uniformly",
    UDP,
    FOUND,
    () => flatZone(SMALL_NAMES),
    existing(SMALL_NAMES),
  ),
  scenario(
    "b",
    "1,000,003 records asked uniformly",
    UDP,
    FOUND,
    () => flatZone(LARGE_NAMES),
    existing(LARGE_NAMES),
  ),
  scenario("c", "random names, all NXDOMAIN", UDP, DENIED, () => flatZone(SMALL_NAMES), missing),
  scenario(
    "d1",
    "the same signed, NSEC, DO=1",
    withDo(),
    PROVEN,
    () => flatZone(SMALL_NAMES),
    missing,
    "nsec",
  ),
  scenario(
    "d2",
    "the same signed, NSEC3, DO=1",
    withDo(),
    PROVEN_HASHED,
    () => flatZone(SMALL_NAMES),
    missing,
    "nsec3",
  ),
  scenario(
    "e1",
    "root-like delegations, EDNS",
    { ...UDP, edns: "edns" },
    REFERRED,
    rootLikeZone,
    referred,
    "nsec",
  ),
  scenario("e2", "root-like delegations, DO=1", withDo(), REFERRED_SIGNED, rootLikeZone, referred, "nsec"),
  scenario("f", "wildcards", UDP, FOUND, wildcardZone, () => wildcardQuestions(QUESTIONS)),
  scenario(
    ...["g", "100,000 names over TCP, pipelined"] as const,
    ...[{ ...UDP, transport: "tcp" }, FOUND, () => flatZone(SMALL_NAMES), existing(SMALL_NAMES)] as const,
  ),
];

/** The scenarios of `a,d,e2`. @throws {Error} naming what is no scenario */
export function chosen(text: string): Scenario[] {
  return text.split(",").flatMap((key) => {
    const found = SCENARIOS.filter((each) => each.key === key || each.key.replace(/\d$/, "") === key);
    if (found.length === 0) {
      throw new Error(`there is no scenario ${key}: ${SCENARIOS.map((s) => s.key).join(", ")}`);
    }
    return found;
  });
}

function scenario(
  key: string,
  title: string,
  asking: Asking,
  expected: Expected,
  zone: () => BenchZone,
  questions: () => string,
  denial?: Denial,
): Scenario {
  const files = async () => {
    const made = zone();
    return {
      origin: made.origin,
      zone: await zoneFile(made, denial),
      questions: await textFile(questions()),
    };
  };
  return { key, title, asking, expected, denial, files };
}

function existing(names: number): () => string {
  return () => existingQuestions(names, QUESTIONS);
}

function missing(): string {
  return missingQuestions(SMALL_NAMES, QUESTIONS);
}

function referred(): string {
  return referralQuestions(QUESTIONS);
}

function withDo(): Asking {
  return { transport: "udp", edns: "do" };
}
