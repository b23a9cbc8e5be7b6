import { textOf } from "./bytes.ts";

/** Who did something, and when. */
export interface Person {
  readonly name: string;
  readonly email: string;
  /** Seconds since 1970. */
  readonly when: number;
  /** As written: `+0000`, `-0330`. */
  readonly zone: string;
}

/** The person of an `author`, `committer` or `tagger` line; `undefined` where the line is not in git's form. */
export function parsePerson(value: Uint8Array): Person | undefined {
  const match = /^(?:([^<>\n]*?) ?)?<([^<>\n]*)> (\d{1,15}) ([+-]\d{1,9})$/.exec(textOf(value));
  if (match === null) return undefined;
  const [, name = "", email = "", when, zone = ""] = match;
  return { name, email, when: Number(when), zone };
}

/** Git's form. What would break the line (`<`, `>`, control characters) is left out, as git does. */
export function formatPerson(person: Person): string {
  if (!/^[+-]\d{4}$/.test(person.zone)) throw new RangeError(`not a time zone: ${person.zone}`);
  if (!Number.isSafeInteger(person.when) || person.when < 0) {
    throw new RangeError(`not a time: ${person.when}`);
  }
  return `${tidy(person.name)} <${tidy(person.email)}> ${person.when} ${person.zone}`;
}

function tidy(text: string): string {
  // deno-lint-ignore no-control-regex -- these are the characters that end or split the line
  return text.replace(/[\x00-\x1f\x7f<>]/g, "").trim();
}
