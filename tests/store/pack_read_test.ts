import { deepEqual, equal, ok, throws } from "node:assert/strict";
import { hashObject } from "../../store/object/hash.ts";
import { createDelta } from "../../store/pack/create_delta.ts";
import { toHex } from "../../store/pack/id.ts";
import { decodePackIndex } from "../../store/pack/index_file.ts";
import { readPack } from "../../store/pack/read_pack.ts";
import type { PackReader, ReadPackOptions } from "../../store/pack/read_pack.ts";
import { verifyPack } from "../../store/pack/verify_pack.ts";
import { newSha1 } from "../../store/repository/sha1.ts";
import { nodeZlib } from "../../store/zlib/node.ts";
import { pakoZlib } from "../../store/zlib/pako.ts";
import { realTest, run } from "../tools/real.ts";
import { git } from "./git_fixture.ts";
import { makeHistory } from "./pack_fixture.ts";
import { handmadePack, identify, noise, seen, takePack } from "./pack_maker.ts";

realTest(
  "every object of git's pack is read, weighed and found by its place as git has it",
  { needs: ["git"] },
  async ({ dir }) => {
    const { pack, index, path } = await gitPack(dir);
    for (const zlib of [nodeZlib, pakoZlib]) {
      const reader = open(pack, index, { zlib, cacheBytes: zlib === nodeZlib ? undefined : 2000 });
      // `id kind size packed-size offset [depth base]`, in the order of the pack.
      const { stdout } = await run("git", ["verify-pack", "-v", path]);
      const lines = stdout.split("\n").map((line) => line.trim().split(/\s+/)).filter(([id, kind]) =>
        id?.length === 40 && kind !== undefined
      );
      equal(lines.length, reader.index.count);
      const order = [...reader.inPackOrder()];
      for (const [place, [id = "", kind, size, packed, offset, depth = "0", base]] of lines.entries()) {
        const rank = reader.index.rankOf(id) ?? -1;
        equal(order[place], rank);
        equal(reader.rankAt(Number(offset)), rank);
        equal(reader.rankAt(Number(offset) + 1), undefined);
        equal(reader.endOf(rank), Number(offset) + Number(packed));
        const object = reader.read(rank);
        equal(object.kind, kind);
        equal(toHex(identify(object.kind, object.content)), id);
        const weight = reader.weigh(rank);
        equal(weight.kind, kind);
        equal(weight.size, object.content.length);
        equal(weight.depth, Number(depth));
        ok(weight.weight >= weight.size);
        const entry = reader.entryAt(rank);
        equal(entry.kind, base === undefined ? kind : "delta");
        if (entry.kind === "delta") equal(entry.base, base);
        equal(entry.size, Number(size));
      }
    }
  },
);

realTest(
  "damage is told by object and place, and all that does not hang on it stays readable",
  { needs: ["git"] },
  async ({ dir }) => {
    const { pack, index } = await gitPack(dir);
    const whole = open(pack, index);
    const bad = pack.slice();
    // In the middle of the deflated data of an entry that others are built on.
    const victims = [...whole.inPackOrder()].filter((rank) => whole.weigh(rank).depth === 1).slice(0, 3);
    for (const rank of victims) {
      const at = (whole.index.offsetAt(rank) + whole.endOf(rank)) >> 1;
      bad[at] = (bad[at] ?? 0) ^ 0x55;
    }
    const reader = open(bad, index);
    let unreadable = 0;
    for (const rank of reader.inPackOrder()) {
      const id = reader.index.oidAt(rank);
      try {
        const { kind, content } = reader.read(rank);
        // Its checksum may lie in the part that is never looked at; then the id tells.
        if (toHex(identify(kind, content)) === id) continue;
      } catch (error) {
        const { code, message } = error as { code?: string; message: string };
        equal(code, "corrupt");
        ok(message.includes(id), message);
        ok(victims.some((victim) => message.includes(`entry at ${whole.index.offsetAt(victim)}`)), message);
      }
      unreadable++;
      ok(whole.weigh(rank).depth > 0);
    }
    ok(unreadable >= victims.length && unreadable < reader.index.count / 2, `${unreadable}`);
    for (const rank of victims) throws(() => reader.entryAt(rank), { code: "corrupt" });

    const report = await verify(bad, index);
    const entries = report.faults.filter((fault) => fault.part === "entry");
    equal(report.objects, reader.index.count);
    equal(entries.length, unreadable);
    for (const rank of victims) {
      const offset = whole.index.offsetAt(rank);
      const fault = entries.find((each) => each.offset === offset);
      equal(fault?.id, whole.index.oidAt(rank));
      ok(fault?.reason.includes("CRC"));
    }
    ok(report.faults.some((fault) => fault.part === "pack" && fault.reason.includes("checksum")));
  },
);

