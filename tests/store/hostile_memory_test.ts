/** What a peer declares is not what we allocate: memory follows the bytes that really came. */
import { ok } from "node:assert/strict";
import { StoreError } from "../../store/error.ts";
import { concatBytes, utf8 } from "../../store/object/bytes.ts";
import { hashObject } from "../../store/object/hash.ts";
import { indexPack } from "../../store/pack/index_pack.ts";
import { newSha1 } from "../../store/repository/sha1.ts";
import { nodeZlib } from "../../store/zlib/node.ts";
import { type Bytes, deltaOf, handMadePack, insert, sizeHeader, TYPE } from "./hostile_fixture.ts";
import { HOSTILE_LIMITS, HOSTILE_PACKS } from "./hostile_packs.ts";

const MB = 1 << 20;
/** So wide that only care keeps memory small. */
const wide = {
  packBytes: 2 ** 32,
  objectBytes: 2 ** 31,
  objects: 2 ** 31,
  deltaDepth: 50,
  deltaWork: 2 ** 33,
};

const declared: readonly (readonly [name: string, pack: () => Bytes])[] = [
  ["a blob of a gigabyte", () => headed(concatBytes([sizeHeader(TYPE.blob, 2 ** 30), begun()]))],
  ["a tree of a gigabyte", () => headed(concatBytes([sizeHeader(TYPE.tree, 2 ** 30), begun()]))],
  [
    "a delta of a gigabyte",
    () => headed(concatBytes([sizeHeader(TYPE.refDelta, 2 ** 30), new Uint8Array(20), begun()])),
  ],
  ["two thousand million objects", () => headed(new Uint8Array(), 2 ** 31 - 1)],
];

for (const [name, pack] of declared) {
  Deno.test(`${name}, declared and not sent, takes no memory`, async () => {
    const bytes = pack();
    let grown = 0;
    const before = taken();
    // Asked for more, the receiver has seen all that there is.
    const chunks = async function* () {
      yield bytes;
      grown = taken() - before;
      await Promise.resolve();
    };
    const outcome = await take(chunks(), wide);
    ok(outcome instanceof StoreError && outcome.code === "malformed", String(outcome));
    ok(grown < 8 * MB, `${Math.round(grown / MB)} MB`);
  });
}

Deno.test("no hostile pack takes more memory than the limits allow", async () => {
  for (const { name, pack } of HOSTILE_PACKS) {
    const bytes = pack();
    const before = taken();
    const outcome = await take(
      async function* () {
        yield bytes;
        await Promise.resolve();
      }(),
      HOSTILE_LIMITS,
    );
    // The two largest objects, the pack itself, what is held to save time, and what waits for the collector.
    const grown = taken() - before;
    ok(grown < 96 * MB, `${name}: ${Math.round(grown / MB)} MB`);
    ok(outcome === undefined || outcome instanceof StoreError, name);
  }
});

Deno.test("a delta that declares more than an object may have is refused before anything is made", async () => {
  const base = utf8("base");
  const data = deltaOf(base.length, 2 ** 31 + 1, insert(utf8("x")));
  const before = taken();
  const pack = handMadePack([{ type: TYPE.blob, data: base }, { type: TYPE.ofsDelta, baseEntry: 0, data }]);
  const outcome = await take([pack], wide);
  ok(outcome instanceof StoreError && outcome.code === "limit", String(outcome));
  ok(taken() - before < 16 * MB);
});

/** What buffers take, in use or waiting for the collector. */
function taken(): number {
  const { external, heapTotal } = Deno.memoryUsage();
  return external + heapTotal;
}

/** The first bytes of a deflated stream that goes on. */
function begun(): Bytes {
  return new Uint8Array([0x78, 0x9c, 0xec, 0xc1, 0x01]);
}

function headed(entry: Bytes, count = 1): Bytes {
  const pack = handMadePack([], { count });
  return concatBytes([pack.subarray(0, 12), entry]);
}

async function take(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  limits: typeof HOSTILE_LIMITS,
): Promise<unknown> {
  let length = 0;
  const parts: { at: number; bytes: Uint8Array }[] = [];
  try {
    await indexPack(chunks, {
      limits,
      zlib: nodeZlib,
      newSha1,
      identify: (kind, content) => hashObject(kind, content, newSha1),
      storage: {
        append(bytes) {
          parts.push({ at: length, bytes: bytes.slice() });
          length += bytes.length;
          return Promise.resolve();
        },
        read: (offset, count) => concatBytes(parts.map(({ bytes }) => bytes)).slice(offset, offset + count),
        overwrite: () => {},
        truncate: () => {},
      },
    });
    return undefined;
  } catch (error) {
    return error;
  }
}
