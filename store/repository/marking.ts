import { StoreError } from "../types.ts";
import type { GitObject, ObjectKind, Oid, Pause } from "../types.ts";
import { latin1 } from "../object/bytes.ts";
import { objectLinks } from "../object/links.ts";
import { oidFromBytes } from "../object/oid.ts";
import { OidSet } from "../object/oid_set.ts";
import { isGitlinkMode, isTreeMode, scanTree } from "../object/tree_scan.ts";
import { nameHash } from "../pack/find_deltas.ts";

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
  objects(): Iterable<MarkedObject>;
}

export interface MarkedObject {
  readonly oid: Oid;
  readonly kind: ObjectKind;
  /** Near for those that were found under names that end alike (`nameHash`). */
  readonly group: number;
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
  // By the place in each set: its kinds, or the groups that its objects are in.
  const historyKinds: ObjectKind[] = [];
  const groups = { tree: [] as number[], blob: [] as number[] };

  async function add(roots: Iterable<Oid>, visit?: (oid: Oid) => "stop" | void): Promise<Oid[]> {
    const unreadable: Oid[] = [];
    const queue: Step[] = [];
    for (const oid of roots) if (!marked(oid)) queue.push({ oid, kind: undefined, group: 0 });
    let steps = 0;
    for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
      const { oid, kind, group } = next;
      await pause();
      if (++steps % 1024 === 0) options.onProgress?.(size());
      if (marked(oid) || beyond?.has(oid) === true) continue;
      if (visit?.(oid) === "stop") break;
      if (kind === "blob") {
        mark(oid, "blob", group);
        if (!await has(oid)) unreadable.push(oid);
        continue;
      }
      const object = await readIfWhole(read, oid);
      if (object === undefined) {
        unreadable.push(oid);
        continue;
      }
      mark(oid, object.kind, group);
      if (!follow(object, shallow.has(oid), queue)) unreadable.push(oid);
    }
    return unreadable;
  }

  function mark(oid: Oid, kind: ObjectKind, group: number): void {
    if (kind === "blob" || kind === "tree") {
      if ((kind === "blob" ? blobs : trees).addOid(oid)) groups[kind].push(group);
    } else if (history.addOid(oid)) {
      historyKinds.push(kind);
    }
  }

  /** Puts what an object points to in line; says whether it could be understood. */
  function follow(object: GitObject, isShallow: boolean, queue: Step[]): boolean {
    try {
      if (object.kind === "tree") {
        const { content } = object;
        scanTree(content, (mode, nameAt, nameEnd) => {
          const isTree = isTreeMode(mode);
          // Most of a tree was met in the one before.
          if (isGitlinkMode(mode) || (isTree ? trees : blobs).has(content, nameEnd + 1)) return;
          const group = nameHash(latin1(content.subarray(nameAt, nameEnd)));
          queue.push({ oid: oidFromBytes(content, nameEnd + 1), kind: isTree ? "tree" : "blob", group });
        });
      } else {
        for (const { oid, kind } of objectLinks(object)) {
          if (!(isShallow && kind === "commit")) queue.push({ oid, kind, group: 0 });
        }
      }
      return true;
    } catch (error) {
      if (error instanceof StoreError && error.code === "malformed") return false;
      throw error;
    }
  }

  const marked = (oid: Oid) => history.hasOid(oid) || trees.hasOid(oid) || blobs.hasOid(oid);
  const size = () => history.size + trees.size + blobs.size;
  return {
    add,
    has: marked,
    get size() {
      return size();
    },
    *objects() {
      let place = 0;
      for (const oid of history.oids()) {
        const kind = historyKinds[place++];
        if (kind !== undefined) yield { oid, kind, group: 0 };
      }
      for (const [kind, set] of [["tree", trees], ["blob", blobs]] as const) {
        place = 0;
        for (const oid of set.oids()) yield { oid, kind, group: groups[kind][place++] ?? 0 };
      }
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

interface Step {
  readonly oid: Oid;
  /** What it must be. */
  readonly kind: ObjectKind | undefined;
  readonly group: number;
}
