import { StoreError } from "../types.ts";
import type { Oid } from "../types.ts";
import { parseOid } from "../object/oid.ts";
import { isRefName } from "./ref_name.ts";

/** `packed-refs`: one `oid name` a line, below some a `^oid` line with the object a tag peels to. */
export interface PackedRef {
  readonly oid: Oid;
  readonly peeled: Oid | undefined;
}

/** @throws {StoreError} `corrupt` */
export function decodePackedRefs(text: string): Map<string, PackedRef> {
  const refs = new Map<string, PackedRef>();
  let last: string | undefined;
  for (const [index, line] of text.split("\n").entries()) {
    if (line === "" || line.startsWith("#")) continue;
    const fault = () => new StoreError("corrupt", `packed-refs line ${index + 1} is damaged`);
    if (line.startsWith("^")) {
      const peeled = parseOid(line.slice(1));
      const above = last === undefined ? undefined : refs.get(last);
      if (peeled === undefined || last === undefined || above === undefined) throw fault();
      refs.set(last, { oid: above.oid, peeled });
      continue;
    }
    const oid = parseOid(line.slice(0, 40));
    const name = line.slice(41).trimEnd();
    if (oid === undefined || line[40] !== " " || !isRefName(name)) throw fault();
    refs.set(name, { oid, peeled: undefined });
    last = name;
  }
  return refs;
}

/** Sorted, and claiming no more than it holds: peeled lines are kept, `fully-peeled` is not promised. */
export function encodePackedRefs(refs: ReadonlyMap<string, PackedRef>): string {
  const names = [...refs.keys()].sort(compareNames);
  const lines = names.map((name) => {
    const ref = refs.get(name);
    return ref === undefined
      ? ""
      : `${ref.oid} ${name}\n${ref.peeled === undefined ? "" : `^${ref.peeled}\n`}`;
  });
  return `# pack-refs with: sorted \n${lines.join("")}`;
}

/** By bytes of UTF-8, git's order, which differs from that of UTF-16 units beyond U+FFFF. */
export function compareNames(a: string, b: string): number {
  const x = encoder.encode(a);
  const y = encoder.encode(b);
  const length = Math.min(x.length, y.length);
  for (let i = 0; i < length; i++) {
    const difference = (x[i] ?? 0) - (y[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return x.length - y.length;
}

const encoder = new TextEncoder();
