/** Which signed updates were answered, so that none is carried out twice, in bounded memory. */
import type { Name, TsigKey } from "../types.ts";

export interface UpdateMemory {
  /** The answer that this update got, or is about to get. */
  find(update: SignedOnce, now: number): Promise<Uint8Array | undefined> | undefined;
  /**
   * True when an update of this key that was signed then or later has been forgotten before its time, so that one
   * signed at `timeSigned` cannot be told from a replay.
   */
  isTooOld(key: Name, timeSigned: number): boolean;
  add(update: SignedOnce, answer: Promise<Uint8Array | undefined>): void;
}

/**
 * A verified signature. Its MAC, in full length, stands for the update: it covers all of it but the ID in the header,
 * which anybody on the way may change.
 */
export interface SignedOnce {
  readonly key: TsigKey;
  readonly mac: Uint8Array;
  readonly timeSigned: number;
  readonly fudge: number;
}

/**
 * Remembers up to `capacity` updates for as long as their signatures are in time. Where more come, the oldest is
 * forgotten, and its key's updates signed no later than that are refused from then on (RFC 8945 §5.2.3 allows it): an
 * honest client signs with the present time and does not notice. Times are seconds since 1970.
 */
export function createUpdateMemory(capacity: number): UpdateMemory {
  // In the order in which they came, which is that in which a Map is walked.
  const entries = new Map<string, Entry>();
  const floors = new Map<Name, number>();

  const forgetExpired = (now: number) => {
    for (const [id, entry] of entries) {
      if (entry.expires >= now) return;
      entries.delete(id);
    }
  };
  const forgetOldest = () => {
    for (const [id, entry] of entries) {
      entries.delete(id);
      floors.set(entry.key, Math.max(floors.get(entry.key) ?? 0, entry.timeSigned));
      return;
    }
  };
  return {
    find(update, now) {
      forgetExpired(now);
      return entries.get(identity(update))?.answer;
    },
    isTooOld: (key, timeSigned) => timeSigned <= (floors.get(key) ?? -1),
    add(update, answer) {
      if (entries.size >= capacity) forgetOldest();
      const { key, timeSigned, fudge } = update;
      entries.set(identity(update), { answer, key: key.name, timeSigned, expires: timeSigned + fudge + 1 });
    },
  };
}

interface Entry {
  readonly answer: Promise<Uint8Array | undefined>;
  readonly key: Name;
  readonly timeSigned: number;
  readonly expires: number;
}

function identity({ key, mac }: SignedOnce): string {
  return `${String.fromCharCode(...mac)} ${key.name}`;
}
