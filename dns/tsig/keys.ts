/** TSIG keys in the forms in which programs keep them, and new ones. */
import type { Result } from "../../conduit/mod.ts";
import { parseName } from "../name.ts";
import { rdataFromText } from "../rr/rdata.ts";
import { RRTYPE } from "../rr/types.ts";
import type { Name, TsigKey } from "../types.ts";
import { macOctets, TSIG_ALGORITHMS } from "./hmac.ts";

/** Why a text holds no key. Never quotes a secret. */
export interface KeyError {
  /** Counted from 1, in texts of several lines. */
  readonly line: number;
  /** One sentence without a final dot. */
  readonly message: string;
}

/**
 * Reads a key file as `nsupdate -k` and `dig -k` do: any number of
 * `key "NAME" { algorithm hmac-sha256; secret "BASE64"; };`, with comments (`#`, `//`, `/* … *\/`).
 */
export function parseKeyFile(text: string): Result<TsigKey[], KeyError> {
  try {
    const tokens = tokenize(text);
    const keys: TsigKey[] = [];
    while (tokens.peek() !== undefined) keys.push(readClause(tokens));
    if (keys.length === 0) throw new KeyFault(1, `there is no key "NAME" { … }; in it`);
    return { ok: true, value: keys };
  } catch (error) {
    if (!(error instanceof KeyFault)) throw error;
    return { ok: false, error: { line: error.line, message: error.message } };
  }
}

/** A key file with one key, as tsig-keygen writes it. */
export function printKeyFile(key: TsigKey): string {
  return `key "${withoutFinalDot(key.name)}" {\n\talgorithm ${key.algorithm};\n\tsecret "${
    encodeBase64(key.secret)
  }";\n};\n`;
}

/** Reads the form of command lines, `NAME:SHA256:BASE64`. */
export function parseKeyArgument(text: string): Result<TsigKey, KeyError> {
  const parts = text.split(":");
  const [name, algorithm, secret] = parts;
  if (parts.length !== 3) return failure("a key on the command line is NAME:SHA256:BASE64");
  return keyOf(name, `hmac-${algorithm}`, secret);
}

/** The form of command lines. */
export function printKeyArgument(key: TsigKey): string {
  const algorithm = key.algorithm.slice("hmac-".length).toUpperCase();
  return `${withoutFinalDot(key.name)}:${algorithm}:${encodeBase64(key.secret)}`;
}

/** Reads a line of the zone-file form, `NAME [TTL] [IN] DNSKEY 0 3 163 BASE64`; the algorithms are 161 to 165. */
export function parseKeyRecord(line: string): Result<TsigKey, KeyError> {
  const match = /^(\S+)(?:\s+(?:\d+|IN))*\s+DNSKEY\s+(.+)$/i.exec(line.trim());
  if (match === null) return failure("a key record is NAME DNSKEY 0 3 163 BASE64");
  const name = parseName(match[1]);
  if (!name.ok) return failure(name.error.message);
  const rdata = rdataFromText(RRTYPE.DNSKEY, match[2]);
  if (!rdata.ok) return failure(`the data of the key record ${match[1]} is no DNSKEY data`);
  return keyFromDnskey(name.value, rdata.value);
}

/** The key that a DNSKEY record of a `_keys` file holds. */
export function keyFromDnskey(owner: Name, rdata: Uint8Array): Result<TsigKey, KeyError> {
  const algorithm = TSIG_ALGORITHMS[rdata[3] - FIRST_DNSKEY_ALGORITHM];
  if (rdata.length < 5 || algorithm === undefined) {
    return failure(`the key ${owner} has an algorithm that is none of 161 to 165`);
  }
  // flags 0, protocol 3
  if (rdata[0] !== 0 || rdata[1] !== 0 || rdata[2] !== 3) {
    return failure(`the key ${owner} is not DNSKEY 0 3`);
  }
  return { ok: true, value: { name: owner, algorithm, secret: rdata.slice(4) } };
}

/** The key as DNSKEY rdata for a `_keys` file. */
export function keyToDnskey(key: TsigKey): Uint8Array {
  return Uint8Array.of(
    0,
    0,
    3,
    FIRST_DNSKEY_ALGORITHM + TSIG_ALGORITHMS.indexOf(key.algorithm),
    ...key.secret,
  );
}

