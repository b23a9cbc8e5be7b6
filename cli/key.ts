/** `key add|list|remove`: TSIG keys in the data directory. A running server sees the change at once. */
import { join } from "node:path";
import { generateTsigKey, keyRight, type Name, parseName, printKeyFile } from "../dns/mod.ts";
import { type DataDir, dataDirAt, exists, makeFolders, writePrivate } from "./data_dir.ts";
import { CliError } from "./errors.ts";
import { userPath } from "./paths.ts";
import { readTsigFolder } from "./tsig_keys.ts";

interface KeyFlags {
  readonly data?: string;
}

export function addKey(text: string, flags: KeyFlags): number {
  const dir = openDataDir(flags);
  const name = keyName(text);
  const path = keyPath(dir, name);
  if (exists(path)) throw new CliError(`the key ${withoutDot(name)} exists: ${path}`);
  const key = generateTsigKey(name, (length) => crypto.getRandomValues(new Uint8Array(length)));
  writePrivate(path, printKeyFile(key));
  console.log(path);
  return 0;
}

export function removeKey(text: string, flags: KeyFlags): number {
  const path = keyPath(openDataDir(flags), keyName(text));
  if (!exists(path)) throw new CliError(`there is no key ${text} in ${path}`);
  Deno.removeSync(path);
  return 0;
}

export function listKeys(flags: KeyFlags): number {
  for (const { name, algorithm } of readTsigFolder(openDataDir(flags))) {
    const right = keyRight(name);
    const scope = right === undefined
      ? "nothing"
      : `${right.operation} ${right.zone === "." ? "everything" : withoutDot(right.zone)}`;
    console.log(`${withoutDot(name)}\t${algorithm}\t${scope}`);
  }
  return 0;
}

function openDataDir(flags: KeyFlags): DataDir {
  const dir = dataDirAt(userPath(flags.data ?? ".bailiwick"));
  makeFolders(dir);
  return dir;
}

/** The name is a file's name too: what could leave the folder is no key name. */
function keyName(text: string): Name {
  const parsed = parseName(text);
  if (!parsed.ok) throw new CliError(`"${text}" is not a key name: ${parsed.error.message}`);
  if (/[/\\]|^\./.test(parsed.value)) {
    throw new CliError(`"${text}" is not a key name: no slash, no leading dot`);
  }
  if (keyRight(parsed.value) === undefined) {
    throw new CliError(`"${text}" grants nothing: a key name is NAME._update.ZONE (or _transfer, _notify)`);
  }
  return parsed.value;
}

function keyPath(dir: DataDir, name: Name): string {
  return join(dir.tsigKeys, `${withoutDot(name)}.key`);
}

function withoutDot(name: Name): string {
  return name === "." ? name : name.slice(0, -1);
}
