import { deepEqual, equal, ok, rejects, throws } from "node:assert/strict";
import fc from "fast-check";
import { concatBytes } from "../../store/zlib/bytes.ts";
import { utf8 } from "../../store/object/bytes.ts";
import { hashObject } from "../../store/object/hash.ts";
import { applyDelta } from "../../store/pack/delta.ts";
import { encodePack, packHeader } from "../../store/pack/encode.ts";
import { encodeEntryHeader, entryType } from "../../store/pack/entry.ts";
import { toHex } from "../../store/pack/id.ts";
import { decodePackIndex, encodePackIndex } from "../../store/pack/index_file.ts";
import { indexPack } from "../../store/pack/index_pack.ts";
import type { PackStorage } from "../../store/pack/index_pack.ts";
import type { Identify, PackKind, PackLimits, PackObject } from "../../store/pack/types.ts";
import { newSha1 } from "../../store/repository/sha1.ts";
import { nodeZlib } from "../../store/zlib/node.ts";
import { pakoZlib } from "../../store/zlib/pako.ts";
import type { Zlib } from "../../store/zlib/zlib.ts";
import { realTest, run } from "../tools/real.ts";
import { git } from "./git_fixture.ts";
import { generator, inChunks, makeHistory } from "./pack_fixture.ts";

const identify: Identify = (kind, content) => hashObject(kind, content, newSha1);
const roomy: PackLimits = {
  packBytes: 1e8,
  objectBytes: 1e7,
  objects: 1e6,
  deltaDepth: 100,
  deltaWork: 1e9,
};
const text = (length: number, seed = 1) => {
  const random = generator(seed);
  return Uint8Array.from({ length }, () => 97 + random(26));
};

realTest(
  "a pack of many objects gets git's own index, however it is cut and inflated",
  { needs: ["git"] },
  async ({ dir }) => {
    await makeHistory(`${dir}/h.git`, { files: 120, commits: 150, changes: 3, lines: 40 });
    for (const option of ["--depth=50", "--depth=0"]) {
      const repack = ["repack", "-adfq", option, "--window=10"];
      await git(`${dir}/h.git`, ...repack);
      await git(`${dir}/h.git`, "tag", "-f", "-a", "-m", option, "t");
      const { pack, index } = await onlyPack(`${dir}/h.git`);
      for (
        const [zlib, size] of [[nodeZlib, 65536], [nodeZlib, 997], [pakoZlib, 4096], [
          nodeZlib,
          pack.length,
        ]] as const
      ) {
        const indexed = await take(inChunks(pack, size), { zlib });
        deepEqual(indexed.index, index);
      }
      // One byte at a time over a small pack: every state is left and entered everywhere.
    }
    const small = await packOf([{ kind: "blob", content: text(3000) }, {
      kind: "blob",
      content: new Uint8Array(),
    }]);
    const whole = await take([small]);
    for (const size of [1, 2, 3, 19, 20, 21]) deepEqual(await take(inChunks(small, size)), whole);
  },
);

realTest(
  "offsets of 64 bits are written as git writes them, and read",
  { needs: ["git"] },
  async ({ dir }) => {
    await makeHistory(`${dir}/h.git`, { files: 30, commits: 20, changes: 2, lines: 20 });
    await git(`${dir}/h.git`, "repack", "-adfq");
    const { pack, path } = await onlyPack(`${dir}/h.git`);
    await run("git", ["index-pack", "--index-version=2,0x400", "-o", `${dir}/large.idx`, path]);
    const expected = await Deno.readFile(`${dir}/large.idx`);
    const read = decodePackIndex(expected);
    const plain = decodePackIndex((await take([pack])).index);
    const ranks = Array.from({ length: read.count }, (_, rank) => rank);
    deepEqual(ranks.map(read.offsetAt), ranks.map(plain.offsetAt));
    // Git gives large offsets their place in the order of ids, so the same order in is the same file out.
    const objects = {
      count: read.count,
      oids: concatBytes(ranks.map((rank) => hexBytes(read.oidAt(rank)))),
      crcs: ranks.map(read.crcAt),
      offsets: ranks.map(read.offsetAt),
    };
    deepEqual(
      await encodePackIndex(objects, read.packChecksum, newSha1, { largeFrom: 0x401 }),
      expected,
    );
    for (const rank of ranks) equal(read.find(read.oidAt(rank)), read.offsetAt(rank));
  },
);

