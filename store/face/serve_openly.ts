/** Whether a repository may be served to anybody: not while a clone would carry TSIG secrets away. */
import type { Result } from "../../conduit/mod.ts";
import { latin1 } from "../object/bytes.ts";
import { decodeCommit, decodeTag } from "../object/commit.ts";
import { oidFromBytes } from "../object/oid.ts";
import { OidSet } from "../object/oid_set.ts";
import { isGitlinkMode, isTreeMode, scanTree } from "../object/tree_scan.ts";
import { breather } from "../repository/breather.ts";
import type { ObjectReader, Oid, Repository } from "../types.ts";
import { StoreError } from "../types.ts";

export interface ServeOpenlyOptions {
  /** Which refs are served. Default: all. */
  readonly visible?: ((name: string) => boolean) | undefined;
  /**
   * Whether older commits are looked at as well as the tips: a clone brings them along. Default true; false is for those
   * who have replaced every key that the history holds.
   */
  readonly history?: boolean | undefined;
}

/**
 * Says no, naming file, commit and ref, while anything that the served refs reach holds a file `_keys` or `NAME._keys`
 * (TSIG secrets). To be asked at each open request: what was found clean is remembered by its id, so that after the first
 * time the cost goes with what was pushed since.
 */
export async function mayServeOpenly(
  repository: ObjectReader & Pick<Repository, "refs" | "shallow">,
  options: ServeOpenlyOptions = {},
): Promise<Result<void, StoreError>> {
  const { visible = () => true, history = true } = options;
  const shallow = await repository.shallow.list();
  const known = remembered(repository, history, [...shallow].sort().join(" "));
  for (const [ref, tip] of await repository.refs.list()) {
    if (!visible(ref) || known.tips.get(ref) === tip) continue;
    const found = await findKeys(repository, tip, { history, shallow, clean: known.clean });
    if (found !== undefined) {
      const where = found.commit === tip ? ref : `${found.commit}, which ${ref} reaches`;
      const message = `${found.path} in ${where} holds TSIG keys: not served without authentication`;
      return { ok: false, error: new StoreError("fsck", message) };
    }
    known.tips.set(ref, tip);
  }
  return { ok: true, value: undefined };
}

interface Known {
  /** Refs and where they were when all that they reach was clean. */
  readonly tips: Map<string, Oid>;
  /** Commits, with their histories where those are looked at, and trees. */
  readonly clean: OidSet;
}

const memory = new WeakMap<
  object,
  { readonly boundary: string; readonly tips: Known; readonly histories: Known }
>();

/** A history that was deepened is another one: what lies below its old end was not looked at. */
function remembered(repository: object, history: boolean, boundary: string): Known {
  let known = memory.get(repository);
  const size = known === undefined ? 0 : known.tips.clean.size + known.histories.clean.size;
  if (known === undefined || known.boundary !== boundary || size > REMEMBERED) {
    const nothing = () => ({ tips: new Map<string, Oid>(), clean: new OidSet() });
    known = { boundary, tips: nothing(), histories: nothing() };
    memory.set(repository, known);
  }
  return history ? known.histories : known.tips;
}

/** What is found clean is remembered only when the whole ref is: half a history says nothing. */
async function findKeys(
  reader: ObjectReader,
  tip: Oid,
  { history, shallow, clean }: {
    readonly history: boolean;
    readonly shallow: ReadonlySet<Oid>;
    readonly clean: OidSet;
  },
): Promise<{ readonly path: string; readonly commit: Oid } | undefined> {
  const pause = breather();
  const seen = new OidSet();
  const queue: Step[] = [{ oid: tip, commit: tip, prefix: "" }];
  for (let step = queue.pop(); step !== undefined; step = queue.pop()) {
    const { oid, commit, prefix } = step;
    if (clean.hasOid(oid) || !seen.addOid(oid)) continue;
    await pause();
    const object = await reader.read(oid);
    if (object === undefined) throw new StoreError("missing", `object ${oid} is not there`);
    if (object.kind === "tag") queue.push({ oid: decodeTag(object.content).object, commit, prefix });
    else if (object.kind === "commit") {
      const { tree, parents } = decodeCommit(object.content);
      if (history && !shallow.has(oid)) {
        for (const parent of parents) queue.push({ oid: parent, commit: parent, prefix });
      }
      queue.push({ oid: tree, commit: oid, prefix });
    } else if (object.kind === "tree") {
      const { content } = object;
      let keys: string | undefined;
      scanTree(content, (mode, nameStart, nameEnd) => {
        const name = latin1(content.subarray(nameStart, nameEnd));
        if (isTreeMode(mode)) {
          queue.push({ oid: oidFromBytes(content, nameEnd + 1), commit, prefix: `${prefix}${name}/` });
        } else if (!isGitlinkMode(mode) && isKeysFile(name)) keys ??= name;
      });
      if (keys !== undefined) return { path: prefix + keys, commit };
    }
  }
  for (const oid of seen.oids()) clean.addOid(oid);
  return undefined;
}

interface Step {
  readonly oid: Oid;
  /** On the way to it, the last commit. */
  readonly commit: Oid;
  readonly prefix: string;
}

/** In any case, since a file system may not tell cases apart. */
function isKeysFile(name: string): boolean {
  const lower = name.toLowerCase();
  return lower === "_keys" || lower.endsWith("._keys");
}

/** Ids kept for one repository: 20 bytes and a little more each. */
const REMEMBERED = 2_000_000;
