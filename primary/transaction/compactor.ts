import { compaction, type Name, rebase, type Zone } from "../../dns/mod.ts";
import { memoryOf, type ServedZone } from "./served_zone.ts";

/** Gives zones over whose base many versions lie a base of their own, in slices beside other work. */
export interface Compactor {
  /** A new version of the zone is served. */
  published(zone: ServedZone): void;
  stop(): void;
}

export interface CompactorOptions {
  /**
   * Puts a zone in the place of the one served, whose content is the same, when no change is under way. Is told how to
   * make it of what is served then; `undefined`: it is not to be replaced.
   */
  readonly replace: (
    zone: Name,
    make: (now: ServedZone) => ServedZone | undefined,
  ) => Promise<void>;
  /** Runs a slice of about a millisecond when nothing else is to be done. Gives what cancels it. */
  readonly soon: (slice: () => void) => () => void;
  readonly failed: (zone: Name, error: unknown) => void;
  /** Versions over one base before it is replaced. */
  readonly versions?: number;
}

/** Some hundred octets each: far fewer than what a base has room for, so that no change has to wait for a new one. */
const MOST_VERSIONS = 4096;

export function createCompactor(options: CompactorOptions): Compactor {
  const most = options.versions ?? MOST_VERSIONS;
  const bases = new Map<Name, { readonly memory: ArrayBufferLike; versions: number }>();
  let running = false;
  let cancel = () => {};
  let stopped = false;

  function published({ origin, served }: ServedZone): void {
    const memory = memoryOf(served);
    const base = bases.get(origin);
    if (base?.memory !== memory) {
      bases.set(origin, { memory, versions: 0 });
      return;
    }
    if (++base.versions < most || running || stopped) return;
    running = true;
    run(origin, served);
  }

  function run(origin: Name, from: Zone): void {
    const slices = compaction(from);
    const step = () => {
      const { done, value } = slices.next();
      if (done !== true) cancel = options.soon(step);
      else void finish(origin, from, value);
    };
    cancel = options.soon(step);
  }

  async function finish(origin: Name, from: Zone, fresh: Zone): Promise<void> {
    try {
      if (fresh !== from) await options.replace(origin, (now) => overBase(fresh, from, now));
    } catch (error) {
      options.failed(origin, error);
    } finally {
      bases.delete(origin);
      running = false;
    }
  }

  return {
    published,
    stop: () => {
      stopped = true;
      cancel();
    },
  };
}

/** What is served now, changes made meanwhile included, over the new base; nothing where it has another base already. */
function overBase(fresh: Zone, from: Zone, now: ServedZone): ServedZone | undefined {
  if (now.good === undefined || memoryOf(now.served) !== memoryOf(from)) return undefined;
  const served = rebase(fresh, from, now.served);
  const zone = rebase(fresh, from, now.good.zone);
  if (!served.ok || !zone.ok) return undefined;
  return { ...now, served: served.value, good: { ...now.good, zone: zone.value } };
}
