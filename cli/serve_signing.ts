/** Signed commits: the server's own key, and who else may sign. */
import { allowedSignersFile, commitJudge, serverKeyFault, signerLine, type Signing } from "../primary/mod.ts";
import { type DataDir, exists, signingKey, writePrivate } from "./data_dir.ts";
import { CliError } from "./errors.ts";
import type { RepositorySettings } from "./settings.ts";

/**
 * What the primary signs with, and by whom commits of `main` must be signed where the configuration asks for that.
 * @throws {CliError} where the server's own commits would not pass, or nobody's
 */
export async function signingOf(
  dir: DataDir,
  { requireSigned, allowedSigners }: RepositorySettings,
): Promise<Signing> {
  const signer = await signingKey(dir);
  // A file that others are to be added to; one that the configuration names is its owner's.
  if (!exists(dir.allowedSigners)) writePrivate(dir.allowedSigners, `${signerLine(signer)}\n`);
  if (!requireSigned) return { sign: signer.sign };
  const allowed = allowedSignersFile(allowedSigners ?? dir.allowedSigners);
  const now = allowed();
  if (!now.ok) throw new CliError(`repository.allowed-signers: ${now.error}`);
  const fault = serverKeyFault(signer, now.value, Date.now());
  if (fault !== undefined) throw new CliError(`repository.allowed-signers: ${fault}`);
  return { sign: signer.sign, judge: commitJudge({ allowed, clock: Date.now }) };
}
