import { deepEqual, equal, ok, throws } from "node:assert/strict";
import { packWindows } from "../../store/pack/pack_windows.ts";
import { generator } from "./pack_fixture.ts";

function counted(bytes: Uint8Array) {
  const reads: number[] = [];
  return {
    reads,
    read(offset: number, length: number) {
      reads.push(length);
      return bytes.slice(offset, offset + length);
    },
  };
}

function noise(size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  const random = generator(3);
  for (let i = 0; i < size; i++) bytes[i] = random(256);
  return bytes;
}

Deno.test("windows give the pack's bytes wherever they are asked for, before and after it is held whole", () => {
  const bytes = noise(3_000_001);
  const { read, reads } = counted(bytes);
  const map = packWindows(read, bytes.length);
  const random = generator(5);
  for (let i = 0; i < 2000; i++) {
    const offset = random(bytes.length);
    const length = Math.min(1 + random(i % 10 === 0 ? 100_000 : 3000), bytes.length - offset);
    deepEqual(map(offset, length), bytes.subarray(offset, offset + length));
  }
  equal(reads.filter((length) => length === bytes.length).length, 1);
  equal(reads.at(-1), bytes.length, "nothing is read any more once it is held whole");
});

Deno.test("reads that lie near each other cost one window, and never the whole pack", () => {
  const bytes = noise(1_000_000);
  const { read, reads } = counted(bytes);
  const map = packWindows(read, bytes.length);
  for (let offset = 500_000; offset < 520_000; offset += 100) map(offset, 100);
  ok(reads.length <= 2 && reads.every((length) => length <= 65536), `reads of ${reads.join(", ")} bytes`);
});

Deno.test("a pack too large to be held whole is read in windows for ever", () => {
  const reads: number[] = [];
  const size = 2 ** 31;
  const map = packWindows((_, length) => {
    reads.push(length);
    return new Uint8Array(length);
  }, size);
  const random = generator(9);
  for (let i = 0; i < 10_000; i++) map(random(size - 100), 100);
  ok(reads.length > 5000 && Math.max(...reads) <= 65536);
});

Deno.test("a file shorter than its pack gives short bytes and is never taken for whole", () => {
  const bytes = noise(500_000);
  const map = packWindows(counted(bytes).read, 1_000_000);
  const random = generator(4);
  for (let i = 0; i < 500; i++) {
    const offset = random(999_000);
    equal(map(offset, 1000).length, Math.max(0, Math.min(1000, bytes.length - offset)));
  }
});

Deno.test("a sector that cannot be read costs what lies in its windows, and the whole is tried once", () => {
  const bytes = noise(1_000_000);
  const bad = 600_000;
  let whole = 0;
  const map = packWindows((offset, length) => {
    if (length === bytes.length) whole++;
    if (offset <= bad && bad < offset + length) throw new Error("bad sector");
    return bytes.slice(offset, offset + length);
  }, bytes.length);
  for (let round = 0; round < 3; round++) {
    for (let offset = 0; offset < 500_000; offset += 10_000) {
      deepEqual(map(offset, 500), bytes.subarray(offset, offset + 500));
    }
    throws(() => map(bad - 100, 500), /bad sector/);
  }
  equal(whole, 1);
});
