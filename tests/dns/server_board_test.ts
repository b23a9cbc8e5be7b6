import { deepEqual, equal, ok } from "node:assert/strict";
import {
  answerQuery,
  createAnswerContext,
  createImageBoard,
  type ImageSet,
  nameToWire,
} from "../../dns/mod.ts";
import { readBoard } from "../../dns/server/board.ts";
import { createImagePacker, createImageUnpacker } from "../../dns/server/image_packing.ts";
import { zoneOf } from "./answer_zones.ts";

Deno.test("versions of a zone share their memory on the other side too, and only what is new is sent", () => {
  const heap = new SharedArrayBuffer(1 << 16);
  const first = version(1, heap);
  const second = version(2, heap);
  const packer = createImagePacker([first]);
  const unpacker = createImageUnpacker<ReturnType<typeof version>>();
  const everything = packer.everything();
  equal(everything.pieces.length, 2);
  const [one] = unpacker.unpack(structuredClone({ ...everything, dropped: [] }));
  deepEqual(one, first);

  const change = packer.change([second]);
  deepEqual(change.images.map(({ id }) => id), [2]);
  equal(change.pieces.length, 1);
  equal(change.dropped.length, 1);
  ok(change.pieces[0].memory !== heap);
  const [two] = unpacker.unpack(structuredClone(change));
  deepEqual(two, second);
  equal(two.bytes.buffer, one.bytes.buffer);
  equal(two.words.buffer, one.bytes.buffer);
  equal(two.view.buffer, one.bytes.buffer);
  equal(two.view.byteLength, heap.byteLength);

  equal(packer.change([second]).images.length, 0);
  equal(packer.change([]).dropped.length, 2);
  deepEqual(packer.everything(), { images: [], pieces: [] });
});

Deno.test("what was written into shared memory later is seen through what was sent before", () => {
  const heap = new SharedArrayBuffer(64);
  const unpacker = createImageUnpacker<ReturnType<typeof version>>();
  const { images, pieces } = createImagePacker([version(1, heap)]).everything();
  const [image] = unpacker.unpack({ images, pieces, dropped: [] });
  new Uint8Array(heap)[7] = 42;
  equal(image.bytes[7], 42);
});

Deno.test("a reader sees the newest set of all, however many it slept through, and one that comes late sees it too", () => {
  const board = createImageBoard([zone("a.test.", 1), zone("b.test.", 1)]);
  const early = board.seat();
  const reader = readBoard(early.seat);
  deepEqual(serials(reader.begin()), ["a.test. 1", "b.test. 1"]);
  reader.done();
  const kept = zone("b.test.", 2);
  for (let serial = 2; serial <= 50; serial++) board.publish([zone("a.test.", serial), kept]);
  board.publish([kept, zone("c.test.", 1)]);
  deepEqual(serials(reader.begin()), ["b.test. 2", "c.test. 1"]);
  reader.done();
  const late = board.seat();
  const second = readBoard(late.seat);
  deepEqual(serials(second.begin()), ["b.test. 2", "c.test. 1"]);
  second.done();
  board.publish([]);
  deepEqual(serials(second.begin()), []);
  second.done();
  early.leave();
  late.leave();
});

function zone(origin: string, serial: number) {
  return zoneOf(origin, `@ 60 SOA a b ${serial} 2 3 4 5\nwww 60 A 192.0.2.1\n`);
}

/** Origins and serials, as they are answered. */
function serials(set: ImageSet): string[] {
  return set.zones.map(({ origin }) => {
    const query = Uint8Array.of(0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...nameToWire(origin), 0, 6, 0, 1);
    const out = new Uint8Array(512);
    const length = answerQuery(set, query, query.length, out, createAnswerContext("udp"));
    return `${origin} ${out[length - 17]}`;
  });
}

/** What is packed does not depend on what the fields are called. */
function version(id: number, heap: SharedArrayBuffer) {
  return {
    id,
    origin: "test.",
    originWire: Uint8Array.of(4, 116, 101, 115, 116, 0),
    bytes: new Uint8Array(heap),
    words: new Int32Array(heap, 0, 8),
    view: new DataView(heap),
    patches: new Int32Array(new SharedArrayBuffer(16)),
    denial: { kind: "nsec", cells: new Int32Array(heap, 8, 2), salt: Uint8Array.of(1, 2) },
    empty: undefined,
    pair: [0, [id]],
  };
}
