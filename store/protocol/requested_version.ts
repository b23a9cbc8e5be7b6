import type { ProtocolVersion } from "./advertisement.ts";

/** The version that a `GIT_PROTOCOL` value asks for (`version=2`, among other keys parted by colons). */
export function requestedVersion(gitProtocol: string | undefined): ProtocolVersion {
  const keys = (gitProtocol ?? "").split(":");
  return keys.includes("version=2") ? 2 : keys.includes("version=1") ? 1 : 0;
}
