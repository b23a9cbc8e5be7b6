import type { Fault } from "../../dns/mod.ts";

/** Faults of one kind in one zone, as many as anyone reads. What is more is counted. */
export interface Enough<T extends { readonly severity: Fault["severity"] }> {
  readonly kept: readonly T[];
  readonly dropped: Readonly<Record<Fault["severity"], number>>;
  add(fault: T): void;
}

/** A file of a million lines can have as many faults; of errors, and of warnings, so many are kept. */
export const MOST_FAULTS = 5000;

export function enough<T extends { readonly severity: Fault["severity"] }>(): Enough<T> {
  const kept: T[] = [];
  const dropped = { error: 0, warning: 0 };
  const left = { error: MOST_FAULTS, warning: MOST_FAULTS };
  return {
    kept,
    dropped,
    add(fault) {
      if (left[fault.severity] > 0) {
        left[fault.severity]--;
        kept.push(fault);
      } else {
        dropped[fault.severity]++;
      }
    },
  };
}
