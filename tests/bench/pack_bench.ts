/**
 * One and the same pack, made by git out of generated zones: about 30,000 objects.
 *
 * Indexing it: ours (with the runtime's SHA-1; with the one that detects collisions, as for packs from others; with pako),
 * `git index-pack --threads=1` and isomorphic-git's `indexPack`, by turns in one run. Prints each one's milliseconds
 * (median) and the ratios.
 *
 * Then making it anew with a search for deltas (window 10, depth 50), beside `git pack-objects --threads=1` without
 * reuse: milliseconds and bytes. Arguments: rounds (default 5); a contestant's name leaves out the others, for profiling.
 */
import process from "node:process";
import fs from "node:fs";
import { indexPack as isomorphicIndexPack } from "isomorphic-git";
import { hashObject } from "../../store/object/hash.ts";
import { nameHash } from "../../store/pack/find_deltas.ts";
import type { PackItem } from "../../store/pack/find_deltas.ts";
import { decodePackIndex } from "../../store/pack/index_file.ts";
import { indexPack } from "../../store/pack/index_pack.ts";
import { packObjects } from "../../store/pack/pack_objects.ts";
import { readPack } from "../../store/pack/read_pack.ts";
import type { NewSha1 } from "../../store/pack/types.ts";
import { newDetectingSha1 } from "../../store/sha1/detecting_sha1.ts";
import type { Oid } from "../../store/types.ts";
import type { Zlib } from "../../store/zlib/zlib.ts";
import { newSha1 } from "../../store/repository/sha1.ts";
import { equalBytes } from "../../store/zlib/bytes.ts";
import { nodeZlib } from "../../store/zlib/node.ts";
import { pakoZlib } from "../../store/zlib/pako.ts";
import { fileStorage } from "./file_storage.ts";
import { inChunks, makeHistory } from "../store/pack_fixture.ts";
import { git, gitBytes } from "../store/git_fixture.ts";
import { run } from "../tools/real.ts";

const rounds = Number(process.argv[2] ?? 5);
const only = process.argv[3];
const dir = await Deno.makeTempDir({ prefix: "bailiwick-bench-" });
try {
  await bench();
} finally {
  await Deno.remove(dir, { recursive: true });
}

async function bench(): Promise<void> {
  await makeHistory(`${dir}/h.git`, { files: 4000, commits: 3000, changes: 3, lines: 300 });
  await git(`${dir}/h.git`, "-c", "pack.threads=1", "repack", "-adfq", "--depth=50", "--window=10");
  const packs = `${dir}/h.git/objects/pack`;
  const [pack] = (await Array.fromAsync(Deno.readDir(packs), (entry) => entry.name)).filter((name) =>
    name.endsWith(".pack")
  );
  if (pack === undefined) throw new Error("git made no pack");
  const bytes = await Deno.readFile(`${packs}/${pack}`);
  const expected = await Deno.readFile(`${packs}/${pack.replace(".pack", ".idx")}`);
  await Deno.writeFile(`${dir}/x.pack`, bytes);
  const { objects, deltas } = await describe(`${packs}/${pack}`);
  console.log(`pack: ${bytes.length} bytes, ${objects} objects, ${deltas} of them deltas`);

  const contestants: Record<string, () => Promise<Uint8Array>> = {
    "git --threads=1": async () => {
      await run("git", ["index-pack", "--threads=1", "-o", `${dir}/git.idx`, `${dir}/x.pack`]);
      return await takeFile(`${dir}/git.idx`);
    },
    ours: async () => await ours(bytes, nodeZlib, newSha1),
    "ours, detecting": async () => await ours(bytes, nodeZlib, newDetectingSha1),
    "ours, pako": async () => await ours(bytes, pakoZlib, newSha1),
    "isomorphic-git": async () => {
      await isomorphicIndexPack({ fs, dir, gitdir: `${dir}/h.git`, filepath: "x.pack" });
      return await takeFile(`${dir}/x.idx`);
    },
  };
  const times = new Map<string, number[]>();
  for (let round = 0; round < rounds; round++) {
    for (const [name, contestant] of Object.entries(contestants)) {
      if (only !== undefined && name !== only) continue;
      const start = performance.now();
      const index = await contestant();
      const taken = performance.now() - start;
      if (!equalBytes(index, expected) && name !== "isomorphic-git") {
        throw new Error(`${name} made another index`);
      }
      times.set(name, [...times.get(name) ?? [], taken]);
    }
  }
  const reference = median(times.get("git --threads=1") ?? times.get("ours") ?? []);
  for (const [name, taken] of times) {
    const middle = median(taken);
    const all = taken.map((ms) => ms.toFixed(0)).join(" ");
    console.log(
      `${name.padEnd(16)} ${middle.toFixed(0).padStart(6)} ms  ×${(middle / reference).toFixed(2)}  (${all})`,
    );
  }
  if (only === undefined || only === "encode") await benchEncoding(bytes, expected);
}

