import { parsePublicKey, type SshPublicKey } from "./keys.ts";

/** One key of an authorized_keys file. */
export interface AuthorizedKey extends SshPublicKey {
  readonly comment: string;
  readonly options: AuthorizedKeyOptions;
  /** From 1. */
  readonly line: number;
}

export interface AuthorizedKeyOptions {
  /** `read-only`: may fetch, may not push. */
  readonly readOnly: boolean;
  /**
   * `zones="a.test,b.test"`: the zones that may be changed, as written, lower case; `undefined` where it is
   * not given.
   */
  readonly zones: readonly string[] | undefined;
  /**
   * Options that mean something to OpenSSH or to nobody (`from="…"`), as written. They may be meant to
   * restrict the key, so whoever grants access should refuse a key that has any, as sshd refuses options it
   * does not know.
   */
  readonly unknown: readonly string[];
}

export interface AuthorizedKeysFault {
  /** From 1. */
  readonly line: number;
  readonly message: string;
}

const MAX_LINE = 16 * 1024;

/**
 * Reads an authorized_keys file (sshd(8), AUTHORIZED_KEYS FILE FORMAT). A line with a fault grants nothing;
 * the others stand.
 */
export function parseAuthorizedKeys(
  text: string,
): { readonly entries: readonly AuthorizedKey[]; readonly faults: readonly AuthorizedKeysFault[] } {
  const entries: AuthorizedKey[] = [];
  const faults: AuthorizedKeysFault[] = [];
  text.split("\n").forEach((raw, index) => {
    const line = index + 1;
    const content = raw.trim();
    if (content === "" || content.startsWith("#")) return;
    const entry = content.length > MAX_LINE ? `longer than ${MAX_LINE} characters` : parseLine(content, line);
    if (typeof entry === "string") faults.push({ line, message: entry });
    else entries.push(entry);
  });
  return { entries, faults };
}

/** The entry, or a sentence that says what is wrong. */
function parseLine(content: string, line: number): AuthorizedKey | string {
  const plain = parsePublicKey(content);
  if (plain.ok) return { ...plain.value, options: NO_OPTIONS, line };
  // Options come first and are told from a key type by not being one.
  const split = splitOptions(content);
  if (typeof split === "string") return split;
  if (split.rest === "") return plain.error;
  const key = parsePublicKey(split.rest);
  if (!key.ok) return looksLikeKeyType(content) ? plain.error : key.error;
  const options = readOptions(split.options);
  return typeof options === "string" ? options : { ...key.value, options, line };
}

const NO_OPTIONS: AuthorizedKeyOptions = { readOnly: false, zones: undefined, unknown: [] };

function looksLikeKeyType(content: string): boolean {
  return /^(ssh|ecdsa|sk-(ssh|ecdsa))-\S+\s/.test(content);
}

/** Options end at the first white space outside quotes; `\"` is a quote inside a quoted string. */
function splitOptions(content: string): { options: string[]; rest: string } | string {
  const options: string[] = [];
  let current = "";
  let quoted = false;
  for (let i = 0; i < content.length; i++) {
    const char = content[i];
    if (quoted && char === "\\" && content[i + 1] === '"') {
      current += '\\"';
      i++;
    } else if (char === '"') {
      quoted = !quoted;
      current += char;
    } else if (!quoted && char === ",") {
      options.push(current);
      current = "";
    } else if (!quoted && (char === " " || char === "\t")) {
      options.push(current);
      return { options, rest: content.slice(i).trim() };
    } else {
      current += char;
    }
  }
  return quoted ? "a quoted option is not closed" : { options: [...options, current], rest: "" };
}

function readOptions(options: readonly string[]): AuthorizedKeyOptions | string {
  let readOnly = false;
  let zones: string[] | undefined;
  const unknown: string[] = [];
  for (const option of options) {
    const [, name = option, value] = /^([^=]*)=(.*)$/.exec(option) ?? [];
    switch (name.toLowerCase()) {
      case "read-only":
        if (value !== undefined) return "read-only takes no value";
        readOnly = true;
        break;
      case "zones": {
        const list = /^"(.*)"$/.exec(value ?? "")?.[1].split(",").map((zone) => zone.trim().toLowerCase());
        if (list === undefined || list.includes("")) {
          return 'zones wants a quoted list: zones="a.test,b.test"';
        }
        // Given twice, both must allow: an option only ever takes rights away.
        zones = zones === undefined ? list : zones.filter((zone) => list.includes(zone));
        break;
      }
      case "":
        return "an option is empty";
      default:
        unknown.push(option);
    }
  }
  return { readOnly, zones, unknown };
}
