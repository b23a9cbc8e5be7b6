/** `bundle`: the files of one commit as one pack with its index, which `serve --zones` serves. */
import {
  isOid,
  type Oid,
  openRepository,
  type Repository,
  resolveCommit,
  StoreError,
  writeBundle,
} from "../store/mod.ts";
import { CliError } from "./errors.ts";
import { userPath } from "./paths.ts";

export async function bundle(place: string, file: string): Promise<number> {
  if (!file.endsWith(".pack")) {
    throw new CliError(`"${file}" does not end in .pack, by which serve --zones knows a bundle`);
  }
  const hash = place.lastIndexOf("#");
  const folder = userPath(hash < 0 ? place : place.slice(0, hash));
  const revision = hash < 0 ? "HEAD" : place.slice(hash + 1);
  const path = userPath(file);
  const progress = progressLine();
  try {
    const repository = await openRepository(folder);
    try {
      const commit = await commitOf(repository, revision);
      const { objects, bytes, indexPath } = await writeBundle({
        objects: repository,
        commit,
        path,
        progress: progress.show,
      });
      progress.clear();
      console.log(`${path}: commit ${commit}, ${objects} objects, ${bytes} bytes`);
      console.log(`${indexPath}: its index`);
    } finally {
      repository.close();
    }
  } catch (error) {
    progress.clear();
    if (error instanceof StoreError) throw new CliError(error.message);
    throw error;
  }
  return 0;
}

/** A branch, a tag, a full ref name, `HEAD`, or a whole object id. */
async function commitOf(repository: Repository, revision: string): Promise<Oid> {
  for (const name of [`refs/heads/${revision}`, `refs/tags/${revision}`, revision]) {
    const oid = await repository.refs.get(name);
    if (oid !== undefined) return await resolveCommit(repository, oid);
  }
  if (isOid(revision)) return await resolveCommit(repository, revision);
  throw new CliError(
    `${repository.path} has no branch, tag or commit "${revision}" (a commit is named by its 40 digits)`,
  );
}

/** One line on a terminal, written over itself; nothing where standard error is none. */
function progressLine() {
  const encoder = new TextEncoder();
  const write = (text: string) => void Deno.stderr.writeSync(encoder.encode(text));
  let shown = -1;
  const isTerminal = Deno.stderr.isTerminal();
  return {
    show: (written: number, of: number) => {
      const percent = Math.floor((100 * written) / of);
      if (!isTerminal || percent === shown) return;
      shown = percent;
      write(`\rwriting objects: ${percent}% (${written} of ${of})`);
    },
    clear: () => {
      if (shown >= 0) write("\r\x1b[K");
      shown = -1;
    },
  };
}
