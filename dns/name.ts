/**
 * Domain names that we own: from text, from wire, and what lies below what. Names from packets pass through
 * `nameFromWire` on their way in, which is where compression and case end.
 */
import type { Result } from "../conduit/mod.ts";
import type { Name } from "./types.ts";

/** The root. */
export const ROOT = "." as Name;

/** The longest name in wire form, the root's octet included (RFC 1035 §2.3.4). */
export const MAX_NAME_OCTETS = 255;
/** The longest label (RFC 1035 §2.3.4). */
export const MAX_LABEL_OCTETS = 63;

export type NameErrorCode =
  | "empty"
  | "empty-label"
  | "label-too-long"
  | "name-too-long"
  | "bad-escape"
  | "bad-character"
  | "not-absolute";

/** Why a text is no domain name. */
export interface NameError {
  readonly code: NameErrorCode;
  /** One sentence without a final dot that quotes the text and says what to do. */
  readonly message: string;
}

/**
 * Reads a name in presentation form (RFC 1035 §5.1). Text without a final dot is completed with `origin`, `@` is
 * the origin itself; without an origin it is taken as absolute. Upper case is folded (RFC 4343).
 */
export function parseName(text: string, origin?: Name): Result<Name, NameError> {
  if (text === ".") return { ok: true, value: ROOT };
  if (text === "@") {
    return origin === undefined
      ? failure("not-absolute", `"@" stands for the origin and there is none here; write the name out`)
      : { ok: true, value: origin };
  }
  const plain = plainName(text, origin);
  return plain === undefined ? carefulName(text, origin) : { ok: true, value: plain };
}

/**
 * A name from a literal in code or from text checked before.
 * @throws {RangeError} when it is none
 */
export function nameFrom(text: string): Name {
  const parsed = parseName(text);
  if (!parsed.ok) throw new RangeError(parsed.error.message);
  return parsed.value;
}

/** Wire form: lower case, uncompressed, ending in the root's zero octet. */
export function nameToWire(name: Name): Uint8Array {
  const wire = new Uint8Array(MAX_NAME_OCTETS);
  return wire.slice(0, writeName(name, wire, 0));
}

/** Puts the wire form at `offset` of `target`, which has room for it; gives the offset behind it. */
export function writeName(name: Name, target: Uint8Array, offset: number): number {
  let at = offset;
  if (name !== ROOT) {
    let lengthAt = at++;
    for (let i = 0; i < name.length; i++) {
      let octet = name.charCodeAt(i);
      if (octet === DOT) {
        target[lengthAt] = at - lengthAt - 1;
        lengthAt = at++;
        continue;
      }
      if (octet === BACKSLASH) {
        octet = name.charCodeAt(++i);
        if (isDigit(octet)) {
          octet = (octet - ZERO) * 100 + (name.charCodeAt(i + 1) - ZERO) * 10 + name.charCodeAt(i + 2) - ZERO;
          i += 2;
        }
      }
      target[at++] = octet;
    }
    at = lengthAt;
  }
  target[at++] = 0;
  return at;
}

/** Octets of the wire form, the root's included. */
export function nameOctets(name: Name): number {
  if (name === ROOT) return 1;
  let octets = name.length + 1;
  for (let i = name.indexOf("\\"); i !== -1; i = name.indexOf("\\", i + 1)) {
    const width = isDigit(name.charCodeAt(i + 1)) ? 3 : 1;
    octets -= width;
    i += width;
  }
  return octets;
}

/**
 * Reads a name from a packet or from rdata, following compression pointers. `undefined` for anything that is not a
 * name: a label or pointer that reaches over `end` (default: the end of `bytes`), a pointer that does not go strictly
 * backward, a reserved label type, more than 255 octets. The work is bounded by that limit.
 * `end` of the outcome is the offset behind the name where it stands.
 */
export function nameFromWire(
  bytes: Uint8Array,
  offset: number,
  end: number = bytes.length,
): { name: Name; end: number } | undefined {
  const read = readWireName(bytes, offset, end, LOWER_OCTET);
  return read === undefined ? undefined : { name: read.text as Name, end: read.end };
}

/** As `nameFromWire`, with the case of the wire kept: for printing rdata. */
export function wireNameText(
  bytes: Uint8Array,
  offset: number,
  end: number = bytes.length,
): { text: string; end: number } | undefined {
  return readWireName(bytes, offset, end, CASED_OCTET);
}

/**
 * Checks an uncompressed name at `offset` and gives the offset behind it; `undefined` where it is cut, too long, or
 * holds a pointer.
 */
export function skipWireName(bytes: Uint8Array, offset: number, end: number): number | undefined {
  let at = offset;
  while (at < end) {
    const length = bytes[at];
    if (length > MAX_LABEL_OCTETS) return undefined;
    at += 1 + length;
    if (at - offset > MAX_NAME_OCTETS) return undefined;
    if (length === 0) return at;
  }
  return undefined;
}

