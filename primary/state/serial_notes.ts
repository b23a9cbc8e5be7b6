import { type Name, nameFrom } from "../../dns/mod.ts";
import {
  listFiles,
  type ObjectReader,
  type Oid,
  type Person,
  type Repository,
  type SignPayload,
  type StoreError,
  writeCommit,
  writeTree,
} from "../../store/mod.ts";
import { machinePath } from "../layout/machine_files.ts";
import { isUnreadable } from "../transaction/objects.ts";

/**
 * The serials served, kept in the repository too, so that a lost `state.db` costs nothing: the ref names a commit
 * without a parent, its tree has one file a zone, `HH/ZONE`, holding `ZONE SERIAL`. It moves in the same
 * transaction as the branch that changed.
 */
export const SERIALS_REF = "refs/bailiwick/serials";

export async function writeSerialNotes(
  repository: Repository,
  previous: Oid | undefined,
  serials: ReadonlyMap<Name, number>,
  person: Person,
  sign: SignPayload | undefined,
): Promise<Oid> {
  const edits = new Map<string, Uint8Array>();
  for (const [zone, serial] of serials) {
    edits.set(pathOf(zone), new TextEncoder().encode(`${zone} ${serial}\n`));
  }
  const tree = await writeTree(repository, previous, edits);
  return await writeCommit(repository, {
    tree,
    parents: [],
    author: person,
    committer: person,
    message: "Serials served\n",
    sign,
  });
}

/** What the notes say; a file that says nothing sensible is passed over, one that cannot be read is reported. */
export async function readSerialNotes(
  reader: ObjectReader,
  notes: Oid,
  report: (error: StoreError) => void,
): Promise<Map<Name, number>> {
  const serials = new Map<Name, number>();
  const whole = async <T>(reading: Promise<T>): Promise<T | undefined> => {
    try {
      return await reading;
    } catch (error) {
      if (!isUnreadable(error)) throw error;
      report(error);
      return undefined;
    }
  };
  for (const { oid } of await whole(listFiles(reader, notes)) ?? []) {
    const blob = await whole(reader.read(oid));
    const match = /^(\S+) (\d{1,10})\n$/.exec(new TextDecoder().decode(blob?.content));
    if (match !== null && Number(match[2]) <= 0xffffffff) serials.set(nameFrom(match[1]), Number(match[2]));
  }
  return serials;
}

function pathOf(zone: Name): string {
  // `@/HH/ZONE` without the folder, which is that of the root.
  return machinePath(ROOT, zone).replace(/^@\//, "");
}

const ROOT = nameFrom(".");
