/**
 * The lexical layer of zone files (RFC 1035 §5.1): one entry, that is a line or several joined by parentheses,
 * becomes tokens, each a range of the input.
 *
 * Hot: every byte of every zone passes here once. No strings are made, ranges go to reused typed arrays, and a table
 * sorts the bytes. `tests/bench/zonefile_bench.ts` shows it.
 */

/** Flags of a token. */
export const QUOTED = 1;
/** Holds a backslash. */
export const ESCAPED = 2;
/** Holds a quote behind other characters, as in `alpn="h2,h3"`. */
export const INNER_QUOTE = 4;
/** Holds an octet that must be written as `\DDD`: a control character. */
export const CONTROL = 8;

/** More tokens than any record of 65,535 octets can need. */
const MAX_TOKENS = 200_000;

export type LexicalProblem =
  | "unclosed-parenthesis"
  | "nested-parenthesis"
  | "stray-parenthesis"
  | "unclosed-quote"
  | "too-many-tokens";

/** The tokens of one entry. A quoted token's range excludes the quotes. Reused from entry to entry. */
export class Tokens {
  bytes: Uint8Array = new Uint8Array(0);
  count = 0;
  start = new Int32Array(64);
  end = new Int32Array(64);
  flags = new Uint8Array(64);
  /** The entry starts with a blank: its owner is the last one's. */
  leadingBlank = false;
  /** Where the entry starts, and where the next one does. */
  from = 0;
  next = 0;
  /** Line feeds in the entry; right only without a problem. */
  lines = 0;
  /** What kept the entry from being read, and where. */
  problem: LexicalProblem | undefined = undefined;
  problemAt = 0;
  /** Where the parenthesis of the entry was opened; -1 without one. */
  openedAt = -1;

  add(start: number, end: number, flags: number): void {
    if (this.count === this.start.length) this.#grow();
    this.start[this.count] = start;
    this.end[this.count] = end;
    this.flags[this.count++] = flags;
  }

  /** The text of a token for messages, at most `limit` octets of it. */
  text(index: number, limit = 60): string {
    return printable(this.bytes, this.start[index], this.end[index], limit);
  }

  /** The offset where a token begins, its quote included. */
  offset(index: number): number {
    return this.start[index] - (this.flags[index] & QUOTED);
  }

  #grow(): void {
    const size = this.start.length * 2;
    this.start = grown(this.start, new Int32Array(size));
    this.end = grown(this.end, new Int32Array(size));
    this.flags = grown(this.flags, new Uint8Array(size));
  }
}

/** A piece of the input for a message: bounded, on one line, read as UTF-8, control characters as `?`. */
export function printable(bytes: Uint8Array, start: number, end: number, limit = 60): string {
  const cut = end - start > limit;
  const text = new TextDecoder().decode(bytes.subarray(start, cut ? start + limit - 3 : end));
  return (cut ? `${text}...` : text).replace(/\p{Cc}/gu, "?");
}

/**
 * Reads the entry that starts at `at` into `tokens`. With a problem, `next` is where reading goes on: the next line,
 * or the line that shows that a parenthesis was left open before it.
 */
export function readEntry(bytes: Uint8Array, at: number, tokens: Tokens): void {
  tokens.bytes = bytes;
  tokens.count = 0;
  tokens.from = at;
  tokens.problem = undefined;
  tokens.openedAt = -1;
  tokens.lines = 0;
  const size = bytes.length;
  let i = at;
  let lineStart = at;
  // Continuation lines are indented by custom: the first that is not may be a record of its own.
  let unindented = -1;
  tokens.leadingBlank = i < size && BYTE[bytes[i]] === BLANK;

  while (i < size) {
    const byte = bytes[i];
    switch (BYTE[byte]) {
      case BLANK:
        i++;
        break;
      case NEWLINE:
        i++;
        tokens.lines++;
        if (tokens.openedAt === -1) {
          tokens.next = i;
          return;
        }
        lineStart = i;
        if (unindented === -1 && i < size && BYTE[bytes[i]] === WORD) unindented = i;
        break;
      case RETURN:
        if (i + 1 < size && bytes[i + 1] !== LF) i = readWord(bytes, i, tokens);
        else i++;
        break;
      case COMMENT:
        i = lineEnd(bytes, i);
        break;
      case OPEN:
        if (tokens.openedAt !== -1) {
          // No one nests them; a second one shows that the first was left open.
          const sameLine = lineStart <= tokens.openedAt;
          problem(tokens, "nested-parenthesis", sameLine ? i : tokens.openedAt);
          tokens.next = sameLine ? nextLine(bytes, i) : unindented === -1 ? lineStart : unindented;
          return;
        }
        tokens.openedAt = i++;
        break;
      case CLOSE:
        if (tokens.openedAt === -1) {
          problem(tokens, "stray-parenthesis", i);
          tokens.next = nextLine(bytes, i);
          return;
        }
        // From here the entry is as one line again.
        tokens.openedAt = unindented = -1;
        i++;
        break;
      case QUOTE: {
        const close = readQuoted(bytes, i, tokens);
        if (close === -1) {
          if (unindented === -1) {
            problem(tokens, "unclosed-quote", i);
            tokens.next = tokens.openedAt === -1 ? nextLine(bytes, i) : recoveryLine(bytes, i);
          } else {
            problem(tokens, "unclosed-parenthesis", tokens.openedAt);
            tokens.next = unindented;
          }
          return;
        }
        i = close;
        break;
      }
      default:
        i = readWord(bytes, i, tokens);
    }
    if (tokens.count > MAX_TOKENS) {
      problem(tokens, "too-many-tokens", i);
      tokens.next = recoveryLine(bytes, i);
      return;
    }
  }
  tokens.next = size;
  if (tokens.openedAt !== -1) {
    problem(tokens, "unclosed-parenthesis", tokens.openedAt);
    tokens.next = unindented === -1 ? recoveryLine(bytes, tokens.openedAt) : unindented;
  }
}

