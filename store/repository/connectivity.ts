import type { Result } from "../../conduit/mod.ts";
import { StoreError } from "../types.ts";
import type { GitObject, ObjectKind, ObjectReader, Oid, Quarantine } from "../types.ts";
import { objectLinks } from "../object/links.ts";
import { oidFromBytes } from "../object/oid.ts";
import { OidSet } from "../object/oid_set.ts";
import { isGitlinkMode, isTreeMode, scanTree } from "../object/tree_scan.ts";
import { breather } from "./breather.ts";

/**
 * Whether everything that the new tips lead to is there, walking only through what arrived or is not in the repository
 * yet: what is in it is whole by the same rule. Each object is read once, and a blob whose kind was found when it arrived
 * not at all, so the walk is bounded by what arrived; `maximum` bounds it also where `inRepository` says no for ever.
 * `shallow`: commits whose parents need not be there.
 */
export async function checkConnectivity(
  reader: ObjectReader & Partial<Pick<Quarantine, "kindOf" | "kindAt">>,
  newTips: Iterable<Oid>,
  inRepository: (oid: Oid) => Promise<boolean>,
  { shallow, maximum = 10_000_000 }: {
    readonly shallow?: ReadonlySet<Oid> | undefined;
    readonly maximum?: number | undefined;
  } = {},
): Promise<Result<void, StoreError>> {
  const failed = (message: string): Result<void, StoreError> => ({
    ok: false,
    error: new StoreError("connectivity", message),
  });
  const pause = breather();
  const seen = new OidSet();
  const queue: Step[] = [];
  for (const oid of newTips) if (seen.addOid(oid)) queue.push({ oid, kind: undefined, from: undefined });
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    const { oid, kind, from } = next;
    if (seen.size > maximum) return failed(`more than ${maximum} objects to check`);
    await pause();
    // Asked of what arrived first: that needs no look at the file system.
    const arrivedAs = reader.kindOf?.(oid);
    if (arrivedAs === undefined && await inRepository(oid)) continue;
    const isOther = (found: ObjectKind) =>
      failed(`object ${oid} is a ${found} where ${from} needs a ${kind}`);
    if (arrivedAs !== undefined && kind !== undefined && arrivedAs !== kind) return isOther(arrivedAs);
    if (arrivedAs === "blob") continue;
    const object = await reader.read(oid);
    if (object === undefined) {
      return failed(
        from === undefined ? `object ${oid} is missing` : `${kind} ${oid} is missing, which ${from} needs`,
      );
    }
    if (kind !== undefined && object.kind !== kind) return isOther(object.kind);
    try {
      const ends = shallow?.has(oid) ?? false;
      follow(object, oid, { seen, queue, ends, kindAt: reader.kindAt });
    } catch (error) {
      if (error instanceof StoreError) return failed(`object ${oid} cannot be followed: ${error.message}`);
      throw error;
    }
  }
  return { ok: true, value: undefined };
}

interface Step {
  readonly oid: Oid;
  /** What it must be. */
  readonly kind: ObjectKind | undefined;
  readonly from: Oid | undefined;
}

/**
 * Puts what an object points to in line, each once; of a commit where history ends the tree alone. A blob that came is
 * checked with that, and there may be a million of them: they cost neither a string nor a place in the set.
 */
function follow(
  object: GitObject,
  from: Oid,
  { seen, queue, ends, kindAt }: {
    readonly seen: OidSet;
    readonly queue: Step[];
    readonly ends: boolean;
    readonly kindAt: Quarantine["kindAt"] | undefined;
  },
): void {
  if (object.kind !== "tree") {
    for (const { oid, kind } of objectLinks(object)) {
      if (!(ends && kind === "commit") && seen.addOid(oid)) queue.push({ oid, kind, from });
    }
    return;
  }
  const { content } = object;
  scanTree(content, (mode, _, nameEnd) => {
    if (isGitlinkMode(mode)) return;
    const at = nameEnd + 1;
    const kind = isTreeMode(mode) ? "tree" : "blob";
    if (kind === "blob" && kindAt?.(content, at) === "blob") return;
    if (seen.add(content, at)) queue.push({ oid: oidFromBytes(content, at), kind, from });
  });
}
