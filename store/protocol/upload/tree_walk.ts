/**
 * Which trees and blobs to send, for commits and for what is wanted by its own id. Hot when a clone is served; ids are
 * compared as bytes where they lie. Benchmark: tests/bench/clone_bench.ts.
 */
import { latin1 } from "../../object/bytes.ts";
import { oidFromBytes } from "../../object/oid.ts";
import { OidSet } from "../../object/oid_set.ts";
import { isGitlinkMode, isTreeMode } from "../../object/tree_scan.ts";
import type { ObjectKind, ObjectReader, Oid, Pause } from "../../types.ts";
import { StoreError } from "../../types.ts";
import type { Zlib } from "../../zlib/zlib.ts";
import type { Filter } from "./filter.ts";
import type { StreamSource } from "./pack_stream.ts";
import { TreeReader, type VisitTree } from "./stored_objects.ts";

export class TreeWalk {
  /**
   * For what was chosen, by its number: an object that the other side has in the same place, as a base for a delta. Gives
   * up where there are many.
   */
  readonly predecessors = new Map<number, Oid>();
  readonly #reader: ObjectReader & StreamSource;
  readonly #trees: TreeReader;
  /** Trees whose entries were all looked at. */
  readonly #visited = new OidSet();
  readonly #known: OidSet;
  readonly #chosen: OidSet;
  readonly #filter: Filter;
  readonly #pause: Pause | undefined;
  #steps = 0;
  /** Blobs that are sent if they are small enough. */
  readonly #unweighed = new OidSet();

