/**
 * Peak memory while packs of some 500 MB are received, each in a Deno process of its own: one of a million small objects,
 * one of large ones with deltas between them, and one whose deltas are as large as what they make. All hang from a commit
 * by trees. The packs are made here, by hand, and taken in by the pack library alone, and by a whole push: quarantine,
 * checks, connectivity, admission, the move of the ref. Prints the resident peak of the whole process (the kernel's `VmHWM`) and what sampling saw; exits with 1
 * where a peak is above 256 MB. Arguments: names of shapes (default: all), or `take WAY PACK TIP` for the child itself.
 */
import process from "node:process";
import type { Flow } from "../../conduit/mod.ts";
import { utf8 } from "../../store/object/bytes.ts";
import { hashObject } from "../../store/object/hash.ts";
import { oidFromBytes } from "../../store/object/oid.ts";
import { packHeader } from "../../store/pack/encode.ts";
import { encodeDeltaHeader, encodeEntryHeader } from "../../store/pack/entry.ts";
import { indexPack } from "../../store/pack/index_pack.ts";
import type { PackKind } from "../../store/pack/types.ts";
import { encodePkt, FLUSH } from "../../store/protocol/pkt_line.ts";
import { fileStorage } from "./file_storage.ts";
import { concatBytes } from "../../store/zlib/bytes.ts";
import { newSha1 } from "../../store/repository/sha1.ts";
import { nodeZlib } from "../../store/zlib/node.ts";

const MB = 1024 * 1024;
const limits = {
  packBytes: 1024 * MB,
  objectBytes: 64 * MB,
  objects: 4_000_000,
  deltaDepth: 4096,
  deltaWork: 64 * 1024 * MB,
};

/** Puts entries into the pack and gives the place of each. */
interface Writer {
  whole(content: Uint8Array): number;
  /** `made`: what the delta makes of its base. */
  delta(base: number, delta: Uint8Array, made: Uint8Array): number;
}

const shapes: Record<string, { readonly count: number; readonly fill: (pack: Writer) => void }> = {
  "1,000,000 small objects": {
    count: 1_000_000,
    fill(pack) {
      let base = 0;
      let content: Uint8Array = new Uint8Array();
      let root = content;
      for (let i = 0; i < 1_000_000; i++) {
        // Every fifth a delta on the one before: chains of one, two, three and four.
        if (i % 5 < 3) content = noise(820, i);
        if (i % 5 === 0) [base, root] = [pack.whole(content), content];
        else if (i % 5 < 3) pack.whole(content);
        else base = pack.delta(base, growing(root.length, i), root = grown(root, i));
      }
    },
  },
  "60 MB objects, small deltas": {
    count: 8 + 16,
    fill(pack) {
      for (let i = 0; i < 8; i++) {
        const size = 60 * MB - i;
        let content = noise(size, i);
        const root = pack.whole(content);
        // A child with a child of its own: the root gives way and is made again.
        const child = pack.delta(root, growing(size, i), content = grown(content, i));
        pack.delta(child, growing(size + 4, i + 100), grown(content, i + 100));
      }
    },
  },
  "60 MB deltas": {
    count: 1 + 7,
    fill(pack) {
      let size = 60 * MB;
      let base = pack.whole(noise(size, 1));
      for (let i = 0; i < 7; i++) {
        const target = noise(60 * MB + i, 50 + i);
        base = pack.delta(base, inserting(size, target), target);
        size = target.length;
      }
    },
  },
};

/** Entries of a tree. */
const perFolder = 1000;

const ways = ["library", "push"] as const;
const [command, ...args] = process.argv.slice(2);
if (command === "take") await take(args[0] ?? "", args[1] ?? "", args[2] ?? "");
else process.exitCode = await compareAll(command === undefined ? Object.keys(shapes) : [command, ...args]);

