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
export function lockDataDir(dataDir: string): DataLock {
  const path = join(dataDir, "lock");
  const file = Deno.openSync(path, { read: true, write: true, create: true, mode: 0o600 });
  if (!file.tryLockSync(true)) {
    file.close();
    const pid = Deno.readTextFileSync(path).trim();
    throw new CliError(`${dataDir} is in use by the server with pid ${pid === "" ? "unknown" : pid}`);
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
