import { join } from "node:path";
import { type Name, parseKeyFile, type TsigKey } from "../dns/mod.ts";
import type { DataDir } from "./data_dir.ts";
import { logOf } from "./log.ts";

/** The TSIG keys that are valid now. */
export interface TsigKeys {
  lookup(name: Name): TsigKey | undefined;
}

/**
 * The keys of a running server: `admin.key` and `key add`'s files win over the configuration's. The folder is looked at
 * on every look-up and read again when it changed, so a key is valid, and a removed one invalid, at once.
 */
export function watchTsigKeys(dir: DataDir, configured: () => readonly TsigKey[]): TsigKeys {
  let seen = "";
  let seenConfigured: readonly TsigKey[] = [];
  let keys = new Map<Name, TsigKey>();
  return {
    lookup(name) {
      const stamp = [dir.keys, dir.tsigKeys].map((path) => Deno.statSync(path).mtime?.getTime()).join(" ");
      if (stamp !== seen || configured() !== seenConfigured) {
        seenConfigured = configured();
        keys = new Map(seenConfigured.map((key) => [key.name, key]));
        for (const key of [...readKeyFile(dir.adminKey), ...readTsigFolder(dir)]) keys.set(key.name, key);
        seen = stamp;
      }
      return keys.get(name);
    },
  };
}

/** The keys that `key add` made. */
export function readTsigFolder(dir: DataDir): TsigKey[] {
  const names = [...Deno.readDirSync(dir.tsigKeys)].map((entry) => entry.name).filter((name) =>
    name.endsWith(".key")
  );
  return names.sort().flatMap((name) => readKeyFile(join(dir.tsigKeys, name)));
}

/** A file that does not parse grants nothing and takes nothing else away; the log names it. */
function readKeyFile(path: string): readonly TsigKey[] {
  let text: string;
  try {
    text = Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
  const parsed = parseKeyFile(text);
  if (parsed.ok) return parsed.value;
  logOf("keys").error(`${path}: ${parsed.error.message}; its keys are not valid`);
  return [];
}