async function compareAll(names: readonly string[]): Promise<number> {
  const dir = await Deno.makeTempDir({ prefix: "bailiwick-memory-" });
  let worst = 0;
  const path = `${dir}/x.pack`;
  try {
    let made = { bytes: 0, tip: "" };
    for (const [name, by] of names.flatMap((name) => ways.map((way) => [name, way] as const))) {
      if (by === ways[0]) made = writePackFile(path, name);
      const { bytes, tip } = made;
      const child = new Deno.Command(Deno.execPath(), {
        args: [
          "run",
          "--no-prompt",
          "--allow-read",
          "--allow-write",
          "--allow-env",
          "--allow-run=cat",
          new URL(import.meta.url).pathname,
          "take",
          by,
          path,
          tip,
        ],
        stderr: "inherit",
      });
      const { code, stdout } = await child.output();
      if (code !== 0) throw new Error(`the receiving process of ${name} exited ${code}`);
      const seen: { peak: number; sampled: number; ms: number } = JSON.parse(
        new TextDecoder().decode(stdout),
      );
      worst = Math.max(worst, seen.peak);
      console.log(
        `${name.padEnd(28)} ${by.padEnd(10)} pack ${(bytes / MB).toFixed(0)} MB  peak ${
          (seen.peak / MB).toFixed(0)
        } MB ` +
          `(sampled ${(seen.sampled / MB).toFixed(0)} MB)  ${(seen.ms / 1000).toFixed(1)} s`,
      );
    }
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
  console.log(worst <= 256 * MB ? "all within 256 MB" : "MORE THAN 256 MB");
  return worst <= 256 * MB ? 0 : 1;
}

/** The child: the pack library alone, or a whole push. */
async function take(by: string, path: string, tip: string): Promise<void> {
  let sampled = 0;
  const sample = () => sampled = Math.max(sampled, Deno.memoryUsage().rss);
  const timer = setInterval(sample, 20);
  const start = performance.now();
  if (by === "library") await intoFile(path);
  else await push(path, tip);
  const ms = performance.now() - start;
  clearInterval(timer);
  sample();
  const status = await new Deno.Command("cat", { args: [`/proc/${Deno.pid}/status`] }).output();
  const peak = Number(/^VmHWM:\s*(\d+) kB$/m.exec(new TextDecoder().decode(status.stdout))?.[1]) * 1024;
  console.log(JSON.stringify({ peak, sampled, ms }));
}

async function push(path: string, tip: string): Promise<void> {
  const { admitAll, initRepository, serveReceivePack } = await import("../../store/mod.ts");
  const repository = await initRepository(`${path}.git`);
  const name = "refs/heads/main";
  const flow = pushing(path, `${"0".repeat(40)} ${tip} ${name}\0report-status atomic`);
  const outcome = await serveReceivePack({
    repository,
    flow,
    version: 0,
    admit: admitAll(repository),
    limits: { pack: limits },
  });
  if (!outcome.ok) throw outcome.error;
  if (await repository.refs.get(name) !== tip) throw new Error("the push was refused");
  repository.close();
  await Deno.remove(`${path}.git`, { recursive: true });
}

/** A client that sends one command and a pack, and cares for nothing that it is told. */
function pushing(path: string, command: string): Flow {
  const line = encodePkt(command);
  const sent = (async function* () {
    yield concatBytes([line, FLUSH]);
    yield* chunksOf(path);
  })();
  return {
    description: "a client",
    peer: undefined,
    secure: true,
    read: async () => (await sent.next()).value ?? undefined,
    write: () => Promise.resolve(),
    end: () => Promise.resolve(),
    close: () => {},
    diagnostics: () => "",
  };
}

async function intoFile(path: string): Promise<void> {
  using file = Deno.openSync(`${path}.taken`, { read: true, write: true, create: true, truncate: true });
  const storage = fileStorage(file);
  await indexPack(chunksOf(path), {
    limits,
    zlib: nodeZlib,
    newSha1,
    identify: (kind, content) => hashObject(kind, content, newSha1),
    storage,
  });
}

async function* chunksOf(path: string): AsyncGenerator<Uint8Array> {
  using file = await Deno.open(path, { read: true });
  for (;;) {
    // As an SSH channel gives them (RFC 4253, section 6.1).
    const chunk = new Uint8Array(32768);
    const count = await file.read(chunk);
    if (count === null) return;
    yield chunk.subarray(0, count);
  }
}

function writePackFile(path: string, name: string): { readonly bytes: number; readonly tip: string } {
  const shape = shapes[name];
  if (shape === undefined) throw new Error(`no shape ${name}; there are: ${Object.keys(shapes).join("; ")}`);
  using file = Deno.openSync(path, { write: true, create: true, truncate: true });
  const sha1 = newSha1();
  let offset = 0;
  let gathered: Uint8Array[] = [];
  let waiting = 0;
  const flush = () => {
    const block = concatBytes(gathered);
    for (let at = 0; at < block.length;) at += file.writeSync(block.subarray(at));
    gathered = [];
    waiting = 0;
  };
  const put = (...parts: Uint8Array[]) => {
    const at = offset;
    for (const part of parts) {
      gathered.push(part);
      sha1.update(part);
      offset += part.length;
      waiting += part.length;
    }
    if (waiting > MB) flush();
    return at;
  };
  const whole = (kind: PackKind, content: Uint8Array) => {
    put(encodeEntryHeader(kind, content.length), stored(content));
    return hashObject(kind, content, newSha1);
  };
  const folders = Math.ceil(shape.count / perFolder);
  put(packHeader(shape.count + folders + 2));
  const blobs: Uint8Array[] = [];
  shape.fill({
    whole(content) {
      const at = offset;
      blobs.push(whole("blob", content));
      return at;
    },
    delta(base, delta, made) {
      blobs.push(hashObject("blob", made, newSha1));
      return put(encodeDeltaHeader(delta.length, offset - base), stored(delta));
    },
  });
  const trees: Uint8Array[] = [];
  for (let folder = 0; folder < folders; folder++) {
    trees.push(whole("tree", treeOf("100644", blobs.slice(folder * perFolder, (folder + 1) * perFolder))));
  }
  const root = oidFromBytes(whole("tree", treeOf("40000", trees)));
  const who = "A U Thor <a@example.test> 1700000000 +0000";
  const tip = oidFromBytes(whole("commit", utf8(`tree ${root}\nauthor ${who}\ncommitter ${who}\n\nall\n`)));
  flush();
  gathered.push(sha1.digest());
  flush();
  return { bytes: offset + 20, tip };
}

function treeOf(mode: string, ids: readonly Uint8Array[]): Uint8Array {
  return concatBytes(ids.flatMap((id, i) => [utf8(`${mode} ${String(i).padStart(4, "0")}\0`), id]));
}

/** A zlib stream of stored blocks (RFC 1950, RFC 1951 section 3.2.4): what deflating noise comes to, at no cost. */
function stored(content: Uint8Array): Uint8Array {
  const blocks = Math.max(1, Math.ceil(content.length / 65535));
  const stream = new Uint8Array(2 + blocks * 5 + content.length + 4);
  stream.set([0x78, 0x01]);
  let to = 2;
  let low = 1;
  let high = 0;
  for (let block = 0; block < blocks; block++) {
    const part = content.subarray(block * 65535, (block + 1) * 65535);
    const size = part.length;
    stream.set([block === blocks - 1 ? 1 : 0, size & 255, size >> 8, ~size & 255, (~size >> 8) & 255], to);
    stream.set(part, to + 5);
    to += 5 + size;
    // Adler-32; the sums stay exact for as many bytes as a block has.
    for (let i = 0; i < size; i++) high += low += part[i] as number;
    low %= 65521;
    high %= 65521;
  }
  new DataView(stream.buffer).setUint32(to, high * 65536 + low);
  return stream;
}

/** Bytes that do not deflate, the same for a seed in every run (xorshift). */
function noise(length: number, seed: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(length / 4));
  let state = (seed + 1) * 0x9e3779b1 | 1;
  for (let i = 0; i < words.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[i] = state;
  }
  return new Uint8Array(words.buffer, 0, length);
}

