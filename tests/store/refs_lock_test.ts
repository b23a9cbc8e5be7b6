/** A lock that we let go by renaming it may be another writer's at once. */
import { deepEqual, equal } from "node:assert/strict";
import type { Oid } from "../../store/mod.ts";
import type { Device } from "../../store/repository/device/device.ts";
import { memoryDevice } from "../../store/repository/device/memory_device.ts";
import { createFile, makeFolders } from "../../store/repository/files.ts";
import { replaceUnderLock } from "../../store/repository/lock.ts";
import { openRefs } from "../../store/repository/refs.ts";

const FIRST = "1".repeat(40) as Oid;
const SECOND = "2".repeat(40) as Oid;
const text = (words: string) => new TextEncoder().encode(words);

/** A device on which somebody else takes each lock the moment that it is let go for the first time. */
function contended(): Device {
  const device = memoryDevice();
  const taken = new Set<string>();
  const take = async (lock: string) => {
    if (!lock.endsWith(".lock") || taken.has(lock)) return;
    taken.add(lock);
    await createFile(device, lock, text("theirs"), { access: "changing", sync: false });
  };
  return {
    ...device,
    rename: async (from, to) => {
      await device.rename(from, to);
      await take(from);
    },
    remove: async (path) => {
      const gone = await device.remove(path);
      if (gone) await take(path);
      return gone;
    },
  };
}

Deno.test("another writer's lock stays after a ref was moved, and after one was deleted", async () => {
  const device = contended();
  const refs = openRefs(device, () => Promise.resolve(true));
  const name = "refs/heads/main";
  deepEqual(await refs.move({ name, old: undefined, new: FIRST }), { ok: true, value: undefined });
  deepEqual(device.read(`${name}.lock`), text("theirs"));
  const second = await refs.move({ name, old: FIRST, new: SECOND });
  equal(second.ok ? undefined : second.error.code, "locked");
  equal(await refs.get(name), FIRST);

  const other = contended();
  const others = openRefs(other, () => Promise.resolve(true));
  await makeFolders(other, "refs/heads");
  await createFile(other, "refs/heads/gone", text(`${FIRST}\n`), { access: "changing", sync: false });
  deepEqual(await others.move({ name: "refs/heads/gone", old: FIRST, new: undefined }), {
    ok: true,
    value: undefined,
  });
  deepEqual(other.read("refs/heads/gone.lock"), text("theirs"));
});

Deno.test("another writer's lock stays after a file was replaced under ours", async () => {
  const device = contended();
  equal(await replaceUnderLock(device, "shallow", () => Promise.resolve(text("ours"))), true);
  deepEqual(device.read("shallow"), text("ours"));
  deepEqual(device.read("shallow.lock"), text("theirs"));
});
