import { StoreError } from "../types.ts";
import type { Repository } from "../types.ts";
import { newDetectingSha1 } from "../sha1/detecting_sha1.ts";
import { nodeZlib } from "../zlib/node.ts";
import { breather } from "./breather.ts";
import { fileDevice } from "./device/file_device.ts";
import { ioError } from "./files.ts";
import { initRepositoryOn, openRepositoryOn } from "./repository.ts";
import type { InitOptions, OpenOptions } from "./repository.ts";
import { nativeOid, newSha1 } from "./sha1.ts";
import type { StoreTools } from "./tools.ts";

/** What a repository on disk is made with: the runtime's own SHA-1 and zlib. */
export const runtimeTools: StoreTools = {
  zlib: nodeZlib,
  newSha1,
  oidOf: nativeOid,
  newReceivedSha1: newDetectingSha1,
  clock: Date.now,
  breather,
};

/**
 * Makes a bare repository in a folder as `git init --bare` does, or opens the one that is there.
 * @throws {StoreError} `io`, and as `openRepository`
 */
export async function initRepository(path: string, options: InitOptions = {}): Promise<Repository> {
  try {
    await Deno.mkdir(path, { recursive: true });
  } catch (error) {
    throw ioError(`cannot make a repository at ${path}`, error);
  }
  return await initRepositoryOn(fileDevice(path), runtimeTools, options);
}

/**
 * Opens a repository on disk; a working copy's is found in its `.git`.
 * @throws {StoreError} `missing` where there is none, `malformed` where it is of a kind that is not understood
 */
export async function openRepository(path: string, options: OpenOptions = {}): Promise<Repository> {
  for (const root of [path, `${path}/.git`]) {
    const device = fileDevice(root);
    let found: boolean;
    try {
      found = device.look("HEAD") !== undefined && device.look("objects") !== undefined;
    } catch (error) {
      throw ioError(`cannot look at ${path}`, error);
    }
    if (found) return await openRepositoryOn(device, runtimeTools, options);
  }
  throw new StoreError("missing", `${path} is not a git repository`);
}