realTest(
  "a whole pack is verified as whole; each part that is not is named",
  { needs: ["git"] },
  async ({ dir }) => {
    const { pack, index } = await gitPack(dir);
    deepEqual((await verify(pack, index)).faults, []);
    const changed = (bytes: Uint8Array, at: number) => {
      const copy = bytes.slice();
      copy[at] = (copy[at] ?? 0) ^ 1;
      return copy;
    };
    const parts = async (bytes: Uint8Array, of: Uint8Array) =>
      new Set((await verify(bytes, of)).faults.map(({ part }) => part));
    deepEqual(await parts(changed(pack, pack.length - 1), index), new Set(["pack", "index"]));
    deepEqual(await parts(changed(pack, 11), index), new Set(["pack"]));
    deepEqual(await parts(pack, changed(index, index.length - 1)), new Set(["index"]));
    // An id of another object: that one entry does not hold it.
    const { count } = decodePackIndex(index);
    const other = changed(index, 8 + 1024 + 20 * (count >> 1) + 19);
    const { faults } = await verify(pack, other);
    equal(faults.filter(({ part }) => part === "entry").length, 1);
    ok(faults.some((fault) => fault.part === "entry" && fault.reason.includes("another object")));
    // Offsets that lead nowhere: of those objects alone.
    const offsetsAt = 8 + 1024 + count * 24;
    const nowhere = index.slice();
    new DataView(nowhere.buffer).setUint32(offsetsAt, 0x7fffffff);
    const lost = (await verify(pack, nowhere)).faults.filter(({ part }) => part === "entry");
    ok(lost.length >= 1 && lost.length < count / 2);
    for (const cut of [0, 7, 31, 500]) {
      ok((await verify(pack.subarray(0, cut), index)).faults.length > 0);
      ok((await verify(pack, index.subarray(0, cut))).faults.length > 0);
    }
  },
);

Deno.test("objects of several megabytes are read through two buffers, and indexed with little room", async () => {
  const root = noise(3_000_000, 1);
  const child = new Uint8Array([...root.subarray(0, 2_000_000), ...noise(1_500_000, 2)]);
  const grandchild = new Uint8Array([...child.subarray(500_000), ...noise(10, 3)]);
  const sibling = new Uint8Array([...noise(2_200_000, 4), ...root.subarray(2_500_000)]);
  const delta = (base: Uint8Array, target: Uint8Array) => createDelta(base, target) ?? new Uint8Array();
  const pack = handmadePack((put) => {
    const rootAt = put.whole("blob", root);
    const childAt = put.delta(rootAt, delta(root, child));
    put.delta(childAt, delta(child, grandchild));
    // After the child's own: the root has given way to it, and is made again.
    put.delta(rootAt, delta(root, sibling));
    put.delta(identify("blob", root), delta(root, new Uint8Array([...root, 1])));
  });
  const expected = [root, child, grandchild, sibling, new Uint8Array([...root, 1])];
  for (const [size, zlib] of [[65536, nodeZlib], [1000, nodeZlib], [1 << 24, pakoZlib]] as const) {
    const { objects, onObject } = seen();
    const { indexed } = await takePack(pack, { size, zlib, onObject, scribble: true });
    equal(indexed.count, 5);
    for (const content of expected) {
      deepEqual(objects.get(toHex(identify("blob", content))), { kind: "blob", size: content.length });
    }
    const reader = open(pack, indexed.index, { zlib });
    for (const content of expected) {
      const rank = reader.index.rankOf(toHex(identify("blob", content))) ?? -1;
      deepEqual(reader.read(rank), { kind: "blob", content });
    }
    const rank = reader.index.rankOf(toHex(identify("blob", grandchild))) ?? -1;
    deepEqual(reader.weigh(rank), {
      kind: "blob",
      size: grandchild.length,
      weight: child.length,
      depth: 2,
    });
    // What is larger than it may be is damage, before it is made.
    throws(() => open(pack, indexed.index, { objectBytes: 3_100_000 }).read(rank), { code: "corrupt" });
  }
});

Deno.test("circles and long chains in a pack on disk end in a typed error", async () => {
  const a = new Uint8Array(20).fill(1);
  const b = new Uint8Array(20).fill(2);
  const delta = Uint8Array.of(1, 1, 1, 65);
  const offsets: number[] = [];
  const pack = handmadePack((put) => {
    offsets.push(put.delta(b, delta), put.delta(a, delta));
  });
  // No honest indexer makes such an index: by hand.
  const { encodePackIndex } = await import("../../store/pack/index_file.ts");
  const index = await encodePackIndex(
    { count: 2, oids: new Uint8Array([...a, ...b]), crcs: [0, 0], offsets },
    pack.subarray(-20),
    newSha1,
  );
  const reader = open(pack, index);
  for (const rank of [0, 1]) {
    throws(() => reader.read(rank), { code: "corrupt", message: /chain of more than 4096/ });
    throws(() => reader.weigh(rank), { code: "corrupt", message: /chain of more than 4096/ });
    throws(() => reader.entryAt(rank), { code: "corrupt" });
  }
  equal((await verify(pack, index)).faults.filter(({ part }) => part === "entry").length, 2);
});

async function gitPack(dir: string): Promise<{ pack: Uint8Array; index: Uint8Array; path: string }> {
  await makeHistory(`${dir}/h.git`, { files: 40, commits: 80, changes: 3, lines: 60 });
  await git(`${dir}/h.git`, "repack", "-adfq", "--depth=30");
  const folder = `${dir}/h.git/objects/pack`;
  const names = await Array.fromAsync(Deno.readDir(folder), (entry) => entry.name);
  const path = `${folder}/${names.find((name) => name.endsWith(".pack"))}`;
  return { path, pack: await Deno.readFile(path), index: await Deno.readFile(path.replace(/pack$/, "idx")) };
}

function open(pack: Uint8Array, index: Uint8Array, options: Partial<ReadPackOptions> = {}): PackReader {
  return readPack({
    name: "test.pack",
    index: decodePackIndex(index),
    size: pack.length,
    map: (offset, length) => pack.subarray(offset, offset + length),
    zlib: nodeZlib,
    ...options,
  });
}

function verify(pack: Uint8Array, index: Uint8Array) {
  return verifyPack({
    size: pack.length,
    map: (offset, length) => pack.subarray(offset, offset + length),
    index,
    zlib: nodeZlib,
    newSha1,
    identify: (kind, content) => hashObject(kind, content, newSha1),
  });
}