/** The base as it is, and four bytes more. */
function growing(size: number, seed: number): Uint8Array {
  const bytes = [...varint(size), ...varint(size + 4)];
  for (let at = 0; at < size; at += 0xffffff) {
    const length = Math.min(0xffffff, size - at);
    bytes.push(0xff, at & 255, (at >> 8) & 255, (at >> 16) & 255, at >>> 24);
    bytes.push(length & 255, (length >> 8) & 255, length >> 16);
  }
  return Uint8Array.from([...bytes, 4, ...noise(4, seed)]);
}

/** What `growing` makes. */
function grown(base: Uint8Array, seed: number): Uint8Array {
  return concatBytes([base, noise(4, seed)]);
}

/** Nothing of the base. */
function inserting(size: number, target: Uint8Array): Uint8Array {
  const sizes = [...varint(size), ...varint(target.length)];
  const delta = new Uint8Array(sizes.length + target.length + Math.ceil(target.length / 127));
  delta.set(sizes);
  let to = sizes.length;
  for (let at = 0; at < target.length; at += 127) {
    const part = target.subarray(at, at + 127);
    delta[to++] = part.length;
    delta.set(part, to);
    to += part.length;
  }
  return delta.subarray(0, to);
}

function varint(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...varint(Math.floor(value / 128))];
}