/** True when `name` is `ancestor` or lies below it. */
export function isAtOrBelow(name: Name, ancestor: Name): boolean {
  return name.length === ancestor.length ? name === ancestor : isBelow(name, ancestor);
}

/** True when `name` lies below `ancestor` and is not it. */
export function isBelow(name: Name, ancestor: Name): boolean {
  if (ancestor === ROOT) return name !== ROOT;
  const at = name.length - ancestor.length;
  return at > 1 && name.charCodeAt(at - 1) === DOT && name.endsWith(ancestor) && !isEscaped(name, at - 1);
}

/** The name without its first label; `undefined` for the root. */
export function parentName(name: Name): Name | undefined {
  if (name === ROOT) return undefined;
  const dot = labelEnd(name, 0);
  return dot === name.length - 1 ? ROOT : name.slice(dot + 1) as Name;
}

/** The first label in presentation form, escapes kept; empty for the root. */
export function firstLabel(name: Name): string {
  return name === ROOT ? "" : name.slice(0, labelEnd(name, 0));
}

/** The labels in presentation form, escapes kept, first label first, without the root's. */
export function labelsOf(name: Name): string[] {
  const labels: string[] = [];
  for (let at = 0; name !== ROOT && at < name.length;) {
    const dot = labelEnd(name, at);
    labels.push(name.slice(at, dot));
    at = dot + 1;
  }
  return labels;
}

/**
 * Puts labels in presentation form (as `labelsOf` gives them, any case) in front of a name.
 * @throws {RangeError} when the outcome is no name, for instance too long
 */
export function joinName(labels: readonly string[], base: Name): Name {
  if (labels.length === 0) return base;
  return nameFrom(base === ROOT ? `${labels.join(".")}.` : `${labels.join(".")}.${base}`);
}

/** Canonical order (RFC 4034 §6.1): label by label from the root, octets as unsigned numbers. */
export function compareNames(a: Name, b: Name): number {
  if (a === b) return 0;
  const left = labelsOf(a);
  const right = labelsOf(b);
  const shared = Math.min(left.length, right.length);
  for (let i = 1; i <= shared; i++) {
    const x = left[left.length - i];
    const y = right[right.length - i];
    if (x === y) continue;
    return labelOctets(x) < labelOctets(y) ? -1 : 1;
  }
  return left.length - right.length;
}

/** The name as it is written in a zone file with that origin: `@` at the apex, absolute outside. */
export function relativeTo(name: Name, origin: Name): string {
  if (name === origin) return "@";
  if (!isBelow(name, origin)) return name;
  return name.slice(0, origin === ROOT ? -1 : -origin.length - 1);
}

/** More than a name can have labels: an honest encoder needs no more pointers than that. */
const MAX_POINTERS = 127;

const DOT = 0x2e;
const BACKSLASH = 0x5c;
const ZERO = 0x30;

/** Characters that stand for themselves in every place of a zone file. */
const PLAIN = new Uint8Array(128);
for (const character of "abcdefghijklmnopqrstuvwxyz0123456789-_*/+=#!%&',:<>?[]^`{|}~") {
  PLAIN[character.charCodeAt(0)] = 1;
}

/** How an octet of a label is written, with and without its case. */
const CASED_OCTET: readonly string[] = Array.from({ length: 256 }, (_, octet) => presentOctet(octet));
const LOWER_OCTET: readonly string[] = Array.from(
  { length: 256 },
  (_, octet) => presentOctet(octet >= 0x41 && octet <= 0x5a ? octet + 0x20 : octet),
);

function presentOctet(octet: number): string {
  if (octet <= 0x20 || octet >= 0x7f) return `\\${String(octet).padStart(3, "0")}`;
  const character = String.fromCharCode(octet);
  return `.\\";()@$`.includes(character) ? `\\${character}` : character;
}

/** The common case: no escapes, no upper case. `undefined` when the text needs the careful way. */
function plainName(text: string, origin: Name | undefined): Name | undefined {
  let labelStart = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === DOT) {
      if (i === labelStart || i - labelStart > MAX_LABEL_OCTETS) return undefined;
      labelStart = i + 1;
    } else if (code > 127 || PLAIN[code] === 0) {
      return undefined;
    }
  }
  if (text.length === 0 || text.length - labelStart > MAX_LABEL_OCTETS) return undefined;
  if (labelStart === text.length) return text.length + 1 > MAX_NAME_OCTETS ? undefined : text as Name;
  const base = origin ?? ROOT;
  if (text.length + 1 + nameOctets(base) > MAX_NAME_OCTETS) return undefined;
  return (base === ROOT ? `${text}.` : `${text}.${base}`) as Name;
}

