import { StoreError } from "../error.ts";
import { concatBytes, latin1, utf8 } from "../object/bytes.ts";

/** Makes the signature of a commit out of its content without one. */
export type SignPayload = (payload: Uint8Array) => string | Promise<string>;

/**
 * A commit's content without its signature headers, which is what was signed, and the signature; `undefined` for an
 * unsigned one. Headers of other signatures (`gpgsig-sha256`) go too, as git leaves them out.
 */
export function splitSignature(
  content: Uint8Array,
): { readonly payload: Uint8Array; readonly signature: string; readonly signatures: number } | undefined {
  const kept: Uint8Array[] = [];
  let signature = "";
  let signatures = 0;
  let within: "kept" | "signature" | "other" = "kept";
  for (let at = 0; at < content.length;) {
    const newline = content.indexOf(0x0a, at);
    const next = newline < 0 ? content.length : newline + 1;
    const line = latin1(content.subarray(at, next));
    if (line === "\n") {
      kept.push(content.subarray(at));
      break;
    }
    if (line.startsWith("gpgsig ")) {
      within = "signature";
      signatures++;
      signature += line.slice("gpgsig ".length);
    } else if (line.startsWith("gpgsig")) {
      within = "other";
    } else if (!line.startsWith(" ")) {
      within = "kept";
    } else if (within === "signature") {
      signature += line.slice(1);
    }
    if (within === "kept") kept.push(content.subarray(at, next));
    at = next;
  }
  return signatures === 0 ? undefined : { payload: concatBytes(kept), signature, signatures };
}

/** A commit's content with a signature as its last header. The content has none yet. */
export function withSignature(content: Uint8Array, armored: string): Uint8Array {
  const end = endOfHeaders(content);
  const header = utf8(`gpgsig ${armored.trimEnd().replaceAll("\n", "\n ")}\n`);
  return concatBytes([content.subarray(0, end), header, content.subarray(end)]);
}

/** Where the blank line is. */
function endOfHeaders(content: Uint8Array): number {
  for (let at = content.indexOf(0x0a); at >= 0; at = content.indexOf(0x0a, at + 1)) {
    if (content[at + 1] === 0x0a) return at + 1;
  }
  throw new StoreError("malformed", "a commit without a blank line after its headers");
}
