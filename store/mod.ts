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