/** A new key for HMAC-SHA256. `random` gives that many octets fit for secrets. */
export function generateTsigKey(name: Name, random: (octets: number) => Uint8Array): TsigKey {
  return { name, algorithm: "hmac-sha256", secret: random(macOctets("hmac-sha256")) };
}

const FIRST_DNSKEY_ALGORITHM = 161;

function keyOf(nameText: string, algorithmText: string, secretText: string): Result<TsigKey, KeyError> {
  const name = parseName(nameText);
  if (!name.ok) return failure(name.error.message);
  const wanted = algorithmText.toLowerCase().replace(/\.$/, "");
  const algorithm = TSIG_ALGORITHMS.find((known) => known === wanted);
  if (algorithm === undefined) {
    return failure(
      `the key ${name.value} has the algorithm "${wanted}"; use one of ${TSIG_ALGORITHMS.join(", ")}`,
    );
  }
  const secret = decodeBase64(secretText);
  if (secret === undefined || secret.length === 0) {
    return failure(`the secret of the key ${name.value} is no base64`);
  }
  return { ok: true, value: { name: name.value, algorithm, secret } };
}

function readClause(tokens: TokenStream): TsigKey {
  tokens.expect("key");
  const { text: name, line } = tokens.word("the key's name");
  tokens.expect("{");
  const fields = new Map<string, string>();
  while (tokens.peek() !== "}") {
    const field = tokens.word(`"algorithm", "secret" or "}"`);
    if (!["algorithm", "secret"].includes(field.text) || fields.has(field.text)) {
      throw new KeyFault(field.line, `a key has one algorithm and one secret, and nothing else`);
    }
    fields.set(field.text, tokens.word(`the ${field.text}`).text);
    tokens.expect(";");
  }
  tokens.expect("}");
  tokens.expect(";");
  const key = keyOf(name, fields.get("algorithm") ?? "", fields.get("secret") ?? "");
  if (!key.ok) throw new KeyFault(line, key.error.message);
  return key.value;
}

interface TokenStream {
  /** The text of the next token if it is not quoted; `undefined` at the end. */
  peek(): string | undefined;
  /** Takes punctuation or a keyword. */
  expect(text: string): void;
  /** Takes a word or a quoted string. */
  word(what: string): { text: string; line: number };
}

function tokenize(text: string): TokenStream {
  const tokens: { text: string; quoted: boolean; line: number }[] = [];
  let line = 1;
  const pattern = /(\n)|[^\S\n]+|#.*|\/\/.*|(\/\*[\s\S]*?\*\/)|"([^"\n]*)"|([{};])|([^\s{};"#]+)|([\s\S])/g;
  for (const [, newline, comment, quoted, mark, word, stray] of text.matchAll(pattern)) {
    if (newline !== undefined) line++;
    else if (comment !== undefined) line += comment.split("\n").length - 1;
    else if (quoted !== undefined) tokens.push({ text: quoted, quoted: true, line });
    else if (stray !== undefined) throw new KeyFault(line, `a quote is not closed on its line`);
    else if ((mark ?? word) !== undefined) tokens.push({ text: mark ?? word, quoted: false, line });
  }
  let next = 0;
  const at = () => tokens[next]?.line ?? line;
  return {
    peek: () => next < tokens.length ? (tokens[next].quoted ? '"' : tokens[next].text) : undefined,
    expect(wanted) {
      const token = tokens[next];
      if (token === undefined || token.quoted || token.text !== wanted) {
        throw new KeyFault(at(), `"${wanted}" is missing`);
      }
      next++;
    },
    word(what) {
      const token = tokens[next];
      if (token === undefined || !token.quoted && /^[{};]$/.test(token.text)) {
        throw new KeyFault(at(), `${what} is missing`);
      }
      next++;
      return token;
    },
  };
}

class KeyFault extends Error {
  constructor(readonly line: number, message: string) {
    super(message);
  }
}

function failure(message: string): { ok: false; error: KeyError } {
  return { ok: false, error: { line: 1, message } };
}

function withoutFinalDot(name: Name): string {
  return name === "." ? name : name.slice(0, -1);
}

function encodeBase64(octets: Uint8Array): string {
  return btoa(String.fromCharCode(...octets));
}

/** Strict base64 with padding; `undefined` for anything else. */
function decodeBase64(text: string): Uint8Array | undefined {
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text)) return undefined;
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}
