/** A push to a disk that is full, and again when there is room: `full_life.ts FOLDER PUSHES`. */
import { initRepository, StoreError } from "../../store/mod.ts";
import { Memory, readPushes, receive } from "./fault_scenario.ts";

if (import.meta.main) {
  const [folder = "", pushes = ""] = Deno.args;
  const [push] = await readPushes(pushes);
  if (push === undefined) throw new Error("no push");
  const repository = await initRepository(`${folder}/z.git`);
  const filler = `${folder}/filler`;
  fill(filler);
  const before = await namesBelow(`${folder}/z.git`);
  const memory = new Memory();
  let failure: unknown;
  await receive(repository, push, memory).catch((error) => failure = error);
  if (!(failure instanceof StoreError) || failure.code !== "io") throw failure ?? new Error("it was taken");
  const after = await namesBelow(`${folder}/z.git`);
  if (after.join() !== before.join()) {
    throw new Error(`left: ${after.filter((name) => !before.includes(name))}`);
  }
  await Deno.remove(filler);
  await receive(repository, push, memory);
  const faults = await memory.faults(repository);
  if (faults.length > 0) throw new Error(faults.join("; "));
  console.log(`refused by ${failure.code}, nothing changed, then taken`);
}

function fill(path: string): void {
  using file = Deno.openSync(path, { write: true, create: true });
  for (let size = 65536; size >= 512; size /= 2) {
    try {
      for (;;) file.writeSync(new Uint8Array(size));
    } catch (error) {
      if (!(error instanceof Error) || !("code" in error) || error.code !== "ENOSPC") throw error;
    }
  }
}

async function namesBelow(folder: string): Promise<string[]> {
  const names: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    names.push(`${folder}/${name}`);
    if (isDirectory) names.push(...await namesBelow(`${folder}/${name}`));
  }
  return names.sort();
}
