/** What is done to a repository while it is made to fail: pushes of both kinds, ref moves, a collection, and again. */
import {
  checkConnectivity,
  initRepository,
  initRepositoryOn,
  parseOid,
  runtimeTools,
  StoreError,
  utf8,
} from "../../store/mod.ts";
import type { Device, Oid, Repository } from "../../store/mod.ts";
import { assertGitAccepts, git, gitBytes } from "./git_fixture.ts";
import { async, inChunks, makeHistory } from "./pack_fixture.ts";

export const limits = { packBytes: 1e8, objectBytes: 1e7, objects: 1e5, deltaDepth: 4096, deltaWork: 1e9 };
const day = 86_400_000;

export interface Push {
  readonly name: string;
  readonly old: Oid | undefined;
  readonly tip: Oid | undefined;
  readonly pack: Uint8Array;
}

/** Told as a client would be: what was tried, and what was acknowledged. */
export interface Witness {
  tried(name: string, oid: Oid | undefined): void;
  acknowledged(name: string, oid: Oid | undefined): void;
}

/** Packs out of a history that git makes: a large first push, small thin ones, a branch that comes and goes. */
export async function makePushes(dir: string): Promise<Push[]> {
  const path = `${dir}/history.git`;
  await makeHistory(path, { files: 12, commits: 40, changes: 1, lines: 8 });
  const commits = (await git(path, "rev-list", "main")).trim().split("\n").map((line) => {
    const oid = parseOid(line);
    if (oid === undefined) throw new Error(line);
    return oid;
  }).reverse();
  const pack = (revisions: string, ...options: string[]) =>
    gitBytes(
      path,
      ["pack-objects", "--stdout", "--revs", "--delta-base-offset", ...options],
      utf8(revisions),
    );
  const [first, ...more] = [commits[35], commits[37]];
  const side = commits[36];
  if (first === undefined || side === undefined) throw new Error("too short a history");
  const pushes: Push[] = [{
    name: "refs/heads/main",
    old: undefined,
    tip: first,
    pack: await pack(`${first}\n`),
  }];
  const sidePack = await pack(`${side}\n^${first}\n`, "--thin");
  pushes.push({ name: "refs/heads/side", old: undefined, tip: side, pack: sidePack });
  pushes.push({ name: "refs/heads/side", old: side, tip: undefined, pack: new Uint8Array() });
  let old = first;
  for (const tip of more) {
    if (tip === undefined) throw new Error("too short a history");
    pushes.push({ name: "refs/heads/main", old, tip, pack: await pack(`${tip}\n^${old}\n`, "--thin") });
    old = tip;
  }
  return pushes;
}

/** All of it, on a device that may fail at any point. */
export async function live(device: Device, pushes: readonly Push[], witness: Witness): Promise<void> {
  const repository = await initRepositoryOn(device, runtimeTools, { owner: true });
  try {
    for (const push of pushes) {
      await receive(repository, push, witness);
      // Late enough for the branch that went, and for what is loose.
      if (push.tip === undefined) await repository.collect({ graceMs: day, now: Date.now() + 2 * day });
    }
    await repository.collect({ graceMs: day, now: Date.now() + 2 * day, full: true });
  } finally {
    repository.close();
  }
}

/** One push, in the order in which it is served. */
export async function receive(repository: Repository, push: Push, witness: Witness): Promise<void> {
  const { name, old, tip } = push;
  if (tip !== undefined) {
    const quarantine = await repository.quarantine();
    try {
      const received = await quarantine.receivePack(async(inChunks(push.pack, 4096)), limits);
      if (!received.ok) throw received.error;
      const whole = await checkConnectivity(quarantine, [tip], (oid) => repository.has(oid));
      if (!whole.ok) throw whole.error;
      await quarantine.migrate();
    } finally {
      await quarantine.discard();
    }
  }
  witness.tried(name, tip);
  const moved = await repository.refs.move({ name, old, new: tip });
  if (!moved.ok) throw new StoreError("io", moved.error.message);
  witness.acknowledged(name, tip);
}

