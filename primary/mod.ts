/** primary: the heart; layout, gate, layers, serials, the transaction, remote sync. The room's only door. */
export { openPrimary } from "./open_primary.ts";
export type {
  Adopted,
  Changed,
  ChangeError,
  Judge,
  Judgement,
  Log,
  Primary,
  PrimaryMode,
  PrimaryOptions,
  PublishedZone,
  ServedChange,
  UpdateOutcome,
  UpdateRequest,
  ZoneStatus,
} from "./primary.ts";
export { readFolder, type Seeded, seedRepository } from "./seed_repository.ts";
export { type Checked, checkFiles } from "./check_files.ts";
export { faultLine } from "./push_words.ts";
export { openState, putDatabaseAside, type State } from "./state/state.ts";
export type { JournalDelta } from "./state/state.ts";
export type { Collection } from "./state/collection.ts";
export { createRemoteFollower } from "./remote/follower.ts";
export type { FollowerOptions, PullOutcome, RemoteFollower, RemoteStatus, Timer } from "./remote/follower.ts";
export type { HeldBack } from "./layers/merge.ts";
export { COMMIT_STEPS, type CommitStep, completePending } from "./transaction/commit.ts";
export { machineFolder, machinePath } from "./layout/machine_files.ts";
export { isDynamicName } from "./transaction/plan_update.ts";
export type { Deepen, ZoneHistory } from "./history/zone_history.ts";
export { readState, type StateReader } from "./state/read_state.ts";
export { readTroubles, type ZoneTrouble } from "./state/troubles.ts";
export { readMachineOwners } from "./transaction/machine_layer.ts";

// Signed commits.
export { allowedSignersFile, serverKeyFault, signerLine } from "./signing/allowed_signers.ts";
export { commitJudge } from "./signing/judge_commits.ts";
export type { CommitMove, JudgeCommits, RefusedCommits, Signing } from "./signing/signing.ts";