realTest("git takes the packs we write", { needs: ["git"] }, async ({ dir }) => {
  await run("git", ["init", "-q", dir]);
  const objects: PackObject[] = [];
  for (let i = 0; i < 300; i++) objects.push({ kind: "blob", content: text(i * 37, i + 1) });
  const pack = await packOf(objects);
  await Deno.writeFile(`${dir}/x.pack`, pack);
  await run("git", ["-C", dir, "index-pack", "--strict", `${dir}/x.pack`]);
  deepEqual((await take([pack])).index, await Deno.readFile(`${dir}/x.idx`));
  const verified = await run("git", ["verify-pack", "-v", `${dir}/x.pack`]);
  ok(verified.stdout.includes(`${toHex(hashObject("blob", text(37, 2), newSha1))} blob   37`));
  await rejects(packOf(objects, 299), { code: "malformed" });
  await rejects(packOf(objects, 301), { code: "malformed" });
});

Deno.test("any objects written as a pack are found again in it", async () => {
  const object = fc.record({
    kind: fc.constantFrom<PackKind[]>("blob", "tree", "commit", "tag"),
    content: fc.uint8Array({ maxLength: 300 }),
  });
  const objects = fc.uniqueArray(object, {
    selector: (each) => toHex(hashObject(each.kind, each.content, newSha1)),
  });
  await fc.assert(
    fc.asyncProperty(objects, fc.integer({ min: 1, max: 100 }), async (objects, size) => {
      const seen = new Map<string, PackObject>();
      const indexed = await take(inChunks(await packOf(objects), size), {
        onObject: (object, oid) =>
          seen.set(toHex(oid), { kind: object.kind, content: new Uint8Array(object.content) }),
      });
      equal(indexed.count, objects.length);
      for (const object of objects) {
        deepEqual(seen.get(toHex(hashObject(object.kind, object.content, newSha1))), object);
      }
    }),
    { numRuns: 50 },
  );
});

Deno.test("both zlibs agree on what they inflate and refuse", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 5000 }), fc.nat(40), fc.nat(), (content, extra, at) => {
    const stream = nodeZlib.deflate(content);
    const input = concatBytes([stream, new Uint8Array(extra)]);
    for (const zlib of [nodeZlib, pakoZlib]) {
      const done = zlib.inflate(input, content.length);
      ok(done.state === "done" && done.consumed === stream.length);
      deepEqual(new Uint8Array(done.output), content);
      equal(zlib.inflate(stream.subarray(0, at % stream.length), content.length).state, "more");
      if (content.length > 0) equal(zlib.inflate(input, content.length - 1).state, "bad");
      const rotten = stream.slice();
      rotten[stream.length - 1] = (rotten[stream.length - 1] ?? 0) ^ 1;
      equal(zlib.inflate(rotten, content.length).state, "bad");
      equal(zlib.crc32(content, 0), pakoZlib.crc32(content, 0));
    }
  }));
});

Deno.test("a delta is followed to the letter or refused", () => {
  const base = utf8("0123456789");
  const delta = (...bytes: number[]) => Uint8Array.from(bytes);
  equal(new TextDecoder().decode(applyDelta(base, delta(10, 5, 0x91, 2, 3, 2, 120, 121))), "234xy");
  for (
    const bad of [
      [10, 3, 0x91, 8, 3], // beyond the base
      [9, 3, 0x91, 0, 3], // another base
      [10, 2, 0x91, 0, 3], // more than declared
      [10, 4, 0x91, 0, 3], // less than declared
      [10, 3, 0x91, 0], // cut short
      [10, 3, 3, 1], // cut short
      [10, 1, 0], // reserved
      [10],
      [],
      [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
    ]
  ) throws(() => applyDelta(base, delta(...bad)), { code: "malformed" }, bad.join(" "));
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      try {
        ok(applyDelta(base, concatBytes([delta(10, 20), bytes])).length === 20);
      } catch (error) {
        equal((error as { code?: unknown }).code, "malformed");
      }
    }),
    { numRuns: 2000 },
  );
});

Deno.test("a pack that is cut short, changed anywhere or followed by anything is refused", async () => {
  const pack = await packOf([{ kind: "blob", content: text(500) }, { kind: "blob", content: text(20, 7) }]);
  for (let length = 0; length < pack.length; length++) {
    await rejects(take([pack.slice(0, length)]), { code: "malformed" }, `cut at ${length}`);
  }
  await rejects(take([concatBytes([pack, utf8("x")])]), { code: "malformed" });
  for (let at = 0; at < pack.length; at++) {
    const changed = pack.slice();
    changed[at] = (changed[at] ?? 0) ^ 0x41;
    await rejects(
      take([changed]),
      (error: { code?: string }) => error.code === "malformed" || error.code === "limit",
    );
  }
});

Deno.test("nothing is read beyond the pack's end", async () => {
  const pack = await packOf([{ kind: "blob", content: text(5) }]);
  function* endless(): Iterable<Uint8Array> {
    yield* inChunks(pack, 7);
    throw new Error("asked for more");
  }
  equal((await take(endless())).count, 1);
});

