import { StoreError } from "../types.ts";
import type { Device, FileAccess } from "./device/device.ts";

/**
 * Writes a new file. One that cannot be written whole (the disk is full) is taken away again: half a lock would block
 * every writer after. @throws {DeviceError} `exists`
 */
export async function createFile(
  device: Device,
  path: string,
  bytes: Uint8Array,
  options: { readonly access: FileAccess; readonly sync: boolean },
): Promise<void> {
  const file = await device.create(path, options.access);
  try {
    await file.append(bytes);
    if (options.sync) await file.sync();
  } catch (error) {
    await device.remove(path);
    throw error;
  } finally {
    file.close();
  }
}

/** Makes the folder with those above it, and each new one durable in the one above it. */
export async function makeFolders(device: Device, path: string): Promise<void> {
  if (device.look(path)?.isFolder === true) return;
  const parts = path.split("/");
  for (let count = 1; count <= parts.length; count++) {
    if (await device.makeFolder(parts.slice(0, count).join("/"))) {
      await device.sync(parts.slice(0, count - 1).join("/"));
    }
  }
}

/** Takes a folder away with all that is in it; no matter where it is gone. */
export async function removeTree(device: Device, path: string): Promise<void> {
  for (const entry of await device.list(path)) {
    if (entry.isFolder) await removeTree(device, `${path}/${entry.name}`);
    else await device.remove(`${path}/${entry.name}`);
  }
  await device.removeFolder(path);
}

/** Twelve random characters for temporary names. */
export function randomSuffix(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(6)), (byte) => byte.toString(16).padStart(2, "0"))
    .join("");
}

/** What a fault of the device is to those who know nothing of devices. */
export function ioError(doing: string, cause: unknown): StoreError {
  return new StoreError("io", `${doing}: ${cause instanceof Error ? cause.message : String(cause)}`, {
    cause,
  });
}
