/** A pack as a collection sees it. Counts are of objects. */
export interface PackCensus {
  readonly base: string;
  readonly count: number;
  /** Objects that nothing reaches and that are still in their time of grace. */
  readonly resting: number;
  /** Objects that nothing reaches any more. */
  readonly garbage: number;
  readonly damaged: boolean;
  /** Reachability bitmaps lie beside it. */
  readonly mapped: boolean;
  /** Somebody wants it kept as it is (git's `.keep`). */
  readonly held: boolean;
}

/**
 * The packs to make one of. Those of any use stay in a geometric row, each at least twice as large as all smaller ones
 * together with the loose objects: so an object is written again only about as often as the logarithm of their number.
 * A pack with something in its time of grace rests; one that has garbage, or is damaged, is made anew.
 */
export function packsToRoll(
  census: readonly PackCensus[],
  looseObjects: number,
  full: boolean,
): Set<string> {
  const movable = census.filter(({ held, resting }) => !held && resting === 0);
  const rolled = new Set<string>();
  for (const pack of movable) {
    if (pack.garbage > 0 || pack.damaged || full) rolled.add(pack.base);
  }
  const ascending = movable.filter(({ base }) => !rolled.has(base)).sort((a, b) => a.count - b.count);
  let smaller = looseObjects + sum(movable.filter(({ base }) => rolled.has(base)));
  let upTo = 0;
  for (const [place, pack] of ascending.entries()) {
    if (pack.count < 2 * smaller) upTo = place + 1;
    smaller += pack.count;
  }
  for (const pack of ascending.slice(0, upTo)) rolled.add(pack.base);
  // One that would only be written as it is.
  const [only] = rolled;
  if (rolled.size === 1 && looseObjects === 0) {
    const pack = movable.find(({ base }) => base === only);
    if (pack !== undefined && pack.garbage === 0 && !pack.damaged) rolled.clear();
  }
  return rolled;
}

/**
 * Whether everything is worth one pack, with reachability bitmaps: where more than a fifth is in no pack that has them. So
 * an object is written again some five times in all, however long the repository grows. Not while a pack has to stay.
 */
export function isConsolidationDue(census: readonly PackCensus[], looseObjects: number): boolean {
  if (census.some(({ held, resting }) => held || resting > 0)) return false;
  const mapped = census.filter((pack) => pack.mapped && !pack.damaged);
  const covered = Math.max(0, ...mapped.map(({ count }) => count));
  return isMuchUnmapped(sum(census) + looseObjects - covered, covered);
}

export function isMuchUnmapped(unmapped: number, mapped: number): boolean {
  return unmapped * 4 > mapped;
}

function sum(packs: readonly PackCensus[]): number {
  return packs.reduce((total, { count, garbage }) => total + count - garbage, 0);
}
