/** What a key may do, which its name says: `NAME._op.ZONE`. */
import { firstLabel, isAtOrBelow, parentName } from "../name.ts";
import type { Name } from "../types.ts";

export type KeyOperation = "update" | "transfer" | "notify";

export interface KeyRight {
  readonly operation: KeyOperation;
  /** The right holds for this name and everything below it; the root where the key's name ends with its operation. */
  readonly zone: Name;
}

/** The right that a key's name gives; `undefined` for a name without one. The rightmost operation label wins. */
export function keyRight(name: Name): KeyRight | undefined {
  let right: KeyRight | undefined;
  for (let at: Name | undefined = name; at !== undefined;) {
    const operation = OPERATIONS.get(firstLabel(at));
    at = parentName(at);
    if (operation !== undefined && at !== undefined) right = { operation, zone: at };
  }
  return right;
}

/** True when the right allows `operation` at `name`: update includes transfer, and transfer notify. */
export function covers(right: KeyRight, operation: KeyOperation, name: Name): boolean {
  return RANK[right.operation] >= RANK[operation] && isAtOrBelow(name, right.zone);
}

const OPERATIONS: ReadonlyMap<string, KeyOperation> = new Map([
  ["_update", "update"],
  ["_transfer", "transfer"],
  ["_notify", "notify"],
]);
const RANK: Readonly<Record<KeyOperation, number>> = { notify: 1, transfer: 2, update: 3 };
