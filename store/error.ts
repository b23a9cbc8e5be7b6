export type StoreErrorCode =
  | "corrupt"
  | "missing"
  | "limit"
  | "malformed"
  | "fsck"
  | "connectivity"
  | "io"
  | "protocol"
  | "remote"
  | "unreachable"
  | "collision";

/** A fault of the store, with a stable code and a sentence that names the thing. */
export class StoreError extends Error {
  override readonly name = "StoreError";
  constructor(readonly code: StoreErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
  }
}
