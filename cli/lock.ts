import { join } from "node:path";
import { CliError } from "./errors.ts";

/** The data directory, held by this process until `release`. */
export interface DataLock {
  release(): void;
}

/**
 * Takes the data directory for this process. The kernel's lock on the file decides, so a killed server leaves
 * nothing to clean up; the pid inside is for people.
 * @throws {CliError} naming the pid of the server that holds it
 */
export async function lockDataDir(dataDir: string): Promise<DataLock> {
  const path = pathIn(dataDir);
  const file = Deno.openSync(path, { read: true, write: true, create: true, mode: 0o600 });
  for (let attempt = 1; !file.tryLockSync(true); attempt++) {
    if (attempt === ATTEMPTS) {
      file.close();
      const pid = Deno.readTextFileSync(path).trim();
      throw new CliError(`${dataDir} is in use by the server with pid ${pid === "" ? "unknown" : pid}`);
    }
    // A look of `status` holds it for a moment.
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  file.truncateSync(0);
  file.writeSync(new TextEncoder().encode(`${Deno.pid}\n`));
  return {
    release() {
      file.truncateSync(0);
      file.close();
    },
  };
}

const ATTEMPTS = 5;

/** The pid of the server that holds a data directory, 0 where it has not said yet; `undefined` where none does. */
export function holderOf(dataDir: string): number | undefined {
  const path = pathIn(dataDir);
  let file: Deno.FsFile;
  try {
    file = Deno.openSync(path, { read: true });
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  using held = file;
  if (held.tryLockSync(false)) return undefined;
  return Number(Deno.readTextFileSync(path).trim());
}

function pathIn(dataDir: string): string {
  return join(dataDir, "lock");
}
