import { StoreError } from "../types.ts";
import { concatBytes, latin1, utf8 } from "./bytes.ts";

/**
 * What commits and tags are made of: header lines, a blank line, a body. A value may span lines: each further
 * line starts with a space, which is not part of the value (gpgsig, mergetag).
 */
export interface HeaderBlock {
  readonly headers: readonly Header[];
  /** What follows the blank line; `undefined` where there is not even a blank line. */
  readonly body: Uint8Array | undefined;
}

export interface Header {
  /** One character a byte. */
  readonly name: string;
  /** `undefined` where the line has no space, which git lets pass in headers it does not know. */
  readonly value: Uint8Array | undefined;
}

/** @throws {StoreError} `malformed` */
export function decodeHeaders(content: Uint8Array): HeaderBlock {
  const headers: { name: string; value: Uint8Array | undefined }[] = [];
  let at = 0;
  while (at < content.length) {
    if (content[at] === newline) return { headers, body: content.subarray(at + 1) };
    const end = content.indexOf(newline, at);
    if (end < 0) throw new StoreError("malformed", "a header line without an end");
    const line = content.subarray(at, end);
    at = end + 1;
    if (line[0] === space) {
      const last = headers.at(-1);
      if (last === undefined) throw new StoreError("malformed", "a continuation line before any header");
      if (last.value === undefined) {
        throw new StoreError(
          "malformed",
          `a continuation line below the header ${last.name} without a value`,
        );
      }
      // The value is the bytes between, minus the space after each line break; joined below in one go.
      let stop = end;
      let next = at;
      const lines = [last.value, line.subarray(1)];
      while (content[next] === space) {
        stop = content.indexOf(newline, next);
        if (stop < 0) throw new StoreError("malformed", "a header line without an end");
        lines.push(content.subarray(next + 1, stop));
        next = stop + 1;
      }
      at = next;
      last.value = joinLines(lines);
      continue;
    }
    const split = line.indexOf(space);
    headers.push(
      split < 0
        ? { name: latin1(line), value: undefined }
        : { name: latin1(line.subarray(0, split)), value: line.subarray(split + 1) },
    );
  }
  return { headers, body: undefined };
}

/** The inverse of `decodeHeaders`. */
export function encodeHeaders(block: HeaderBlock): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const { name, value } of block.headers) {
    parts.push(Uint8Array.from(name, (character) => character.charCodeAt(0)));
    if (value !== undefined) parts.push(utf8(" "), foldLines(value));
    parts.push(utf8("\n"));
  }
  if (block.body !== undefined) parts.push(utf8("\n"), block.body);
  return concatBytes(parts);
}

const newline = 0x0a;
const space = 0x20;

function joinLines(lines: readonly Uint8Array[]): Uint8Array {
  const parts: Uint8Array[] = [];
  lines.forEach((line, index) => {
    if (index > 0) parts.push(utf8("\n"));
    parts.push(line);
  });
  return concatBytes(parts);
}

function foldLines(value: Uint8Array): Uint8Array {
  if (!value.includes(newline)) return value;
  const parts: Uint8Array[] = [];
  let at = 0;
  for (let end = value.indexOf(newline); end >= 0; end = value.indexOf(newline, at)) {
    parts.push(value.subarray(at, end), utf8("\n "));
    at = end + 1;
  }
  parts.push(value.subarray(at));
  return concatBytes(parts);
}
