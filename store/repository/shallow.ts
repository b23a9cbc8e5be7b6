import { StoreError } from "../types.ts";
import type { Oid, ShallowCommits } from "../types.ts";
import { textOf, utf8 } from "../object/bytes.ts";
import { parseOid } from "../object/oid.ts";
import type { Device } from "./device/device.ts";
import { ioError } from "./files.ts";
import { replaceUnderLock } from "./lock.ts";

/** Git's `shallow` file: an id a line (gitrepository-layout), written under `shallow.lock`. */
export function openShallow(device: Device): ShallowCommits {
  return {
    list: () => Promise.resolve().then(() => readMarks(device)),

    async update({ add = [], remove = [] }) {
      const added = [...add];
      const removed = [...remove];
      let free: boolean;
      try {
        free = await replaceUnderLock(device, "shallow", () => {
          const before = readMarks(device);
          const after = new Set(before);
          for (const oid of added) after.add(oid);
          for (const oid of removed) after.delete(oid);
          if (after.size === before.size && [...after].every((oid) => before.has(oid))) {
            return Promise.resolve("unchanged");
          }
          // Without marks there is no file: its being there is what makes a repository shallow.
          if (after.size === 0) return Promise.resolve(undefined);
          return Promise.resolve(utf8([...after].sort().map((oid) => `${oid}\n`).join("")));
        });
      } catch (error) {
        throw error instanceof StoreError ? error : ioError("cannot write the shallow file", error);
      }
      if (!free) throw new StoreError("io", "the shallow file is locked by another writer (shallow.lock)");
    },
  };
}

function readMarks(device: Device): Set<Oid> {
  let bytes: Uint8Array | undefined;
  try {
    bytes = device.read("shallow");
  } catch (error) {
    throw ioError("cannot read the shallow file", error);
  }
  const marks = new Set<Oid>();
  const lines = textOf(bytes ?? new Uint8Array()).split("\n");
  for (const [index, line] of lines.entries()) {
    if (line === "" && index === lines.length - 1) continue;
    const oid = parseOid(line);
    if (oid === undefined) {
      throw new StoreError("corrupt", `line ${index + 1} of the shallow file is damaged`);
    }
    marks.add(oid);
  }
  return marks;
}