async function benchEncoding(bytes: Uint8Array, indexBytes: Uint8Array): Promise<void> {
  const index = decodePackIndex<Oid>(indexBytes);
  const reader = readPack({
    name: "the pack",
    index,
    size: bytes.length,
    map: (offset, length) => bytes.subarray(offset, offset + length),
    zlib: nodeZlib,
  });
  const listed = (await git(`${dir}/h.git`, "rev-list", "--objects", "--all")).trimEnd().split("\n");
  const items = listed.map((line): PackItem<Oid> => {
    const id = line.slice(0, 40) as Oid;
    const { kind, size } = reader.weigh(index.rankOf(id) ?? -1);
    return { id, kind, size, group: nameHash(line.slice(41)) };
  });
  const source = { read: (id: Oid) => Promise.resolve(reader.read(index.rankOf(id) ?? -1)) };

  let start = performance.now();
  let size = 0;
  for await (const chunk of packObjects(items, source, { zlib: nodeZlib, newSha1 })) size += chunk.length;
  const taken = performance.now() - start;
  start = performance.now();
  const theirs = (await gitBytes(`${dir}/h.git`, [
    "pack-objects",
    "-q",
    "--stdout",
    "--delta-base-offset",
    "--threads=1",
    "--no-reuse-delta",
    "--no-reuse-object",
    "--window=10",
    "--depth=50",
  ], new TextEncoder().encode(`${listed.join("\n")}\n`))).length;
  const theirTime = performance.now() - start;
  console.log(`encode, git --threads=1 ${theirTime.toFixed(0).padStart(6)} ms  ${theirs} bytes`);
  console.log(
    `encode, ours            ${taken.toFixed(0).padStart(6)} ms  ${size} bytes  ` +
      `×${(taken / theirTime).toFixed(2)} the time, ×${(size / theirs).toFixed(3)} the size`,
  );
}

async function ours(bytes: Uint8Array, zlib: Zlib, objectSha1: NewSha1): Promise<Uint8Array> {
  // To a file in chunks, as a pack from the wire is taken.
  using file = Deno.openSync(`${dir}/ours.pack`, { read: true, write: true, create: true, truncate: true });
  const limits = {
    packBytes: 2 ** 31,
    objectBytes: 2 ** 28,
    objects: 2 ** 24,
    deltaDepth: 4096,
    deltaWork: 2 ** 40,
  };
  const indexed = await indexPack(inChunks(bytes, 65536), {
    limits,
    zlib,
    newSha1,
    identify: (kind, content) => hashObject(kind, content, objectSha1),
    storage: fileStorage(file),
  });
  return indexed.index;
}

async function describe(pack: string): Promise<{ objects: number; deltas: number }> {
  const { stdout } = await run("git", ["verify-pack", "-v", pack]);
  const lines = stdout.split("\n").filter((line) => /^[0-9a-f]{40} /.test(line));
  return { objects: lines.length, deltas: lines.filter((line) => line.split(/\s+/).length >= 7).length };
}

async function takeFile(path: string): Promise<Uint8Array> {
  const bytes = await Deno.readFile(path);
  await Deno.remove(path);
  return bytes;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? NaN;
}
