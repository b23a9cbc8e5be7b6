import type { Device } from "./device/device.ts";
import { isDeviceError } from "./device/device.ts";
import { createFile } from "./files.ts";

/**
 * Puts new bytes in the place of a file that git locks by `PATH.lock`: the lock is the new file, and renaming it lets go.
 * `next` is asked under the lock and says what to hold from now on; `undefined`: no file. Durable when it returns.
 * Says `false` where another writer has held the lock for `patience` milliseconds. @throws {DeviceError}
 */
export async function replaceUnderLock(
  device: Device,
  path: string,
  next: () => Promise<Uint8Array | "unchanged" | undefined>,
  patience = 1000,
): Promise<boolean> {
  const lock = `${path}.lock`;
  const file = await whenFree(() => device.create(lock, "changing"), patience);
  if (file === undefined) return false;
  // From the renaming on, a file of the lock's name is another writer's.
  let held = true;
  try {
    try {
      const bytes = await next();
      if (bytes === "unchanged") return true;
      if (bytes !== undefined) {
        await file.append(bytes);
        await file.sync();
        await device.rename(lock, path);
        held = false;
      } else {
        await device.remove(path);
      }
    } finally {
      file.close();
    }
    await device.sync(folderOf(path));
  } finally {
    if (held) await device.remove(lock);
  }
  return true;
}

/** Takes a lock that is let go by removing it; `false` where another writer holds it. */
export async function takeLock(device: Device, lock: string, patience = 1000): Promise<boolean> {
  const taken = await whenFree(async () => {
    await createFile(device, lock, new Uint8Array(), { access: "changing", sync: false });
    return true;
  }, patience);
  return taken === true;
}

async function whenFree<T>(take: () => Promise<T>, patience: number): Promise<T | undefined> {
  for (let waited = 0;; waited += 10) {
    try {
      return await take();
    } catch (error) {
      if (!isDeviceError(error, "exists")) throw error;
      if (waited >= patience) return undefined;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

function folderOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf("/")));
}