/** The whole grammar, octet by octet, with the reason where it fails. */
function carefulName(text: string, origin: Name | undefined): Result<Name, NameError> {
  if (text === "") {
    return failure("empty", `an empty text is no name; write "@" for the origin, "." for the root`);
  }
  let name = "";
  let octets = 0;
  let inLabel = 0;
  let absolute = false;
  for (let i = 0; i < text.length;) {
    let code = text.charCodeAt(i++);
    if (code === DOT) {
      if (inLabel === 0) return failure("empty-label", `${quoted(text)} has an empty label; take a dot out`);
      name += ".";
      octets++;
      inLabel = 0;
      absolute = i === text.length;
      continue;
    }
    if (code === BACKSLASH) {
      const escape = readEscape(text, i);
      if (escape === undefined) {
        return failure(
          "bad-escape",
          `${
            quoted(text)
          } has a bad escape; write \\ and the character, or \\ and three digits from 000 to 255`,
        );
      }
      code = escape.octet;
      i = escape.end;
    } else if (code >= 0x7f || code < 0x20) {
      return failure(
        "bad-character",
        `${
          quoted(text)
        } holds a character that a name cannot hold as such; write an international name in its xn-- form and any other octet as \\DDD`,
      );
    }
    name += LOWER_OCTET[code];
    octets++;
    inLabel++;
    if (inLabel > MAX_LABEL_OCTETS) {
      return failure("label-too-long", `${quoted(text)} has a label of more than ${MAX_LABEL_OCTETS} octets`);
    }
    if (octets > MAX_NAME_OCTETS) return tooLong(text);
  }
  const base = absolute ? ROOT : origin ?? ROOT;
  const total = octets + (absolute ? 1 : 1 + nameOctets(base));
  if (total > MAX_NAME_OCTETS) return tooLong(text);
  if (absolute) return { ok: true, value: name as Name };
  return { ok: true, value: (base === ROOT ? `${name}.` : `${name}.${base}`) as Name };
}

/** Reads what follows a backslash: three digits or one character (RFC 1035 §5.1). */
function readEscape(text: string, at: number): { octet: number; end: number } | undefined {
  if (at >= text.length) return undefined;
  const first = text.charCodeAt(at);
  if (!isDigit(first)) return first < 0x20 || first >= 0x7f ? undefined : { octet: first, end: at + 1 };
  const digits = text.slice(at, at + 3);
  if (!/^[0-9]{3}$/.test(digits) || Number(digits) > 255) return undefined;
  return { octet: Number(digits), end: at + 3 };
}

function readWireName(
  bytes: Uint8Array,
  offset: number,
  end: number,
  octets: readonly string[],
): { text: string; end: number } | undefined {
  const limit = Math.min(end, bytes.length);
  let text = "";
  let size = 1;
  let at = offset;
  let runStart = offset;
  let behind = -1;
  let hops = 0;
  while (at < limit) {
    const length = bytes[at];
    if (length === 0) return { text: text === "" ? "." : text, end: behind === -1 ? at + 1 : behind };
    if (length >= 0xc0) {
      if (at + 1 >= limit) return undefined;
      const target = (length & 0x3f) << 8 | bytes[at + 1];
      // Strictly before the run of labels that holds the pointer, so no loop; pointers to pointers are counted.
      if (target >= runStart || ++hops > MAX_POINTERS) return undefined;
      if (behind === -1) behind = at + 2;
      at = target;
      runStart = target;
      continue;
    }
    if (length > MAX_LABEL_OCTETS) return undefined;
    size += 1 + length;
    const labelEnds = at + 1 + length;
    if (size > MAX_NAME_OCTETS || labelEnds > limit) return undefined;
    for (at++; at < labelEnds; at++) text += octets[bytes[at]];
    text += ".";
  }
  return undefined;
}

/** The offset of the dot that ends the label starting at `at`. */
function labelEnd(name: Name, at: number): number {
  let dot = name.indexOf(".", at);
  while (isEscaped(name, dot)) dot = name.indexOf(".", dot + 1);
  return dot;
}

/** True when an odd number of backslashes stands before `at`. */
function isEscaped(name: Name, at: number): boolean {
  let backslashes = 0;
  while (at > backslashes && name.charCodeAt(at - backslashes - 1) === BACKSLASH) backslashes++;
  return backslashes % 2 === 1;
}

/** A label's octets as a string of one character each, so that `<` compares octets. */
function labelOctets(label: string): string {
  if (!label.includes("\\")) return label;
  return label.replace(
    /\\(?:([0-9]{3})|(.))/g,
    (_, digits: string | undefined, character: string) =>
      digits === undefined ? character : String.fromCharCode(Number(digits)),
  );
}

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39;
}

/** The text for a message: bounded, on one line. */
function quoted(text: string): string {
  const shown = text.length > 80 ? `${text.slice(0, 77)}...` : text;
  return `"${shown.replace(/\p{Cc}/gu, "?")}"`;
}

function tooLong(text: string): Result<Name, NameError> {
  return failure("name-too-long", `${quoted(text)} makes a name of more than ${MAX_NAME_OCTETS} octets`);
}

function failure(code: NameErrorCode, message: string): Result<Name, NameError> {
  return { ok: false, error: { code, message } };
}
