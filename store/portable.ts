/**
 * The part of the store that runs anywhere: no interface of Deno or Node, neither here nor in anything imported. A browser
 * imports this instead of `mod.ts`; what the runtime gives elsewhere (zlib, SHA-1, a file system) is in `portableTools` and
 * `memoryDevice`.
 */
import { breather } from "./repository/breather.ts";
import type { StoreTools } from "./repository/tools.ts";
import { newDetectingSha1 } from "./sha1/detecting_sha1.ts";
import { pakoZlib } from "./zlib/pako.ts";

/** What a repository is made with where there is only the language: slower than the runtime's own, in nothing different. */
export const portableTools: StoreTools = {
  zlib: pakoZlib,
  newSha1: newDetectingSha1,
  newReceivedSha1: newDetectingSha1,
  clock: Date.now,
  breather,
};

export type { GitObject, ObjectReader, Oid, PackLimits, Repository } from "./types.ts";
export { StoreError } from "./types.ts";
export { initRepositoryOn, openRepositoryOn } from "./repository/repository.ts";
export type { Device } from "./repository/device/device.ts";
export { memoryDevice } from "./repository/device/memory_device.ts";
export type { MemoryDevice } from "./repository/device/memory_device.ts";
export { parseOid } from "./object/oid.ts";
export { textOf, utf8 } from "./object/bytes.ts";
export { commitInfo } from "./tree/history.ts";
export { listFiles, readPath } from "./tree/paths.ts";
export { diffTrees } from "./tree/diff.ts";
export type { FetchOptions, FetchOutcome } from "./protocol/fetch.ts";
export { fetchFrom } from "./protocol/fetch.ts";
export { lsRefs } from "./protocol/remote.ts";
export { httpOpener } from "./protocol/http_client.ts";
export { fetchHttpClient } from "./protocol/http_client_fetch.ts";
export { commitOn } from "./face/commit_on.ts";
export type { CommitOutcome, CommitRequest } from "./face/commit_on.ts";
export { publish } from "./face/publish.ts";
export type { PublishOptions, PushOutcome } from "./face/publish.ts";
