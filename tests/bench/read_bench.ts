/**
 * Reading 10,000 objects at random out of a pack of some 30,000: ours beside `git cat-file --batch`, fed with the same
 * ids in the same order, by turns in one run. "git, by a pipe" is what reading by way of git costs a program: its process
 * starts before the clock does, and its answers are taken in whole. "git, alone" has a file for its input and throws its
 * output away: its own work, with its start. "library" is ours over a file, "repository" through an opened repository; both
 * open everything anew within the clock and compare every object with its id, which git leaves out. A first round that is not counted has the
 * files in the system's cache and our code compiled. Prints milliseconds (median) and ratios to git by a pipe. Argument: rounds (default 7).
 */
import process from "node:process";
import { hashObject } from "../../store/object/hash.ts";
import { decodePackIndex } from "../../store/pack/index_file.ts";
import { compareIds } from "../../store/pack/id.ts";
import { packWindows } from "../../store/pack/pack_windows.ts";
import { readPack } from "../../store/pack/read_pack.ts";
import { newSha1 } from "../../store/repository/sha1.ts";
import type { Oid } from "../../store/types.ts";
import { nodeZlib } from "../../store/zlib/node.ts";
import { git } from "../store/git_fixture.ts";
import { generator, makeHistory } from "../store/pack_fixture.ts";
import { quietEnvironment } from "../tools/real.ts";

const rounds = Number(process.argv[2] ?? 7);
const only = process.argv[3];
const reads = 10_000;
/** As git has it by default (`core.deltaBaseCacheLimit`); a repository keeps less. */
const cacheBytes = 96 * 1024 * 1024;
const dir = await Deno.makeTempDir({ prefix: "bailiwick-bench-" });
try {
  await bench();
} finally {
  await Deno.remove(dir, { recursive: true });
}

async function bench(): Promise<void> {
  const path = `${dir}/h.git`;
  await makeHistory(path, { files: 4000, commits: 3000, changes: 3, lines: 300 });
  await git(path, "-c", "pack.threads=1", "repack", "-adfq", "--depth=50", "--window=10");
  const names = await Array.fromAsync(Deno.readDir(`${path}/objects/pack`), (entry) => entry.name);
  const name = names.find((each) => each.endsWith(".pack")) ?? "";
  const pack = `${path}/objects/pack/${name}`;
  const index = decodePackIndex<Oid>(await Deno.readFile(pack.replace(/pack$/, "idx")));
  const random = generator(7);
  const ids = Array.from({ length: reads }, () => index.oidAt(random(index.count)));
  console.log(`pack: ${Deno.statSync(pack).size} bytes, ${index.count} objects; ${reads} reads`);

  const contestants: Record<string, () => Promise<{ ms: number; bytes?: number }>> = {
    "git, by a pipe": () => withGit(path, ids),
    "git, alone": () => gitAlone(path, ids),
    library: () => Promise.resolve(withLibrary(pack, ids)),
    repository: () => withRepository(path, ids),
  };
  const times = new Map<string, number[]>();
  const bytes = new Set<number>();
  for (let round = -1; round < rounds; round++) {
    for (const [contestant, run] of Object.entries(contestants)) {
      if (only !== undefined && contestant !== only) continue;
      const outcome = await run();
      if (outcome.bytes !== undefined) bytes.add(outcome.bytes);
      // The first round makes caches warm and code compiled, for all of them.
      if (round >= 0) times.set(contestant, [...times.get(contestant) ?? [], outcome.ms]);
    }
  }
  if (bytes.size !== 1) throw new Error(`not all read the same: ${[...bytes].join(", ")} bytes`);
  const reference = median(times.get("git, by a pipe") ?? times.values().next().value ?? []);
  for (const [contestant, taken] of times) {
    const all = taken.map((ms) => ms.toFixed(0)).join(" ");
    const ratio = (median(taken) / reference).toFixed(2);
    console.log(
      `${contestant.padEnd(22)} ${median(taken).toFixed(0).padStart(6)} ms  ×${ratio}  (${all})`,
    );
  }
}

/** The pack library, over a file read in windows. */
function withLibrary(path: string, ids: readonly Oid[]): { ms: number; bytes: number } {
  const start = performance.now();
  using file = Deno.openSync(path, { read: true });
  const index = decodePackIndex<Oid>(Deno.readFileSync(path.replace(/pack$/, "idx")));
  const size = file.statSync().size;
  const reader = readPack({
    name: path,
    index,
    size,
    map: packWindows(readsOf(file), size),
    zlib: nodeZlib,
    cacheBytes,
  });
  let bytes = 0;
  for (const id of ids) {
    const rank = index.rankOf(id);
    if (rank === undefined) throw new Error(`${id} is not there`);
    const { kind, content } = reader.read(rank);
    if (compareIds(hashObject(kind, content, newSha1), 0, index.ids, rank * 20) !== 0) {
      throw new Error(`${id} is damaged`);
    }
    bytes += content.length;
  }
  return { ms: performance.now() - start, bytes };
}

async function withRepository(path: string, ids: readonly Oid[]): Promise<{ ms: number; bytes: number }> {
  const { openRepository } = await import("../../store/mod.ts");
  const start = performance.now();
  const repository = await openRepository(path);
  let bytes = 0;
  for (const id of ids) {
    const object = await repository.read(id);
    if (object === undefined) throw new Error(`${id} is not there`);
    bytes += object.content.length;
  }
  const ms = performance.now() - start;
  repository.close();
  return { ms, bytes };
}

async function withGit(path: string, ids: readonly Oid[]): Promise<{ ms: number; bytes: number }> {
  const child = new Deno.Command("git", {
    args: ["-C", path, "cat-file", "--batch"],
    clearEnv: true,
    env: quietEnvironment(),
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const start = performance.now();
  const writer = child.stdin.getWriter();
  const fed = writer.write(new TextEncoder().encode(`${ids.join("\n")}\n`)).then(() => writer.close());
  let all = 0;
  let headers = 0;
  for await (const chunk of child.stdout) all += chunk.length;
  const ms = performance.now() - start;
  await fed;
  await child.status;
  // `<id> <kind> <size>\n<content>\n` for each; what is not content is counted off.
  const { stdout } = await new Deno.Command("git", {
    args: ["-C", path, "cat-file", "--batch-check", "--batch-all-objects"],
    clearEnv: true,
    env: quietEnvironment(),
  }).output();
  const lines = new Map<string, number>();
  for (const line of new TextDecoder().decode(stdout).split("\n")) lines.set(line.slice(0, 40), line.length);
  for (const id of ids) headers += (lines.get(id) ?? NaN) + 2;
  return { ms, bytes: all - headers };
}

async function gitAlone(path: string, ids: readonly Oid[]): Promise<{ ms: number }> {
  await Deno.writeTextFile(`${dir}/ids`, `${ids.join("\n")}\n`);
  const start = performance.now();
  const { success } = await new Deno.Command("sh", {
    args: ["-c", `exec git -C "$1" cat-file --batch < "$2" > /dev/null`, "sh", path, `${dir}/ids`],
    clearEnv: true,
    env: quietEnvironment(),
  }).output();
  if (!success) throw new Error("git cat-file failed");
  return { ms: performance.now() - start };
}

function readsOf(file: Deno.FsFile): (offset: number, length: number) => Uint8Array {
  return (offset, length) => {
    const bytes = new Uint8Array(length);
    file.seekSync(offset, Deno.SeekMode.Start);
    for (let at = 0; at < length;) at += file.readSync(bytes.subarray(at)) ?? length;
    return bytes;
  };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? NaN;
}
