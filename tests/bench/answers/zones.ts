/** Zones and questions of the answer benchmarks, the same at every run: text out, nothing read. */

/** A zone's text under an origin, and the owners that its questions are about. */
export interface BenchZone {
  readonly origin: string;
  readonly text: string;
}

export const ORIGIN = "bench.test.";
export const SMALL_NAMES = 100_000;
export const LARGE_NAMES = 1_000_000;
const TLDS = 1_400;
const WILDCARDS = 1_000;

/** A zone of as many names with one A record each, and SOA, NS and the server's address: three records more. */
export function flatZone(names: number): BenchZone {
  const lines = [...apex(), "ns1 A 192.0.2.1"];
  for (let i = 0; i < names; i++) lines.push(`${flatLabel(names, i)} A ${address(i)}`);
  return zone(ORIGIN, lines);
}

/** As the root zone looks like: delegations with 4 to 13 servers each, a third of them inside, and DS for nine in ten. */
export function rootLikeZone(): BenchZone {
  const lines = [...apex(), "ns1 A 192.0.2.1"];
  const random = generator(7);
  for (let i = 0; i < TLDS; i++) {
    const tld = `t${label(i)}`;
    const servers = 4 + random(10);
    // Servers below the TLD itself, of another TLD, and of names that the root knows nothing about.
    const kind = i % 3;
    for (let s = 0; s < servers; s++) {
      if (kind === 0) {
        const name = `${String.fromCharCode(97 + s)}.nic.${tld}`;
        lines.push(`${tld} 172800 NS ${name}`, ...glue(name, i, s));
      } else if (kind === 1) {
        // Its neighbour's servers, whose glue is there because the neighbour needs it.
        const neighbour = `t${label(i - 1)}`;
        if (s < 4) lines.push(`${tld} 172800 NS ${String.fromCharCode(97 + s)}.nic.${neighbour}`);
      } else {
        lines.push(`${tld} 172800 NS ns${s}.${label(i)}-dns.example.`);
      }
    }
    if (i % 10 !== 9) {
      const digest = Array.from({ length: 32 }, () => random(256).toString(16).padStart(2, "0")).join("");
      lines.push(`${tld} 86400 DS ${random(65_536)} 13 2 ${digest}`);
    }
  }
  return zone(".", lines);
}

/** A thousand wildcards, one to three labels below the apex, among names that exist. */
export function wildcardZone(): BenchZone {
  const lines = [...apex(), "ns1 A 192.0.2.1"];
  for (let i = 0; i < WILDCARDS; i++) {
    const at = wildcardParent(i);
    lines.push(
      `*.${at} A ${address(i)}`,
      `*.${at} AAAA 2001:db8::${i.toString(16)}`,
      `www.${at} A ${address(i)}`,
    );
  }
  return zone(ORIGIN, lines);
}

/** Names that exist in a flat zone, each as likely. */
export function existingQuestions(names: number, count: number): string {
  const random = generator(1);
  return questions(count, () => `${flatLabel(names, random(names))}.${ORIGIN} A`);
}

/** Names that do not, spread over all of a flat zone: none has a hyphen. */
export function missingQuestions(names: number, count: number): string {
  const random = generator(2);
  return questions(
    count,
    () => `${label(random(names)).slice(0, 4)}-${random(0x7fff_ffff).toString(36)}.${ORIGIN} A`,
  );
}

/** Names one or two labels below the delegated ones. */
export function referralQuestions(count: number): string {
  const random = generator(3);
  return questions(count, (i) => {
    const below = `${random(1 << 24).toString(36)}.t${label(random(TLDS))}.`;
    return i % 2 === 0 ? `${below} A` : `www.${below} AAAA`;
  });
}

/** Names one to three labels below a wildcard's parent that only the wildcard answers. */
export function wildcardQuestions(count: number): string {
  const random = generator(4);
  return questions(count, (i) => {
    const labels = Array.from({ length: 1 + i % 3 }, () => `q${random(1 << 24).toString(36)}`);
    return `${labels.join(".")}.${wildcardParent(random(WILDCARDS))}.${ORIGIN} ${i % 4 === 3 ? "AAAA" : "A"}`;
  });
}

/**
 * The large zone counts its names: NSD's tree of octets takes less than half the memory and time for them than for
 * scattered ones, so that nobody wins by the choice of names.
 */
function flatLabel(names: number, i: number): string {
  return names === LARGE_NAMES ? `h${i}` : label(i);
}

function wildcardParent(i: number): string {
  const levels = [`${label(i)}`, `sub.${label(i)}`, `deep.sub.${label(i)}`];
  return levels[i % 3];
}

function apex(): string[] {
  return ["@ SOA ns1 admin 1 3600 600 86400 300", "@ NS ns1"];
}

function glue(name: string, i: number, s: number): string[] {
  return [
    `${name} 172800 A 10.${i >> 8}.${i & 255}.${s + 1}`,
    `${name} 172800 AAAA 2001:db8:${i.toString(16)}::${s + 1}`,
  ];
}

function zone(origin: string, lines: readonly string[]): BenchZone {
  return { origin, text: `$ORIGIN ${origin}\n$TTL 300\n${lines.join("\n")}\n` };
}

/** One to one, and scattered over the canonical order: a prime's multiples modulo a larger prime, in base 36. */
function label(i: number): string {
  return ((i + 1) * 48_271 % 2_147_483_647).toString(36).padStart(6, "0").split("").reverse().join("");
}

function address(i: number): string {
  return `10.${i >> 16 & 255}.${i >> 8 & 255}.${i & 255}`;
}

function questions(count: number, one: (i: number) => string): string {
  return Array.from({ length: count }, (_, i) => one(i)).join("\n") + "\n";
}

/** Numbers below a bound, the same for the same seed (Lehmer's generator, two steps a number). */
function generator(seed: number): (below: number) => number {
  let at = seed * 7_919 + 1;
  const step = () => at = at * 48_271 % 2_147_483_647;
  for (let i = 0; i < 10; i++) step();
  return (below) => {
    step();
    return Math.floor(step() / 2_147_483_647 * below);
  };
}
