import { deepEqual, equal, ok } from "node:assert/strict";
import fc from "fast-check";
import { createDelta, deltaIndex } from "../../store/pack/create_delta.ts";
import { applyDelta, deltaApplier } from "../../store/pack/delta.ts";
import { utf8 } from "../../store/object/bytes.ts";
import { generator } from "./pack_fixture.ts";

/** A base, and a target made of pieces of it with other bytes between. */
const related = fc.record({
  base: fc.uint8Array({ maxLength: 2000 }),
  parts: fc.array(fc.tuple(fc.nat(2000), fc.nat(600), fc.uint8Array({ maxLength: 300 })), { maxLength: 10 }),
}).map(({ base, parts }) => ({
  base,
  target: Uint8Array.from(parts.flatMap(([at, size, more]) => [...base.subarray(at, at + size), ...more])),
}));

Deno.test("a delta of any two contents applied to the one gives the other", () => {
  const pairs = fc.oneof(
    related,
    fc.record({ base: fc.uint8Array({ maxLength: 300 }), target: fc.uint8Array({ maxLength: 300 }) }),
  );
  fc.assert(
    fc.property(pairs, ({ base, target }) => {
      const delta = createDelta(base, target);
      ok(delta !== undefined);
      deepEqual(applyDelta(base, delta), target);
      deepEqual(createDelta(deltaIndex(base), target), delta);
    }),
    { numRuns: 1000 },
  );
});

Deno.test("a delta is found within its bound, or none", () => {
  fc.assert(fc.property(related, ({ base, target }) => {
    const delta = createDelta(base, target) ?? new Uint8Array();
    deepEqual(createDelta(base, target, { maxSize: delta.length }), delta);
    for (const maxSize of [0, 10, delta.length - 1]) {
      if (maxSize < delta.length) equal(createDelta(base, target, { maxSize }), undefined);
    }
  }));
});

Deno.test("what was moved, inserted and repeated costs few bytes", () => {
  const random = generator(3);
  const lines = Array.from({ length: 400 }, (_, i) => `host${i} 300 IN A 192.0.2.${random(256)}`);
  const base = utf8(lines.join("\n"));
  const moved = utf8([...lines.slice(200), 'new 300 IN TXT "x"', ...lines.slice(0, 200)].join("\n"));
  ok((createDelta(base, moved)?.length ?? Infinity) < 80);
  // A base that repeats itself: many equal blocks, and still a short delta and little time.
  const dull = new Uint8Array(1_000_000);
  ok((createDelta(dull, dull)?.length ?? Infinity) < 200);
});

Deno.test("copies reach offsets and sizes of every length", () => {
  const random = generator(5);
  const base = Uint8Array.from({ length: 17_000_000 }, () => random(256));
  for (const at of [0, 16, 300, 70_000, 16_800_000]) {
    for (const size of [16, 255, 256, 65535, 65536, 65537, 150_000]) {
      const target = base.slice(at, at + size);
      const delta = createDelta(base.subarray(at & ~15, at + size + 32), target) ?? new Uint8Array();
      deepEqual(applyDelta(base.subarray(at & ~15, at + size + 32), delta), target);
    }
  }
  const far = base.slice(16_900_000, 16_900_100);
  const delta = createDelta(base, far) ?? new Uint8Array();
  ok(delta.length < 20);
  deepEqual(applyDelta(base, delta), far);
});

Deno.test("a delta in pieces of any size makes the same, or is refused the same", () => {
  const pushAll = (base: Uint8Array, delta: Uint8Array, size: number): Uint8Array | undefined => {
    const applier = deltaApplier(base, (length) => new Uint8Array(length + 7));
    let rest = new Uint8Array();
    for (let at = 0; at < delta.length; at += size) {
      const piece = Uint8Array.from([...rest, ...delta.subarray(at, at + size)]);
      rest = piece.slice(applier.push(piece));
    }
    // Half an instruction is left over: the delta ends in it.
    return rest.length > 0 ? undefined : applier.finish();
  };
  fc.assert(fc.property(related, fc.integer({ min: 1, max: 40 }), ({ base, target }, size) => {
    deepEqual(pushAll(base, createDelta(base, target) ?? new Uint8Array(), size), target);
  }));
  const base = new Uint8Array(10);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 30 }), fc.integer({ min: 1, max: 9 }), (bytes, size) => {
      const delta = Uint8Array.from([10, 20, ...bytes]);
      const outcome = (work: () => Uint8Array | undefined) => {
        try {
          return { made: work() };
        } catch (error) {
          return { code: (error as { code?: unknown }).code };
        }
      };
      const whole = outcome(() => applyDelta(base, delta));
      const pieces = outcome(() => pushAll(base, delta, size));
      if (whole.made !== undefined) deepEqual(pieces, whole);
      else ok(pieces.code === "malformed" || pieces.made === undefined);
    }),
    { numRuns: 2000 },
  );
});
