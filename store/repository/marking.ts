import { StoreError } from "../types.ts";
import type { GitObject, ObjectKind, Oid, Pause } from "../types.ts";
import { objectLinks } from "../object/links.ts";
import { oidFromBytes } from "../object/oid.ts";
import { OidSet } from "../object/oid_set.ts";
import { isGitlinkMode, isTreeMode, scanTree } from "../object/tree_scan.ts";

/** All that some objects lead to, found by walking; grows with every root that is added. */
export interface Marking {
  /**
   * Walks from these. What cannot be read is given back, and what it would have led to is unknown.
   * `visit` may stop the walk by saying so.
   */
  add(roots: Iterable<Oid>, visit?: (oid: Oid) => "stop" | void): Promise<Oid[]>;
  has(oid: Oid): boolean;
  readonly size: number;
  /** Commits and tags first, then trees, then blobs, each kind in the order of the walk: good neighbours in a pack. */
  oids(): Iterable<Oid>;
}

export interface MarkingOptions {
  readonly read: (oid: Oid) => Promise<GitObject | undefined>;
  /** Whether a blob is there: it leads nowhere, so it is not read. */
  readonly has: (oid: Oid) => boolean | Promise<boolean>;
  /** Commits whose parents are not looked for. */
  readonly shallow: ReadonlySet<Oid>;
  /** Where the walk turns back: what was marked before it, by another. */
  readonly beyond?: { has(oid: Oid): boolean };
  readonly pause: Pause;
  /** Told of the number of objects marked so far, now and then. */
  readonly onProgress?: (marked: number) => void;
}

export function newMarking(options: MarkingOptions): Marking {
  const { read, has, shallow, beyond, pause } = options;
  const history = new OidSet();
  const trees = new OidSet();
  const blobs = new OidSet();

  async function add(roots: Iterable<Oid>, visit?: (oid: Oid) => "stop" | void): Promise<Oid[]> {
    const unreadable: Oid[] = [];
    const queue: { readonly oid: Oid; readonly kind: ObjectKind | undefined }[] = [];
    for (const oid of roots) if (!marked(oid)) queue.push({ oid, kind: undefined });
    let steps = 0;
    for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
      const { oid, kind } = next;
      await pause();
      if (++steps % 1024 === 0) options.onProgress?.(size());
      if (marked(oid) || beyond?.has(oid) === true) continue;
      if (visit?.(oid) === "stop") break;
      if (kind === "blob") {
        blobs.addOid(oid);
        if (!await has(oid)) unreadable.push(oid);
        continue;
      }
      const object = await readIfWhole(read, oid);
      if (object === undefined) {
        unreadable.push(oid);
        continue;
      }
      setOf(object.kind).addOid(oid);
      if (!follow(object, shallow.has(oid), queue)) unreadable.push(oid);
    }
    return unreadable;
  }

  const setOf = (kind: ObjectKind) => kind === "blob" ? blobs : kind === "tree" ? trees : history;
  const marked = (oid: Oid) => history.hasOid(oid) || trees.hasOid(oid) || blobs.hasOid(oid);
  const size = () => history.size + trees.size + blobs.size;
  return {
    add,
    has: marked,
    get size() {
      return size();
    },
    *oids() {
      for (const set of [history, trees, blobs]) yield* set.oids();
    },
  };
}

async function readIfWhole(read: MarkingOptions["read"], oid: Oid): Promise<GitObject | undefined> {
  try {
    return await read(oid);
  } catch (error) {
    if (error instanceof StoreError && error.code === "corrupt") return undefined;
    throw error;
  }
}

/** Puts what an object points to in line; says whether it could be understood. */
function follow(
  object: GitObject,
  isShallow: boolean,
  queue: { oid: Oid; kind: ObjectKind | undefined }[],
): boolean {
  try {
    if (object.kind === "tree") {
      const { content } = object;
      scanTree(content, (mode, _, nameEnd) => {
        if (isGitlinkMode(mode)) return;
        queue.push({ oid: oidFromBytes(content, nameEnd + 1), kind: isTreeMode(mode) ? "tree" : "blob" });
      });
    } else {
      for (const { oid, kind } of objectLinks(object)) {
        if (!(isShallow && kind === "commit")) queue.push({ oid, kind });
      }
    }
    return true;
  } catch (error) {
    if (error instanceof StoreError && error.code === "malformed") return false;
    throw error;
  }
}
