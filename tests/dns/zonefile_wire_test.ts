import { deepEqual, equal } from "node:assert/strict";
import fc from "fast-check";
import { nameFrom, nameFromWire, parseZoneFile, parseZoneWire, type Position } from "../../dns/mod.ts";

const ORIGIN = nameFrom("example.test.");

interface Seen {
  owner: string;
  type: number;
  ttl: number;
  rdata: string;
  position: Position;
}

const TEXT = [
  "$TTL 60",
  "@ SOA ns1 hostmaster 1 2 3 4 5",
  "  NS ns1",
  "WWW 300 A 192.0.2.1",
  "www A 192.0.2.2",
  "",
  "$ORIGIN sub.example.test.",
  "www A 192.0.2.3",
  "  ( AAAA",
  "  2001:db8::1 )",
  'a\\.b.c TXT "x y" z',
  "bad..name A 192.0.2.9",
  "  A 192.0.2.9",
  "x A 192.0.2.300",
  "$INCLUDE part",
  "  A 192.0.2.4",
  "other.test. A 192.0.2.5",
  ". A 192.0.2.6",
  "*.wild TYPE65280 \\# 2 abcd",
  "",
].join("\n");

const PART = "  A 192.0.2.7\nin A 192.0.2.8\n";

Deno.test("in wire form a zone file gives the records, places and faults that it gives as text", () => {
  const { records, faults, wire, wireFaults } = both(TEXT);
  deepEqual(wire, records);
  deepEqual(wireFaults, faults);
  equal(records.length, 13);
  equal(faults.length, 2);
});

Deno.test("whatever a zone file holds, both forms agree, and an owner is called the same only when it is", () => {
  const token = fc.constantFrom(
    ...'www mail @ . a.b *.c x\\.y \\065 A AAAA NS IN 60 1h ( ) " ; $ORIGIN $INCLUDE part 192.0.2.1 ::1 sub SOA'
      .split(" "),
    "\n",
    "\n",
    " ",
    "\nwww A 192.0.2.1\n",
    "\n  A 192.0.2.2\n",
  );
  fc.assert(fc.property(fc.array(token, { maxLength: 60 }), (tokens) => {
    const { records, faults, wire, wireFaults } = both(tokens.join(" "));
    deepEqual(wire, records);
    deepEqual(wireFaults, faults);
  }));
});

Deno.test("lines that are written in the plainest way, and those that nearly are, are read as all others", () => {
  const blank = fc.constantFrom(" ", "\t", "  ", "");
  const line = fc.tuple(
    fc.constantFrom(
      "a",
      "b",
      "bb",
      "a.x",
      "b.x",
      "b.b.x",
      "A",
      "@",
      "a.",
      "a..b",
      `${"l".repeat(64)}`,
      "in",
      "60",
      "",
    ),
    blank,
    fc.constantFrom(
      "",
      "",
      "60 ",
      "0 ",
      "1h ",
      "999999999 ",
      "2147483648 ",
      "60\tIN ",
      "IN ",
      "in 60 ",
      "CH ",
      "60 60 ",
    ),
    fc.constantFrom("A", "A", "A", "a", "AAAA", "AA", "TYPE1"),
    blank,
    fc.constantFrom(
      "192.0.2.1",
      "0.0.0.0",
      "255.255.255.255",
      "256.0.0.1",
      "1.2.3",
      "1.2.3.4.5",
      "01.2.3.4",
      "1.2.3.4x",
      "::",
    ),
    fc.constantFrom("\n", "\n", "\n", " \n", "\r\n", " ; c\n", "\r", " x\n", ""),
  ).map((parts) => parts.join(""));
  const other = fc.constantFrom(
    "$TTL 30\n",
    "$ORIGIN x.example.test.\n",
    "$ORIGIN example.test.\n",
    "$INCLUDE part\n",
    "\n",
  );
  fc.assert(
    fc.property(fc.array(fc.oneof({ weight: 6, arbitrary: line }, other), { maxLength: 12 }), (lines) => {
      const { records, faults, wire, wireFaults } = both(lines.join(""));
      deepEqual(wire, records);
      deepEqual(wireFaults, faults);
    }),
    { numRuns: 1000 },
  );
});

Deno.test("a sink of octets ends the reading, in included files too", () => {
  for (const most of [1, 8, 10, 13]) {
    let seen = 0;
    parseZoneWire(input(TEXT), () => ++seen === most ? false : undefined);
    equal(seen, most);
  }
});

function both(text: string) {
  const records: Seen[] = [];
  const faults = parseZoneFile(input(text), ({ owner, type, ttl, rdata }, position) => {
    records.push({ owner, type, ttl, rdata: rdata.toHex(), position });
  });
  const wire: Seen[] = [];
  let lastAbove = "";
  const wireFaults = parseZoneWire(input(text), (entry) => {
    const { type, ttl, rdata, rdataStart, rdataOctets } = entry;
    const owner = nameFromWire(entry.owner, 0)?.name ?? "?";
    if (entry.ownerIsSame) equal(owner, wire.at(-1)?.owner);
    const above = parentOf(entry.owner);
    if (entry.parentIsSame) equal(above, lastAbove);
    lastAbove = above;
    wire.push({
      owner,
      type,
      ttl,
      rdata: rdata.subarray(rdataStart, rdataStart + rdataOctets).toHex(),
      position: entry.position(),
    });
  });
  return { records, faults, wire, wireFaults };
}

/** The name above an owner, octet for octet. */
function parentOf(owner: Uint8Array): string {
  let end = 0;
  while (owner[end] !== 0) end += 1 + owner[end];
  return owner.subarray(Math.min(1 + owner[0], end), end).toHex();
}

function input(text: string) {
  const encoder = new TextEncoder();
  return {
    file: "zone",
    bytes: encoder.encode(text),
    origin: ORIGIN,
    include: (path: string) => path === "part" ? encoder.encode(PART) : undefined,
  };
}
