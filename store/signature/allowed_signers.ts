import type { Result } from "../../conduit/mod.ts";
import { StoreError } from "../error.ts";
import { equalBytes } from "../object/bytes.ts";
import { fromBase64 } from "./base64.ts";
import { isKeyType, keyTypeOf } from "./public_key.ts";

/** A line of an allowed-signers file (ssh-keygen(1), ALLOWED SIGNERS). */
export interface AllowedSigner {
  readonly line: number;
  /** Patterns as written: `alice@example.test,*@ops.example.test`. */
  readonly principals: string;
  /** The public key as it goes over the wire. */
  readonly publicKey: Uint8Array;
  /** Patterns; `undefined`: for everything. */
  readonly namespaces: string | undefined;
  /** Seconds since 1970, both inclusive. */
  readonly validAfter: number | undefined;
  readonly validBefore: number | undefined;
}

export interface AllowedSignersFault {
  readonly line: number;
  readonly message: string;
}

/** Every line of the file, or every fault in it: a line half understood must not let anybody in. */
export function parseAllowedSigners(
  text: string,
): Result<readonly AllowedSigner[], readonly AllowedSignersFault[]> {
  const signers: AllowedSigner[] = [];
  const faults: AllowedSignersFault[] = [];
  text.split("\n").forEach((content, index) => {
    const trimmed = content.trim();
    if (trimmed === "" || trimmed.startsWith("#")) return;
    const line = index + 1;
    try {
      signers.push({ line, ...parseLine(trimmed) });
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      faults.push({ line, message: error.message });
    }
  });
  return faults.length > 0 ? { ok: false, error: faults } : { ok: true, value: signers };
}

/** The lines that name the key, whatever else they ask for. */
export function signersOf(signers: readonly AllowedSigner[], publicKey: Uint8Array): AllowedSigner[] {
  return signers.filter((signer) => equalBytes(signer.publicKey, publicKey));
}

/** Patterns parted by commas, `*` and `?` in them; one with `!` before it that fits refuses (ssh_config(5), PATTERNS). */
export function matchesPatterns(text: string, patterns: string): boolean {
  let matched = false;
  for (const pattern of patterns.split(",")) {
    const negated = pattern.startsWith("!");
    if (!matchesPattern(text, negated ? pattern.slice(1) : pattern)) continue;
    if (negated) return false;
    matched = true;
  }
  return matched;
}

/** Without going back further than to the last `*`, so that no pattern makes it slow. */
function matchesPattern(text: string, pattern: string): boolean {
  let at = 0;
  let next = 0;
  let star = -1;
  let resume = 0;
  while (at < text.length) {
    if (pattern[next] === "*") {
      star = next++;
      resume = at;
    } else if (next < pattern.length && (pattern[next] === "?" || pattern[next] === text[at])) {
      next++;
      at++;
    } else if (star >= 0) {
      next = star + 1;
      at = ++resume;
    } else {
      return false;
    }
  }
  while (pattern[next] === "*") next++;
  return next === pattern.length;
}

function parseLine(text: string): Omit<AllowedSigner, "line"> {
  const [, quoted, plain, rest = ""] = /^(?:"([^"]*)"|([^\s"]+))[ \t]+(.*)$/.exec(text) ?? [];
  const principals = quoted ?? plain;
  if (principals === undefined || principals === "") throw malformed("principals and a key are needed");
  const named = keyField(rest);
  if (named !== undefined) return { principals, ...named, ...parseOptions("") };
  // The options are one field; what is between quotes does not end it.
  const [, options = "", key = ""] = /^((?:[^\s"]|"[^"]*")+)[ \t]+(.*)$/.exec(rest) ?? [];
  const after = keyField(key);
  if (after === undefined) throw malformed("no public key of a supported type is here");
  return { principals, ...after, ...parseOptions(options) };
}

/** `TYPE BASE64 [comment]`; `undefined` where the text does not begin with a type of key. */
function keyField(text: string): { publicKey: Uint8Array } | undefined {
  const [type = "", base64 = ""] = text.split(/[ \t]+/);
  if (/-cert-v\d+@openssh\.com$/.test(type)) throw malformed("certificates are not supported");
  if (!isKeyType(type)) return undefined;
  const publicKey = fromBase64(base64);
  if (publicKey === undefined) throw malformed("the public key is not base64");
  if (keyTypeOf(publicKey) !== type) throw malformed(`the public key inside is not of type ${type}`);
  return { publicKey };
}

function parseOptions(text: string): Pick<AllowedSigner, "namespaces" | "validAfter" | "validBefore"> {
  const found = new Map<string, string>();
  let rest = text;
  while (rest !== "") {
    const [whole, word, , value = ""] = /^([A-Za-z-]+)(="([^"]*)")?(?:,|$)/.exec(rest) ?? [];
    if (whole === undefined || word === undefined) throw malformed(`the options ${text} cannot be read`);
    const name = word.toLowerCase();
    if (name === "cert-authority") throw malformed("cert-authority is not supported");
    if (!["namespaces", "valid-after", "valid-before"].includes(name)) {
      throw malformed(`option ${word} is unknown`);
    }
    if (found.has(name)) throw malformed(`option ${word} is there twice`);
    if (value === "") throw malformed(`option ${word} needs a value in quotes`);
    found.set(name, value);
    rest = rest.slice(whole.length);
  }
  const time = (name: string) => {
    const value = found.get(name);
    return value === undefined ? undefined : parseTime(value);
  };
  const validAfter = time("valid-after");
  const validBefore = time("valid-before");
  if (validAfter !== undefined && validBefore !== undefined && validAfter >= validBefore) {
    throw malformed("it ends being valid before it begins");
  }
  return { namespaces: found.get("namespaces"), validAfter, validBefore };
}

/** `YYYYMMDD[HHMM[SS]][Z]`: with Z in UTC, else in the machine's time zone. */
function parseTime(text: string): number {
  const match = /^(\d{4})(\d\d)(\d\d)(?:(\d\d)(\d\d)(\d\d)?)?(Z?)$/i.exec(text);
  if (match === null) throw malformed(`${text} is not a time: YYYYMMDD[HHMM[SS]][Z]`);
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match.slice(1, 7).map((part) =>
    Number(part ?? 0)
  );
  const utc = new Date(Date.UTC(year, month - 1, day, hour, minute, second));
  if (
    utc.getUTCMonth() !== month - 1 || utc.getUTCDate() !== day || hour > 23 || minute > 59 || second > 59
  ) {
    throw malformed(`${text} is not a time`);
  }
  const date = match[7] === "" ? new Date(year, month - 1, day, hour, minute, second) : utc;
  return Math.floor(date.getTime() / 1000);
}

function malformed(message: string): StoreError {
  return new StoreError("malformed", message);
}
