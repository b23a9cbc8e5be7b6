/**
 * Which trees and blobs to send, for commits and for what is wanted by its own id. Hot when a clone is served; ids are
 * compared as bytes where they lie. Benchmark: tests/bench/clone_bench.ts.
 */
import { latin1 } from "../../object/bytes.ts";
import { oidFromBytes } from "../../object/oid.ts";
import { OidSet } from "../../object/oid_set.ts";
import { isGitlinkMode, isTreeMode } from "../../object/tree_scan.ts";
import type { PackSource } from "../../pack/write_pack.ts";
import type { ObjectReader, Oid, Pause } from "../../types.ts";
import { StoreError } from "../../types.ts";
import type { Zlib } from "../../zlib/zlib.ts";
import type { Filter } from "./filter.ts";
import { TreeReader, type VisitTree } from "./stored_objects.ts";

export class TreeWalk {
  readonly #reader: ObjectReader & PackSource<Oid>;
  readonly #trees: TreeReader;
  /** Trees whose entries were all looked at. */
  readonly #visited = new OidSet();
  readonly #known: OidSet;
  readonly #chosen: OidSet;
  readonly #filter: Filter;
  readonly #pause: Pause | undefined;
  /** Blobs that are sent if they are small enough. */
  readonly #unweighed = new OidSet();

  constructor(parts: {
    readonly reader: ObjectReader & PackSource<Oid>;
    readonly zlib: Zlib | undefined;
    readonly known: OidSet;
    readonly chosen: OidSet;
    readonly filter: Filter;
    readonly pause: Pause | undefined;
  }) {
    this.#reader = parts.reader;
    this.#trees = new TreeReader(parts.reader, parts.zlib);
    this.#known = parts.known;
    this.#chosen = parts.chosen;
    this.#filter = parts.filter;
    this.#pause = parts.pause;
  }

  /** Trees of commits, with what is below them, beside trees that the other side has. */
  async beside(trees: readonly Oid[], have: readonly Oid[]): Promise<void> {
    for (const tree of have) this.#known.addOid(tree);
    if (this.#filter.treesAbove === 0) return;
    const send = trees.filter((tree) => !this.#known.hasOid(tree) && this.#chosen.addOid(tree));
    // By levels where depth counts: what is met first is then met where it is least deep.
    if (this.#filter.treesAbove !== Infinity) return await this.#levels(send, have);
    if (have.length > 0) return await this.#paths(send, have);
    for (const tree of send) await this.#below(tree);
  }

  /** An object wanted by its id: a blob, or a tree with what is below it. */
  async from(oid: Oid): Promise<void> {
    this.#chosen.addOid(oid);
    await this.#below(oid);
  }

  async chooseBySize(): Promise<void> {
    for (const oid of this.#unweighed.oids()) {
      if (this.#chosen.hasOid(oid)) continue;
      await this.#pause?.();
      const object = await this.#reader.read(oid);
      if (object === undefined) throw new StoreError("missing", `object ${oid} is not there`);
      if (object.content.length < this.#filter.blobsBelow) this.#chosen.addOid(oid);
    }
  }

  /** Nothing is known: one tree after the other, as they lie in a pack. */
  async #below(root: Oid): Promise<void> {
    const stack = [root];
    for (let oid = stack.pop(); oid !== undefined; oid = stack.pop()) {
      await this.#choose(oid, (content, at) => stack.push(oidFromBytes(content, at)));
    }
  }

  /** Folder by folder: what the other side has in the same one is looked at first. */
  async #paths(trees: readonly Oid[], have: readonly Oid[]): Promise<void> {
    const stack = [{ trees, have }];
    for (let folder = stack.pop(); folder !== undefined; folder = stack.pop()) {
      if (folder.trees.length === 0) continue;
      const haveBelow = new Map<string, Set<Oid>>();
      for (const oid of folder.have) {
        await this.#know(oid, (content, mode, nameAt, nameEnd) => {
          if (isTreeMode(mode)) add(haveBelow, content, nameAt, nameEnd);
        });
      }
      const below = new Map<string, Set<Oid>>();
      for (const oid of folder.trees) {
        await this.#choose(oid, (content, _, nameAt, nameEnd) => add(below, content, nameAt, nameEnd));
      }
      for (const [name, oids] of below) {
        stack.push({ trees: [...oids], have: [...haveBelow.get(name) ?? []] });
      }
    }
  }

  async #levels(trees: readonly Oid[], have: readonly Oid[]): Promise<void> {
    let known = have;
    let level = trees;
    for (let depth = 1; level.length > 0; depth++) {
      const knownBelow: Oid[] = [];
      for (const oid of known) {
        await this.#know(oid, (content, mode, _, nameEnd) => {
          if (isTreeMode(mode)) knownBelow.push(oidFromBytes(content, nameEnd + 1));
        });
      }
      if (depth >= this.#filter.treesAbove) return;
      const below: Oid[] = [];
      for (const oid of level) {
        await this.#choose(oid, (content, at) => below.push(oidFromBytes(content, at)));
      }
      known = knownBelow;
      level = below;
    }
  }

  /** Takes what a tree holds, where it is not known and not yet chosen; `descend` is called for its trees. */
  async #choose(
    oid: Oid,
    descend: (content: Uint8Array, at: number, nameAt: number, nameEnd: number) => void,
  ): Promise<void> {
    await this.#pause?.();
    const { blobsBelow } = this.#filter;
    const known = this.#known;
    const chosen = this.#chosen;
    const kind = await this.#trees.visit(oid, this.#isVisited, (content, mode, nameAt, nameEnd) => {
      const at = nameEnd + 1;
      if (isTreeMode(mode)) {
        if (!known.has(content, at) && chosen.add(content, at)) descend(content, at, nameAt, nameEnd);
      } else if (blobsBelow !== 0 && !isGitlinkMode(mode) && !known.has(content, at)) {
        if (blobsBelow === Infinity) chosen.add(content, at);
        else this.#unweighed.add(content, at);
      }
    });
    if (kind === "tree") this.#visited.addOid(oid);
  }

  /** Notes what a tree of the other side's holds, all of it. */
  async #know(oid: Oid, visit: VisitTree): Promise<void> {
    await this.#pause?.();
    await this.#trees.visit(oid, never, (content, mode, nameAt, nameEnd) => {
      if (isGitlinkMode(mode)) return;
      this.#known.add(content, nameEnd + 1);
      visit(content, mode, nameAt, nameEnd);
    });
  }

  readonly #isVisited = (oid: Oid) => this.#visited.hasOid(oid);
}

function never(): boolean {
  return false;
}

/** Adds the tree that an entry names to those of its name. */
function add(names: Map<string, Set<Oid>>, content: Uint8Array, nameAt: number, nameEnd: number): void {
  const name = latin1(content.subarray(nameAt, nameEnd));
  const oids = names.get(name);
  const oid = oidFromBytes(content, nameEnd + 1);
  if (oids === undefined) names.set(name, new Set([oid]));
  else oids.add(oid);
}
