import { equal, ok } from "node:assert/strict";
import fc from "fast-check";
import { serialGreater } from "../../dns/mod.ts";
import { servedSerial } from "../../primary/serial/served_serial.ts";

const serial = () =>
  fc.oneof(
    fc.integer({ min: 0, max: 0xffffffff }),
    fc.constantFrom(0, 1, 0x7fffffff, 0x80000000, 0xffffffff),
  );

Deno.test("the served serial is the file's when that is higher, else one more than before", () => {
  const rows: [number | undefined, number, boolean, number][] = [
    [undefined, 7, true, 7],
    [5, 7, true, 7],
    [7, 7, true, 8],
    [9, 7, true, 10],
    [9, 7, false, 9],
    [5, 7, false, 5],
    [0xffffffff, 5, true, 5],
    [0xfffffff0, 0xffffffff, true, 0xffffffff],
    // Exactly 2^31 apart is not higher (RFC 1982 §3.2).
    [0, 0x80000000, true, 1],
    [1, 0x80000002, true, 2],
  ];
  for (const [previous, file, changed, expected] of rows) {
    equal(servedSerial({ previous, file, changed }), expected, JSON.stringify([previous, file, changed]));
  }
});

Deno.test("the served serial rises exactly when something changes, over the end of the number space too", () => {
  fc.assert(fc.property(serial(), serial(), fc.boolean(), (previous, file, changed) => {
    const next = servedSerial({ previous, file, changed });
    if (changed) ok(serialGreater(next, previous));
    else equal(next, previous);
  }));
});
