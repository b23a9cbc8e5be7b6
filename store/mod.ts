/** store: git's objects, packs, refs and the smart protocol. The room's only door. */
export type {
  GitObject,
  ObjectKind,
  ObjectReader,
  Oid,
  PackLimits,
  PackSummary,
  Quarantine,
  RefMove,
  RefMoveError,
  Refs,
  Repository,
  StoreErrorCode,
} from "./types.ts";
export { StoreError } from "./types.ts";

export { isOid, oidFromBytes, oidToBytes, parseOid } from "./object/oid.ts";
export { latin1, textOf, utf8 } from "./object/bytes.ts";
export { objectOid } from "./object/hash.ts";
export type { NewSha1, Sha1 } from "./object/hash.ts";
export { compareEntries, decodeTree, encodeTree, entryName, isGitlink, isTreeEntry } from "./object/tree.ts";
export type { TreeEntry } from "./object/tree.ts";
export { composeCommit, decodeCommit, decodeTag, encodeCommit, encodeTag } from "./object/commit.ts";
export type { Commit, Tag } from "./object/commit.ts";
export type { Header, HeaderBlock } from "./object/headers.ts";
export { formatPerson, parsePerson } from "./object/person.ts";
export type { Person } from "./object/person.ts";
export { objectLinks } from "./object/links.ts";
export { isRefName } from "./repository/ref_name.ts";
export { initRepository, openRepository } from "./repository/open.ts";
export type { InitOptions, OpenOptions } from "./repository/repository.ts";
export { commitInfo, resolveCommit } from "./tree/history.ts";
export type { CommitInfo } from "./tree/history.ts";
export { findEntry, listFiles, readPath, resolveTree } from "./tree/paths.ts";
export type { FileEntry } from "./tree/paths.ts";
export { diffTrees } from "./tree/diff.ts";
export type { FileChange, FileSide } from "./tree/diff.ts";
export { writeCommit, writeTree } from "./tree/write.ts";
export { checkConnectivity } from "./repository/connectivity.ts";
export { fsckObject } from "./object/fsck.ts";
export type { FsckFault } from "./object/fsck.ts";
export { encodePack } from "./pack/encode.ts";
export { indexPack } from "./pack/index_pack.ts";
export type { IndexedPack, IndexPackOptions, PackStorage } from "./pack/index_pack.ts";
export { decodePackIndex, encodePackIndex } from "./pack/index_file.ts";
export type { Identify, PackKind, PackObject } from "./pack/types.ts";
export { createDelta } from "./pack/create_delta.ts";
export { nameHash } from "./pack/find_deltas.ts";
export type { PackItem } from "./pack/find_deltas.ts";
export { packObjects } from "./pack/pack_objects.ts";
export type { PackObjectsOptions } from "./pack/pack_objects.ts";
export { readPack } from "./pack/read_pack.ts";
export type { PackReader, ReadPackOptions, Weight } from "./pack/read_pack.ts";
export { verifyPack } from "./pack/verify_pack.ts";
export type { PackFault, PackReport, VerifyPackOptions } from "./pack/verify_pack.ts";
export type { IndexedObjects, PackIndex } from "./pack/index_file.ts";
export { newSha1 } from "./repository/sha1.ts";
export { nodeZlib } from "./zlib/node.ts";
export type { Inflated, Inflater, Zlib } from "./zlib/zlib.ts";

// The smart protocol.
export type { UploadLimits, UploadPackOptions, UploadSummary } from "./protocol/upload_pack.ts";
export { requestedVersion } from "./protocol/requested_version.ts";
export { admitAll } from "./protocol/admit_push.ts";
export type { AdmitPush, PushProposal, PushReply, PushResult } from "./protocol/admit_push.ts";
export type { ReceiveLimits, ReceivePackOptions, ReceiveSummary } from "./protocol/receive_pack.ts";
export type { FetchOptions, FetchOutcome, FetchRepository } from "./protocol/fetch.ts";
export type { DepthOptions } from "./protocol/fetch_shallow.ts";
export type { NegotiatorName } from "./protocol/negotiator/negotiator.ts";
export type { OpenService, RemoteOptions } from "./protocol/remote.ts";
export type { ServiceCommand, SshRepository } from "./protocol/openers.ts";
export { commandOpener, daemonOpener, flowOpener, sshOpener } from "./protocol/openers.ts";
export type { HttpOpenerOptions } from "./protocol/http_exchange.ts";
export { fetchHttpClient } from "./protocol/http_client_fetch.ts";
export type { StatelessFlow } from "./protocol/channel.ts";
export type { ProtocolVersion, RemoteRefs } from "./protocol/advertisement.ts";
export type { ChannelBounds } from "./protocol/channel.ts";
export type { GitCommand, GitCommandError, GitService } from "./protocol/git_command.ts";
export { parseGitCommand } from "./protocol/git_command.ts";

// One file as a store.
export type { BundleOptions, WrittenBundle } from "./bundle/write_bundle.ts";
export type { Bundle } from "./bundle/open_bundle.ts";
export { bundleRepository } from "./bundle/bundle_repository.ts";

// SHA-1 for what others made, and signatures.
export { newDetectingSha1 } from "./sha1/detecting_sha1.ts";
export { parseAllowedSigners } from "./signature/allowed_signers.ts";
export type { AllowedSigner, AllowedSignersFault } from "./signature/allowed_signers.ts";
export { verifyCommitSignature, verifySignature } from "./signature/commit_signature.ts";
export type { GoodSignature, SignatureError, VerifyOptions } from "./signature/commit_signature.ts";
export { signerFrom } from "./signature/signer.ts";
export type { Signer } from "./signature/signer.ts";
export type { SignPayload } from "./signature/signature_header.ts";
export type { NewCommits } from "./protocol/new_commits.ts";

// A repository over anything that files can be kept in.
export { initRepositoryOn, openRepositoryOn } from "./repository/repository.ts";
export { runtimeTools } from "./repository/open.ts";
export type { StoreTools } from "./repository/tools.ts";
export type {
  CollectionProgress,
  CollectionReport,
  CollectionThresholds,
  CollectOptions,
  PackDamage,
  ShallowCommits,
} from "./types.ts";
export type { Device } from "./repository/device/device.ts";
export { DeviceError } from "./repository/device/device.ts";
export { fileDevice } from "./repository/device/file_device.ts";
export { memoryDevice } from "./repository/device/memory_device.ts";
export type { MemoryDevice } from "./repository/device/memory_device.ts";

// The store's face: a batch of changes becomes a commit, and a commit goes to a remote.
export type { CommitOutcome, CommitRequest } from "./face/commit_on.ts";
export { commitOn } from "./face/commit_on.ts";
export type { PublishOptions, PushAttempt, PushOutcome } from "./face/publish.ts";
export type { ServeOpenlyOptions } from "./face/serve_openly.ts";

// Serving over HTTP and git://.
export type {
  AuthorizeHttp,
  GitHttpLimits,
  GitHttpOptions,
  HttpServed,
  HttpVerdict,
} from "./protocol/http_server.ts";
export { basicCredentials } from "./protocol/basic_credentials.ts";
export type { DaemonRequest, GitDaemonOptions } from "./protocol/daemon_server.ts";
export type { PushEffect } from "./protocol/report.ts";

// Loaded when they are called.
export {
  createGitHttpHandler,
  fetchFrom,
  httpOpener,
  isAncestor,
  lsRefs,
  mayServeOpenly,
  newCommits,
  openBundle,
  pushTo,
  serveGitDaemon,
  serveReceivePack,
  serveUploadPack,
  writeBundle,
} from "./on_demand.ts";