  constructor(parts: {
    readonly reader: ObjectReader & StreamSource;
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
    const known = new OidSet();
    for (const tree of have) {
      this.#known.addOid(tree);
      known.addOid(tree);
    }
    if (this.#filter.treesAbove === 0) return;
    const send: number[] = [];
    for (const tree of trees) {
      if (!this.#known.hasOid(tree) && this.#chosen.addOid(tree)) send.push(this.#chosen.size - 1);
    }
    // By levels where depth counts: what is met first is then met where it is least deep.
    if (this.#filter.treesAbove !== Infinity) return await this.#levels(send, known);
    if (known.size > 0) return await this.#paths(send, known);
    for (const tree of send) await this.#below(tree);
  }

  /** An object wanted by its id: a blob, or a tree with what is below it. */
  async from(oid: Oid): Promise<void> {
    this.#chosen.addOid(oid);
    await this.#below(this.#chosen.numberOfOid(oid));
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

  /** Nothing is known: one tree after the other, as they lie in a pack. Objects go by their numbers among the chosen. */
  async #below(root: number): Promise<void> {
    const stack = [root];
    const descend: Descend = (found, _content, _nameAt, _nameEnd, isTree) => {
      if (isTree) stack.push(found);
    };
    for (let tree = stack.pop(); tree !== undefined; tree = stack.pop()) {
      const wait = this.#choose(tree, descend);
      if (wait !== undefined) await wait;
    }
  }

  /** Folder by folder: what the other side has in the same one is looked at first. */
  async #paths(trees: readonly number[], have: OidSet): Promise<void> {
    const stack: { readonly trees: readonly number[]; readonly have: OidSet }[] = [{ trees, have }];
    for (let folder = stack.pop(); folder !== undefined; folder = stack.pop()) {
      const haveBelow = new Map<string, OidSet>();
      const haveHere = new Map<string, Oid>();
      await this.#know(folder.have, (content, mode, nameAt, nameEnd) => {
        if (!isTreeMode(mode)) {
          if (haveHere.size < PREDECESSORS) {
            haveHere.set(latin1(content.subarray(nameAt, nameEnd)), oidFromBytes(content, nameEnd + 1));
          }
          return;
        }
        const name = latin1(content.subarray(nameAt, nameEnd));
        const oids = haveBelow.get(name) ?? new OidSet();
        oids.add(content, nameEnd + 1);
        haveBelow.set(name, oids);
      });
      const below = new Map<string, number[]>();
      for (const tree of folder.trees) {
        if (folder.have.size > 0) this.#follows(tree, folder.have.oidAt(0));
        await this.#choose(tree, (found, content, nameAt, nameEnd, isTree) => {
          const name = latin1(content.subarray(nameAt, nameEnd));
          if (!isTree) {
            const before = haveHere.get(name);
            if (before !== undefined) this.#follows(found, before);
            return;
          }
          const numbers = below.get(name);
          if (numbers === undefined) below.set(name, [found]);
          else numbers.push(found);
        });
      }
      for (const [name, numbers] of below) {
        stack.push({ trees: numbers, have: haveBelow.get(name) ?? new OidSet() });
      }
    }
  }

  async #levels(trees: readonly number[], have: OidSet): Promise<void> {
    let known = have;
    let level = trees;
    for (let depth = 1; level.length > 0; depth++) {
      const knownBelow = new OidSet();
      await this.#know(known, (content, mode, _, nameEnd) => {
        if (isTreeMode(mode)) knownBelow.add(content, nameEnd + 1);
      });
      if (depth >= this.#filter.treesAbove) return;
      const below: number[] = [];
      for (const tree of level) {
        await this.#choose(tree, (found, _content, _nameAt, _nameEnd, isTree) => {
          if (isTree) below.push(found);
        });
      }
      known = knownBelow;
      level = below;
    }
  }

  /**
   * Takes what a tree holds, where it is not known and not yet chosen; `descend` is called for those. Nothing where it
   * is done already, so that most trees cost no wait.
   */
  #choose(number: number, descend: Descend): Promise<void> | undefined {
    if (this.#pause !== undefined && ++this.#steps % STEPS === 0) {
      return this.#pause().then(() => this.#chooseNow(number, descend));
    }
    return this.#chooseNow(number, descend);
  }

  #chooseNow(number: number, descend: Descend): Promise<void> | undefined {
    const { blobsBelow } = this.#filter;
    const known = this.#known;
    const chosen = this.#chosen;
    const ids = chosen.ids;
    const kind = this.#trees.visit(ids, number * 20, this.#isVisited, (content, mode, nameAt, nameEnd) => {
      const at = nameEnd + 1;
      if (isTreeMode(mode)) {
        if (!known.has(content, at) && chosen.add(content, at)) {
          descend(chosen.size - 1, content, nameAt, nameEnd, true);
        }
      } else if (blobsBelow !== 0 && !isGitlinkMode(mode) && !known.has(content, at)) {
        if (blobsBelow !== Infinity) this.#unweighed.add(content, at);
        else if (chosen.add(content, at)) descend(chosen.size - 1, content, nameAt, nameEnd, false);
      }
    });
    const note = (found: ObjectKind) => {
      if (found === "tree") this.#visited.add(ids, number * 20);
    };
    if (typeof kind !== "string") return kind.then(note);
    note(kind);
    return undefined;
  }

  /** Notes what trees of the other side's hold, all of it. */
  async #know(trees: OidSet, visit: VisitTree): Promise<void> {
    for (let number = 0; number < trees.size; number++) {
      await this.#pause?.();
      await this.#trees.visit(trees.ids, number * 20, never, (content, mode, nameAt, nameEnd) => {
        if (isGitlinkMode(mode)) return;
        this.#known.add(content, nameEnd + 1);
        visit(content, mode, nameAt, nameEnd);
      });
    }
  }

  #follows(number: number, before: Oid): void {
    if (this.predecessors.size < PREDECESSORS) this.predecessors.set(number, before);
  }

  readonly #isVisited = (ids: Uint8Array, at: number) => this.#visited.has(ids, at);
}

/** What was chosen, by its number, and where its entry lies. */
type Descend = (
  number: number,
  content: Uint8Array,
  nameAt: number,
  nameEnd: number,
  isTree: boolean,
) => void;

/** More than so many changes, or files in one folder, are not looked at for what came before each. */
const PREDECESSORS = 10_000;

/** Trees between two looks at the clock. */
const STEPS = 16;

function never(): boolean {
  return false;
}
