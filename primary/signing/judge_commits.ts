import type { Result } from "../../conduit/mod.ts";
import {
  type AllowedSigner,
  commitInfo,
  newCommits,
  type ObjectReader,
  type Oid,
  verifyCommitSignature,
} from "../../store/mod.ts";
import type { JudgeCommits, RefusedCommits } from "./signing.ts";

/**
 * Asks a good SSH signature by an allowed signer of every new commit, so that a stolen push key alone changes no zone. The
 * signer's key must have been valid at the committer's time, which whoever holds the key writes himself. So that a key
 * that has run out is of no use by dating back, a commit may not be dated before its parents, and the last one's key must
 * be valid now as well.
 *
 * @param allowed asked at each move; while it fails nothing comes in
 * @param clock milliseconds since 1970
 */
export function commitJudge(options: {
  readonly allowed: () => Result<readonly AllowedSigner[], string>;
  readonly clock: () => number;
}): JudgeCommits {
  return async (objects, move) => {
    const allowed = options.allowed();
    if (!allowed.ok) return refusal(`signatures cannot be judged: ${allowed.error}`, []);
    const now = Math.floor(options.clock() / 1000);
    const fresh = await newCommits(objects, { tip: move.new, known: move.old, shallow: move.shallow });
    const lines: string[] = [];
    let first: string | undefined;
    // The oldest first, which is where mending begins.
    for (const oid of fresh.oids.toReversed()) {
      const fault = await commitFault(objects, oid, allowed.value, { now, isTip: oid === move.new });
      if (fault === undefined || await fresh.isKnown(oid)) continue;
      first ??= `commit ${oid}: ${fault}`;
      lines.push(`commit ${oid}: error: ${fault}`);
      if (lines.length === MOST_LINES) break;
    }
    if (first === undefined) return { ok: true, value: undefined };
    return refusal(`${first}; sign what you push (git commit -S, git rebase --gpg-sign)`, lines);
  };
}

const MOST_LINES = 100;

/** How far clocks may be apart, in seconds. */
const CLOCK_SKEW = 24 * 3600;

async function commitFault(
  objects: ObjectReader,
  oid: Oid,
  allowed: readonly AllowedSigner[],
  { now, isTip }: { readonly now: number; readonly isTip: boolean },
): Promise<string | undefined> {
  const object = await objects.read(oid);
  if (object?.kind !== "commit") return "it is not a commit";
  const { committer, parents } = await commitInfo(objects, oid);
  if (committer === undefined) return "its committer's line cannot be read";
  const at = committer.when;
  const judge = (time: number) => {
    const outcome = verifyCommitSignature(object.content, allowed, { at: time, namespace: "git" });
    return outcome.ok ? undefined : outcome.error.message;
  };
  const fault = judge(at);
  if (fault !== undefined) return fault;
  if (at > now + CLOCK_SKEW) return "it is dated in the future";
  for (const parent of parents) {
    if (!await objects.has(parent)) continue; // Cut off by a shallow fetch.
    const before = (await commitInfo(objects, parent)).committer?.when ?? 0;
    if (at < before - CLOCK_SKEW) return `it is dated before its parent ${parent}`;
  }
  return isTip ? judge(now) : undefined;
}

function refusal(message: string, lines: readonly string[]): Result<void, RefusedCommits> {
  return { ok: false, error: { message, lines } };
}