Deno.test("each limit is told by name", async () => {
  const objects: PackObject[] = [{ kind: "blob", content: text(1000) }, {
    kind: "blob",
    content: text(10, 3),
  }];
  const pack = await packOf(objects);
  const cases: [Partial<PackLimits>, RegExp][] = [
    [{ packBytes: pack.length - 1 }, /larger than/],
    [{ objects: 1 }, /holds 2 objects/],
    [{ objectBytes: 999 }, /declares 1000 bytes/],
  ];
  for (const [limits, message] of cases) {
    await rejects(take(inChunks(pack, 100), { limits }), { code: "limit", message });
  }
  // A declared size of many gigabytes with nothing behind it allocates nothing.
  const huge = seal([
    packHeader(1),
    Uint8Array.of(0xbf, 0xff, 0xff, 0xff, 0xff, 0x7f),
    nodeZlib.deflate(text(5)),
  ], 1);
  await rejects(take([huge]), { code: "limit" });
  const lying = seal([packHeader(1), encodeEntryHeader("blob", 9_000_000), nodeZlib.deflate(text(5))], 1);
  await rejects(take([lying]), { code: "malformed" });
  const bomb = seal([
    packHeader(1),
    encodeEntryHeader("blob", 10),
    nodeZlib.deflate(new Uint8Array(5_000_000)),
  ], 1);
  await rejects(take([bomb]), { code: "malformed" });
  await rejects(take(inChunks(bomb, 100)), { code: "malformed" });
});

Deno.test("delta bombs run into the limit of work, long chains into that of depth", async () => {
  const base = text(100_000);
  // Each delta copies its base whole: 100 kB of work for some twenty bytes of pack.
  const parts: Uint8Array[] = [encodeEntryHeader("blob", base.length), nodeZlib.deflate(base)];
  let content: Uint8Array = base;
  let oid = hashObject("blob", content, newSha1);
  for (let i = 0; i < 50; i++) {
    const delta = appendingDelta(content.length, i);
    content = applyDelta(content, delta);
    parts.push(refDelta(oid, delta));
    oid = hashObject("blob", content, newSha1);
  }
  const pack = seal([packHeader(51), ...parts], 51);
  equal((await take([pack])).count, 51);
  await rejects(take([pack], { limits: { deltaDepth: 49 } }), {
    code: "limit",
    message: /chain of more than 49/,
  });
  equal((await take([pack], { limits: { deltaDepth: 50 } })).count, 51);
  await rejects(take([pack], { limits: { deltaWork: 1_000_000 } }), {
    code: "limit",
    message: /make more than/,
  });
  await rejects(take([pack], { limits: { objectBytes: 100_049 } }), {
    code: "limit",
    message: /makes an object/,
  });
});

Deno.test("deltas without a base, on themselves or in a circle are refused", async () => {
  const a = hexBytes("aa".repeat(20));
  const b = hexBytes("bb".repeat(20));
  const delta = appendingDelta(10, 1);
  const whole = [encodeEntryHeader("blob", 10), nodeZlib.deflate(text(10))];
  await rejects(take([seal([packHeader(1), refDelta(a, delta)], 1)]), { code: "malformed" });
  await rejects(take([seal([packHeader(2), refDelta(a, delta), refDelta(b, delta)], 2)]), {
    code: "malformed",
  });
  for (const distance of [0, 1, 5, 13, 1000, 2 ** 31, 2 ** 52]) {
    const pack = seal([packHeader(2), ...whole, offsetDelta(distance, delta)], 2);
    await rejects(take([pack]), { code: "malformed" }, `${distance}`);
  }
  const length = concatBytes(whole).length;
  equal((await take([seal([packHeader(2), ...whole, offsetDelta(length, delta)], 2)])).count, 2);
  // The same object twice.
  await rejects(take([seal([packHeader(2), ...whole, ...whole], 2)]), {
    code: "malformed",
    message: /twice/,
  });
});

Deno.test("a thin pack is completed with the bases it left out", async () => {
  const base = text(2000);
  const oid = hashObject("blob", base, newSha1);
  const delta = appendingDelta(base.length, 65);
  const thin = seal([packHeader(1), refDelta(oid, delta)], 1);
  const storage = memoryStorage();
  const indexed = await take(inChunks(thin, 11), {
    storage,
    external: (wanted) =>
      Promise.resolve(toHex(wanted) === toHex(oid) ? { kind: "blob", content: base } : undefined),
  });
  equal(indexed.received, 1);
  equal(indexed.count, 2);
  const again = await take([storage.bytes()]);
  deepEqual(again.index, indexed.index);
  equal(toHex(again.oids.subarray(20, 40)), toHex(oid));
});