/** The offset behind the line feed that ends the line of `at`. */
function nextLine(bytes: Uint8Array, at: number): number {
  return Math.min(lineEnd(bytes, at) + 1, bytes.length);
}

const LF = 0x0a;
const BACKSLASH = 0x5c;
const DOUBLE_QUOTE = 0x22;

const WORD = 0;
const BLANK = 1;
const NEWLINE = 2;
const RETURN = 3;
const COMMENT = 4;
const OPEN = 5;
const CLOSE = 6;
const QUOTE = 7;

/** What a byte begins. */
const BYTE = new Uint8Array(256).fill(WORD);
BYTE[0x20] = BYTE[0x09] = BLANK;
BYTE[LF] = NEWLINE;
BYTE[0x0d] = RETURN;
BYTE[0x3b] = COMMENT;
BYTE[0x28] = OPEN;
BYTE[0x29] = CLOSE;
BYTE[DOUBLE_QUOTE] = QUOTE;

/** What a byte inside a word asks for: 0 to go on, 1 a closer look, 2 the end. */
const IN_WORD = new Uint8Array(256);
for (const end of [0x20, 0x09, LF, 0x3b, 0x28, 0x29]) IN_WORD[end] = 2;
for (let control = 0; control < 0x20; control++) if (IN_WORD[control] === 0) IN_WORD[control] = 1;
IN_WORD[0x7f] = IN_WORD[BACKSLASH] = IN_WORD[DOUBLE_QUOTE] = 1;

function readWord(bytes: Uint8Array, at: number, tokens: Tokens): number {
  const size = bytes.length;
  let flags = 0;
  let i = at;
  for (; i < size; i++) {
    const kind = IN_WORD[bytes[i]];
    if (kind === 0) continue;
    if (kind === 2) break;
    const byte = bytes[i];
    if (byte === BACKSLASH) {
      flags |= ESCAPED;
      // The escaped character belongs to the word, unless the line ends here.
      if (i + 1 < size && bytes[i + 1] !== LF && bytes[i + 1] !== 0x0d) i++;
    } else if (byte === DOUBLE_QUOTE) {
      flags |= INNER_QUOTE;
      const close = closingQuote(bytes, i + 1);
      if (close !== -1) {
        flags |= flagsOf(bytes, i + 1, close);
        i = close;
      }
    } else if (byte === 0x0d && (i + 1 === size || bytes[i + 1] === LF)) {
      break;
    } else {
      flags |= CONTROL;
    }
  }
  tokens.add(at, i, flags);
  return i;
}

function readQuoted(bytes: Uint8Array, at: number, tokens: Tokens): number {
  const size = bytes.length;
  let flags = QUOTED;
  for (let i = at + 1; i < size; i++) {
    const byte = bytes[i];
    if (byte === DOUBLE_QUOTE) {
      tokens.add(at + 1, i, flags);
      return i + 1;
    }
    if (byte === BACKSLASH) {
      flags |= ESCAPED;
      if (i + 1 < size && bytes[i + 1] !== LF) i++;
    } else if (byte === LF) {
      return -1;
    } else if (byte < 0x20 && byte !== 0x09 || byte === 0x7f) {
      flags |= CONTROL;
    }
  }
  return -1;
}

/** What is special between inner quotes. */
function flagsOf(bytes: Uint8Array, from: number, to: number): number {
  let flags = 0;
  for (let i = from; i < to; i++) {
    if (bytes[i] === BACKSLASH) flags |= ESCAPED;
    else if (bytes[i] < 0x20 && bytes[i] !== 0x09 || bytes[i] === 0x7f) flags |= CONTROL;
  }
  return flags;
}

/** The closing quote on the same line, -1 without one. */
function closingQuote(bytes: Uint8Array, at: number): number {
  for (let i = at; i < bytes.length && bytes[i] !== LF; i++) {
    if (bytes[i] === DOUBLE_QUOTE) return i;
    if (bytes[i] === BACKSLASH && bytes[i + 1] !== LF) i++;
  }
  return -1;
}

function lineEnd(bytes: Uint8Array, at: number): number {
  const end = bytes.indexOf(LF, at);
  return end === -1 ? bytes.length : end;
}

/** The next line that begins with something other than a blank, a quote, a parenthesis or a comment. */
function recoveryLine(bytes: Uint8Array, at: number): number {
  let line = nextLine(bytes, at);
  while (line < bytes.length && BYTE[bytes[line]] !== WORD) line = nextLine(bytes, line);
  return line;
}

function problem(tokens: Tokens, kind: LexicalProblem, at: number): void {
  tokens.problem = kind;
  tokens.problemAt = at;
}

function grown<T extends Int32Array | Uint8Array>(from: T, to: T): T {
  to.set(from);
  return to;
}