/** What a client knows of the refs: the last value it was told, or the one it tried to set since. */
export class Memory implements Witness {
  readonly #known = new Map<string, (Oid | undefined)[]>();

  tried(name: string, oid: Oid | undefined): void {
    this.#known.set(name, [...(this.#known.get(name) ?? [undefined]), oid]);
  }

  acknowledged(name: string, oid: Oid | undefined): void {
    this.#known.set(name, [oid]);
  }

  /** What is wrong with the refs of a repository, by what is known of them. */
  async faults(repository: Repository): Promise<string[]> {
    const faults: string[] = [];
    for (const [name, values] of this.#known) {
      const actual = await repository.refs.get(name);
      if (!values.includes(actual)) faults.push(`${name} is at ${actual}, not at ${values.join(" or ")}`);
    }
    for (const name of (await repository.refs.list()).keys()) {
      if (!this.#known.has(name)) faults.push(`${name} came from nowhere`);
    }
    const tips = (await repository.refs.list()).values();
    const whole = await checkConnectivity(repository, tips, () => Promise.resolve(false));
    if (!whole.ok) faults.push(whole.error.message);
    return faults;
  }
}

/** Pushes in a folder of their own, for another process. */
export async function writePushes(folder: string, pushes: readonly Push[]): Promise<void> {
  await Deno.mkdir(folder);
  for (const [index, { pack }] of pushes.entries()) await Deno.writeFile(`${folder}/${index}.pack`, pack);
  const list = pushes.map(({ name, old, tip }) => ({ name, old: old ?? null, tip: tip ?? null }));
  await Deno.writeTextFile(`${folder}/pushes.json`, JSON.stringify(list));
}

export async function readPushes(folder: string): Promise<Push[]> {
  const list: { name: string; old: Oid | null; tip: Oid | null }[] = JSON.parse(
    await Deno.readTextFile(`${folder}/pushes.json`),
  );
  return await Promise.all(list.map(async ({ name, old, tip }, index) => ({
    name,
    old: old ?? undefined,
    tip: tip ?? undefined,
    pack: await Deno.readFile(`${folder}/${index}.pack`),
  })));
}

/**
 * Lets a process live on a folder until it kills itself at an operation, and restarts on what it left. Gives the faults
 * found, and how many operations a life has where it was not killed any more.
 */
export async function killAndRestart(
  dir: string,
  operation: number,
): Promise<{ readonly faults: string[]; readonly operations: number | undefined }> {
  const path = `${dir}/killed.git`;
  const life = new URL("./fault_life.ts", import.meta.url).pathname;
  const args = [
    "run",
    "--no-check",
    "--no-prompt",
    "--allow-read",
    "--allow-write",
    "--allow-env",
    "--allow-run",
  ];
  const child = await new Deno.Command(Deno.execPath(), {
    args: [...args, life, path, `${dir}/pushes`, `${operation}`],
    stdout: "piped",
    stderr: "piped",
  }).output();
  const said = new TextDecoder().decode(child.stdout);
  const operations = /^operations (\d+)$/m.exec(said)?.[1];
  if (operations === undefined && child.signal !== "SIGKILL") {
    throw new Error(`the process ended by itself: ${new TextDecoder().decode(child.stderr)}`);
  }
  const memory = new Memory();
  for (const [, word, name = "", oid] of said.matchAll(/^(tried|acknowledged) (\S+) (\S+)$/gm)) {
    const value = oid === "-" ? undefined : oid as Oid;
    if (word === "tried") memory.tried(name, value);
    else memory.acknowledged(name, value);
  }
  const repository = await initRepository(path, { owner: true });
  const faults = await memory.faults(repository);
  repository.close();
  faults.push(...(await litterBelow(path)).map((file) => `${file} was left`));
  await assertGitAccepts(path);
  await Deno.remove(path, { recursive: true });
  return { faults, operations: operations === undefined ? undefined : Number(operations) };
}

async function litterBelow(folder: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    if (/^tmp_|\.lock$|\.new$/.test(name)) found.push(name);
    else if (isDirectory) found.push(...await litterBelow(`${folder}/${name}`));
  }
  return found;
}