Deno.test("random bytes after a pack's header end in a typed error", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ maxLength: 200 }),
      fc.integer({ min: 1, max: 50 }),
      async (bytes, size) => {
        await rejects(
          take(inChunks(concatBytes([packHeader(3), bytes]), size)),
          (error: { code?: string }) => {
            return error.code === "malformed" || error.code === "limit";
          },
        );
      },
    ),
    { numRuns: 500 },
  );
});

Deno.test("an index that was cut or changed in its tables is told", async () => {
  const { index } = await take([await packOf([{ kind: "blob", content: text(5) }])]);
  for (const length of [0, 8, 1032, index.length - 1]) {
    throws(() => decodePackIndex(index.subarray(0, length)), { code: "corrupt" });
  }
  const falling = index.slice();
  new DataView(falling.buffer).setUint32(8, 5);
  throws(() => decodePackIndex(falling), { code: "corrupt" });
});

interface TakeOptions {
  readonly zlib?: Zlib;
  readonly limits?: Partial<PackLimits>;
  readonly storage?: PackStorage;
  readonly external?: (oid: Uint8Array) => Promise<PackObject | undefined>;
  readonly onObject?: (object: PackObject, oid: Uint8Array) => void;
}

async function take(chunks: Iterable<Uint8Array>, options: TakeOptions = {}) {
  const { zlib = nodeZlib, storage = memoryStorage(), limits, ...rest } = options;
  return await indexPack(chunks, {
    limits: { ...roomy, ...limits },
    zlib,
    newSha1,
    identify,
    storage,
    ...rest,
  });
}

function memoryStorage(): PackStorage & { bytes(): Uint8Array } {
  let all = new Uint8Array();
  return {
    append(bytes) {
      all = concatBytes([all, bytes]) as Uint8Array<ArrayBuffer>;
      return Promise.resolve();
    },
    read: (offset, length) => all.slice(offset, offset + length),
    overwrite: (offset, bytes) => all.set(bytes, offset),
    truncate(length) {
      all = all.slice(0, length);
    },
    bytes: () => all,
  };
}

async function packOf(objects: readonly PackObject[], count = objects.length): Promise<Uint8Array> {
  return concatBytes(await Array.fromAsync(encodePack(objects, count, { zlib: nodeZlib, newSha1 })));
}

/** Parts with a right checksum behind them. */
function seal(parts: readonly Uint8Array[], count: number): Uint8Array {
  const [, ...rest] = parts;
  const body = concatBytes([packHeader(count), ...rest]);
  const sha1 = newSha1();
  sha1.update(body);
  return concatBytes([body, sha1.digest()]);
}

/** Copies a base of `size` bytes whole and adds one byte. */
function appendingDelta(size: number, byte: number): Uint8Array {
  const sizes = [...varint(size), ...varint(size + 1)];
  const copies: number[] = [];
  for (let at = 0; at < size; at += 0xffff) {
    const length = Math.min(0xffff, size - at);
    copies.push(0xb7, at & 255, (at >> 8) & 255, at >> 16, length & 255, length >> 8);
  }
  return Uint8Array.from([...sizes, ...copies, 1, byte]);
}

function varint(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...varint(value >>> 7)];
}

function refDelta(base: Uint8Array, delta: Uint8Array): Uint8Array {
  return concatBytes([retyped(delta.length, entryType.refDelta), base, nodeZlib.deflate(delta)]);
}

function offsetDelta(distance: number, delta: Uint8Array): Uint8Array {
  const bytes = [distance % 128];
  for (let rest = Math.floor(distance / 128); rest > 0; rest = Math.floor(rest / 128)) {
    rest -= 1;
    bytes.unshift(128 | (rest % 128));
  }
  return concatBytes([
    retyped(delta.length, entryType.offsetDelta),
    Uint8Array.from(bytes),
    nodeZlib.deflate(delta),
  ]);
}

function retyped(size: number, type: number): Uint8Array {
  const header = encodeEntryHeader("commit", size);
  header[0] = ((header[0] ?? 0) & 0x8f) | (type << 4);
  return header;
}

function hexBytes(hex: string): Uint8Array {
  return Uint8Array.from({ length: hex.length / 2 }, (_, i) => parseInt(hex.slice(2 * i, 2 * i + 2), 16));
}

async function onlyPack(repository: string): Promise<{ pack: Uint8Array; index: Uint8Array; path: string }> {
  const folder = `${repository}/objects/pack`;
  const names = await Array.fromAsync(Deno.readDir(folder), (entry) => entry.name);
  const [name] = names.filter((each) => each.endsWith(".pack"));
  const path = `${folder}/${name}`;
  return { path, pack: await Deno.readFile(path), index: await Deno.readFile(path.replace(/pack$/, "idx")) };
}
