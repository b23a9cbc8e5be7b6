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
  const wireFaults = parseZoneWire(input(text), (entry) => {
    const { type, ttl, rdata, rdataStart, rdataOctets } = entry;
    const owner = nameFromWire(entry.owner, 0)?.name ?? "?";
    if (entry.ownerIsSame) equal(owner, wire.at(-1)?.owner);
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

function input(text: string) {
  const encoder = new TextEncoder();
  return {
    file: "zone",
    bytes: encoder.encode(text),
    origin: ORIGIN,
    include: (path: string) => path === "part" ? encoder.encode(PART) : undefined,
  };
}
