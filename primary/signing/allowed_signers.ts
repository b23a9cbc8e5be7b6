import type { Result } from "../../conduit/mod.ts";
import { type AllowedSigner, parseAllowedSigners, type Signer, verifySignature } from "../../store/mod.ts";

/** Reads the allowed-signers file anew each time it is asked, so that who was struck out is out at once. */
export function allowedSignersFile(path: string): () => Result<readonly AllowedSigner[], string> {
  return () => {
    let text: string;
    try {
      text = Deno.readTextFileSync(path);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      return { ok: false, error: `${path} cannot be read: ${why}` };
    }
    const parsed = parseAllowedSigners(text);
    if (parsed.ok) return parsed;
    return {
      ok: false,
      error: parsed.error.map(({ line, message }) => `${path}:${line}: ${message}`).join("; "),
    };
  };
}

/** The line that lets a server's key sign commits. */
export function signerLine(signer: Signer): string {
  return `bailiwick@localhost namespaces="git" ${signer.publicKey}`;
}

/**
 * Why commits of the server's own would not pass for signed; `undefined` where they do. Asked at the start: others that
 * follow the same file would refuse what the server commits.
 *
 * @param now milliseconds since 1970
 */
export function serverKeyFault(
  signer: Signer,
  allowed: readonly AllowedSigner[],
  now: number,
): string | undefined {
  const proof = new TextEncoder().encode("proof");
  const at = Math.floor(now / 1000);
  const outcome = verifySignature(proof, signer.sign(proof), allowed, { at, namespace: "git" });
  if (outcome.ok) return undefined;
  return `the server's key may not sign: ${outcome.error.message}; add the line: ${signerLine(signer)}`;
}
