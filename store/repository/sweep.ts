import type { Device } from "./device/device.ts";
import { ioError, removeTree } from "./files.ts";

/** Quarantines are named as git names them, so that `git prune` knows them for litter. */
export const quarantinePrefix = "tmp_objdir-incoming-";

/** Removes what a killed run left half done. Only for the one who alone writes here. @throws {StoreError} `io` */
export async function sweep(device: Device): Promise<void> {
  try {
    for (const { name } of await device.list("objects")) {
      if (name.startsWith(quarantinePrefix)) await removeTree(device, `objects/${name}`);
      else if (/^([0-9a-f]{2}|pack)$/.test(name)) await sweepFolder(device, `objects/${name}`);
    }
    for (const name of ["packed-refs.lock", "packed-refs.new", "shallow.lock"]) await device.remove(name);
    await sweepLocks(device, "refs");
  } catch (error) {
    throw ioError(`cannot sweep ${device.description}`, error);
  }
}

async function sweepFolder(device: Device, folder: string): Promise<void> {
  const names = new Set((await device.list(folder)).map(({ name }) => name));
  for (const name of names) {
    // What goes with a pack that is not there: it came and was not there yet, or it went and was there no more.
    const base = /^(pack-[0-9a-f]{40})\.(?:idx|rev|bitmap|mtimes)$/.exec(name)?.[1];
    const lonely = base !== undefined && !names.has(`${base}.pack`);
    if (name.startsWith("tmp_") || lonely) await device.remove(`${folder}/${name}`);
  }
}

async function sweepLocks(device: Device, folder: string): Promise<void> {
  for (const { name, isFolder } of await device.list(folder)) {
    const path = `${folder}/${name}`;
    if (isFolder) await sweepLocks(device, path);
    else if (name.endsWith(".lock")) await device.remove(path);
  }
}
