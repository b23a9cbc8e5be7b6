import { deepEqual, equal, match, ok } from "node:assert/strict";
import fc from "fast-check";
import { compareNames, nameFrom, ROOT } from "../../dns/name.ts";
import { compareRdata, recordToText } from "../../dns/rr/rdata.ts";
import type { Fault, Name, ResourceRecord } from "../../dns/types.ts";
import {
  type IncludeReader,
  parseZoneFile,
  positionAt,
  type ZoneFileLimits,
} from "../../dns/zonefile/parse.ts";
import { printZone } from "../../dns/zonefile/print.ts";
import { record } from "./rr_arbitraries.ts";

const origin = nameFrom("example.test.");
const encoder = new TextEncoder();

interface Outcome {
  readonly records: ResourceRecord[];
  readonly lines: string[];
  readonly faults: Fault[];
  /** `line:column code` of each fault, with the file in front where it is not the outermost. */
  readonly places: string[];
  /** `line:column` of each record. */
  readonly positions: string[];
}

interface Settings {
  readonly origin?: Name;
  readonly include?: IncludeReader;
  readonly limits?: Partial<ZoneFileLimits>;
}

function read(text: string | Uint8Array, settings: Settings = {}): Outcome {
  const bytes = typeof text === "string" ? encoder.encode(text) : text;
  const records: ResourceRecord[] = [];
  const positions: string[] = [];
  const faults = parseZoneFile({ file: "z", bytes, origin, ...settings }, (record, position) => {
    records.push(record);
    positions.push(`${position.line}:${position.column}`);
  });
  return {
    records,
    lines: records.map(recordToText),
    faults,
    places: faults.map(({ position, code }) =>
      `${position.file === "z" ? "" : `${position.file}:`}${position.line}:${position.column} ${code}`
    ),
    positions,
  };
}

Deno.test("the example of RFC 1035 section 5.3 is read as it is explained there", () => {
  const text = `@   IN  SOA     VENERA      Action\\.domains (
                                 20     ; SERIAL
                                 7200   ; REFRESH
                                 600    ; RETRY
                                 3600000; EXPIRE
                                 60)    ; MINIMUM

        300     NS      A.ISI.EDU.
                NS      VENERA
                NS      VAXA
                MX      10      VENERA
                MX      20      VAXA

A       A       26.3.0.103

VENERA  A       10.1.0.52
        A       128.9.0.32

VAXA    A       10.2.0.27
        A       128.9.0.33
`;
  const { lines, faults } = read(text, { origin: nameFrom("isi.edu.") });
  deepEqual(faults, []);
  deepEqual(lines, [
    "isi.edu. 60 IN SOA VENERA.isi.edu. Action\\.domains.isi.edu. 20 7200 600 3600000 60",
    "isi.edu. 300 IN NS A.ISI.EDU.",
    "isi.edu. 300 IN NS VENERA.isi.edu.",
    "isi.edu. 300 IN NS VAXA.isi.edu.",
    "isi.edu. 300 IN MX 10 VENERA.isi.edu.",
    "isi.edu. 300 IN MX 20 VAXA.isi.edu.",
    "a.isi.edu. 300 IN A 26.3.0.103",
    "venera.isi.edu. 300 IN A 10.1.0.52",
    "venera.isi.edu. 300 IN A 128.9.0.32",
    "vaxa.isi.edu. 300 IN A 10.2.0.27",
    "vaxa.isi.edu. 300 IN A 128.9.0.33",
  ]);
});

Deno.test("TTL and class stand in either order, with units and in any case", () => {
  const { lines, faults } = read(
    [
      "a 300 IN A 192.0.2.1",
      "a in 1H30m A 192.0.2.2",
      "a CLASS1 1w2d3h4m5s type1 192.0.2.3",
      "\t1h30 A 192.0.2.4",
      "in in a 192.0.2.5",
      "1 2 A 192.0.2.6",
      "a 2147483647 A 192.0.2.7",
    ].join("\n"),
  );
  deepEqual(faults, []);
  deepEqual(lines, [
    "a.example.test. 300 IN A 192.0.2.1",
    "a.example.test. 5400 IN A 192.0.2.2",
    "a.example.test. 788645 IN A 192.0.2.3",
    "a.example.test. 3630 IN A 192.0.2.4",
    "in.example.test. 3630 IN A 192.0.2.5",
    "1.example.test. 2 IN A 192.0.2.6",
    "a.example.test. 2147483647 IN A 192.0.2.7",
  ]);
});

Deno.test("a record without TTL takes $TTL, else the last one stated, else the SOA its minimum", () => {
  const soa = "@ SOA a b 1 2 3 4 55\n";
  equal(read(soa).records[0].ttl, 55);
  equal(read(`$TTL 7\n${soa}`).records[0].ttl, 7);
  equal(read(`x 9 A 192.0.2.1\n${soa}`).records[1].ttl, 9);
  equal(read(`$TTL 7\nx 9 A 192.0.2.1\n${soa}`).records[1].ttl, 7);
  deepEqual(read(`${soa} NS a\nx 5 A 192.0.2.1\n A 192.0.2.2`).places, ["2:2 no-ttl"]);
});

Deno.test("$ORIGIN moves relative names, and the same text is then another name", () => {
  const { lines, faults } = read(
    "$TTL 1\n@ A 192.0.2.1\n$ORIGIN sub\n@ A 192.0.2.2\nwww A 192.0.2.3\n CNAME @\n$origin other.test.\nwww A 192.0.2.4\n$ORIGIN .\nwww A 192.0.2.5\n. A 192.0.2.6\n",
  );
  deepEqual(faults, []);
  deepEqual(lines, [
    "example.test. 1 IN A 192.0.2.1",
    "sub.example.test. 1 IN A 192.0.2.2",
    "www.sub.example.test. 1 IN A 192.0.2.3",
    "www.sub.example.test. 1 IN CNAME sub.example.test.",
    "www.other.test. 1 IN A 192.0.2.4",
    "www. 1 IN A 192.0.2.5",
    ". 1 IN A 192.0.2.6",
  ]);
});

Deno.test("owners are folded and unescaped, data keeps its case", () => {
  const { lines, faults } = read(
    "$TTL 1\nA\\.B.C NS Ns.Example.TEST.\nA\\046b.c NS \\119ww\n\\$x\\@ A 192.0.2.1\n*.W A 192.0.2.1\n",
  );
  deepEqual(faults, []);
  deepEqual(lines, [
    "a\\.b.c.example.test. 1 IN NS Ns.Example.TEST.",
    "a\\.b.c.example.test. 1 IN NS www.example.test.",
    "\\$x\\@.example.test. 1 IN A 192.0.2.1",
    "*.w.example.test. 1 IN A 192.0.2.1",
  ]);
});

Deno.test("CRLF, tabs, comments, blank lines and a missing last newline change nothing", () => {
  const plain = '$TTL 1\n@ SOA a b ( 1 2\n 3 4 5 )\n TXT "a;b" c\nx A 192.0.2.1\n';
  const dressed =
    '; first\r\n$TTL\t1 ; ttl\r\n\r\n@\tSOA a b ( 1 ; (one\r\n2\r\n\t3 4 5 ) ; "end\r\n   ; nothing\r\n\tTXT "a;b"\tc;d\r\n  \r\nx\tA\t192.0.2.1';
  deepEqual(read(dressed).faults, []);
  deepEqual(read(dressed).lines, read(plain).lines);
});

Deno.test("quoted strings keep their bytes, semicolons and blanks; adjoining ones are two", () => {
  const raw = Uint8Array.of(
    ...encoder.encode('$TTL 1\nx TXT "'),
    0xc3,
    0xbc,
    0xff,
    0x09,
    ...encoder.encode('" "" "a""b" c\\;d \\"e "\\\\ \\065"'),
  );
  const { records, faults } = read(raw);
  deepEqual(faults, []);
  deepEqual(
    records[0].rdata,
    Uint8Array.of(4, 0xc3, 0xbc, 0xff, 9, 0, 1, 97, 1, 98, 3, 99, 59, 100, 2, 34, 101, 3, 92, 32, 65),
  );
});

Deno.test("unknown types and generic data of known types are read (RFC 3597)", () => {
  const { lines, faults } = read(
    "$TTL 1\nx TYPE731 \\# 6 abcdef (\n01 23 45 )\ny TYPE1 \\# 4 0A000001\ny A \\# 4 0a 00 0 002\nz TYPE62347 \\# 0\nm MX \\# 3 000a00\n",
  );
  deepEqual(faults, []);
  deepEqual(lines, [
    "x.example.test. 1 IN TYPE731 \\# 6 ABCDEF012345",
    "y.example.test. 1 IN A 10.0.0.1",
    "y.example.test. 1 IN A 10.0.0.2",
    "z.example.test. 1 IN TYPE62347 \\# 0",
    "m.example.test. 1 IN MX 10 .",
  ]);
});

Deno.test("each record has the place of its owner, and offsets of its parts", () => {
  const text = '$TTL 1\n\n  ( \n a A 192.0.2.1 )\nb  300 IN A ( ; x\n 192.0.2.2 )\n   TXT "q"\n';
  const bytes = encoder.encode(text);
  const spans: string[][] = [];
  parseZoneFile(
    { file: "z", bytes: encoder.encode('a 1 A 192.0.2.1\n  2 TXT "q"'), origin },
    (_, position, span) => {
      const source = 'a 1 A 192.0.2.1\n  2 TXT "q"';
      spans.push([
        source.slice(span.start, span.end),
        source.slice(span.type, span.type + 1),
        source.slice(span.rdata),
      ]);
      equal(position.file, "z");
    },
  );
  deepEqual(spans, [["a 1 A 192.0.2.1\n", "A", '192.0.2.1\n  2 TXT "q"'], ['  2 TXT "q"', "T", '"q"']]);
  const places = read(text.replace("  ( \n a A", "( \n a A"));
  deepEqual(places.positions, ["4:2", "5:1", "7:4"]);
  deepEqual(positionAt("z", bytes, text.indexOf("b  300")), { file: "z", line: 5, column: 1 });
  deepEqual(positionAt("z", bytes, text.indexOf("300")), { file: "z", line: 5, column: 4 });
});

Deno.test("every fault has its line, column and code, and what is right around it is read", () => {
  const lines: [string, string | undefined][] = [
    ["$TTL 300", undefined],
    [" A 192.0.2.1", "2 no-owner"],
    ["a A 192.0.2.300", "5 bad-address"],
    ["A 192.0.2.1", "3 bad-ttl"],
    ["a AA 192.0.2.1", "3 unknown-type"],
    ["a", "2 missing-type"],
    ["a IN 300", "9 missing-type"],
    ["a IN IN A 192.0.2.1", "6 unknown-type"],
    ["a 1 2 A 192.0.2.1", "5 unknown-type"],
    ["a 2147483648 A 192.0.2.1", "3 bad-ttl"],
    ["a 1x A 192.0.2.1", "3 bad-ttl"],
    ["a CH A 192.0.2.1", "3 class-not-in"],
    ["a AXFR", "3 meta-type"],
    ["a TSIG x", "3 meta-type"],
    ["a MX 10", "8 missing-field"],
    ["a MX 70000 b", "6 bad-number"],
    ["a NS b c", "8 extra-field"],
    ["a..b A 192.0.2.1", "1 bad-name"],
    [" A 192.0.2.1", undefined],
    [`${"x".repeat(64)} A 192.0.2.1`, "1 bad-name"],
    ['"q" A 192.0.2.1', "1 bad-name"],
    ["bücher A 192.0.2.1", "1 bad-name"],
    ['a TXT "abc', "7 unclosed-quote"],
    ["a TXT b)", "8 stray-parenthesis"],
    ["a TXT (( b ))", "8 nested-parenthesis"],
    ['a TXT x"y"', "7 bad-string"],
    ["a TXT a\u0000b", "7 bad-string"],
    ["$ORIGIN", "8 bad-directive"],
    ["$ORIGIN a b", "11 bad-directive"],
    ["$ORIGIN a..b", "9 bad-name"],
    ["$TTL x", "6 bad-ttl"],
    ["$INCLUDE x", "10 include-refused"],
    ["$GENERATE 1-9 a$ A 192.0.2.$", "1 unsupported-directive"],
    ["$FOO", "1 unknown-directive"],
    ["good A 192.0.2.1", undefined],
  ];
  const { places, records, faults } = read(lines.map(([line]) => line).join("\n"));
  deepEqual(places, lines.flatMap(([, fault], i) => fault === undefined ? [] : [`${i + 1}:${fault}`]));
  deepEqual(records.map(recordToText), ["good.example.test. 300 IN A 192.0.2.1"]);
  for (const { message, severity } of faults) {
    equal(severity, "error");
    ok(/^\P{Cc}*$/u.test(message) && !message.endsWith("."), message);
  }
});

Deno.test("a fault in a line of a parenthesis is at that line", () => {
  deepEqual(read("@ 1 SOA a b (\n 1 ; serial\n x\n 3 4 5 )\n").places, ["3:2 bad-number"]);
  deepEqual(read("@ 1 SOA a b (\n 1\n 2 3 4 )\n").places, ["3:7 missing-field"]);
});

Deno.test("a parenthesis left open costs its own record only", () => {
  const { places, lines } = read(
    "$TTL 1\n@ SOA a b ( 1 2 3\n    4 5\nx A 192.0.2.1\ny TXT ( a\n  b )\nz A 192.0.2.2\n",
  );
  deepEqual(places, ["2:11 nested-parenthesis"]);
  deepEqual(lines, [
    "x.example.test. 1 IN A 192.0.2.1",
    'y.example.test. 1 IN TXT "a" "b"',
    "z.example.test. 1 IN A 192.0.2.2",
  ]);
  const open = read("$TTL 1\nx TXT ( a\n  b\ny A 192.0.2.1\nz A 192.0.2.2");
  deepEqual(open.places, ["2:7 unclosed-parenthesis"]);
  equal(open.lines.length, 2);
  // Unindented continuation lines are right as long as the parenthesis is closed.
  deepEqual(read("$TTL 1\nx TXT ( a\nb\n)\n").places, []);
});

Deno.test("a byte order mark is a warning and the file is read", () => {
  const { places, faults, lines } = read("\ufeff$TTL 1\nx A 192.0.2.1\n");
  deepEqual(places, ["1:1 byte-order-mark"]);
  equal(faults[0].severity, "warning");
  equal(lines.length, 1);
});

Deno.test("$INCLUDE reads through the reader it is given; origin and owner come back", () => {
  const files: Record<string, string> = {
    "sub.inc": "www A 192.0.2.2\n A 192.0.2.3\n$ORIGIN deep\nx A 192.0.2.4\n",
    "bad.inc": "y A\n\n z",
  };
  const asked: string[] = [];
  const include: IncludeReader = (path, from) => {
    asked.push(`${from}>${path}`);
    if (path === "../etc") return { reason: "it is outside the repository" };
    return path in files ? encoder.encode(files[path]) : undefined;
  };
  const { lines, places, faults } = read(
    '$TTL 1\na A 192.0.2.1\n$INCLUDE sub.inc sub\n A 192.0.2.5\n$INCLUDE "bad.inc" ; x\n$INCLUDE none\n$INCLUDE ../etc\nb A 192.0.2.6\n',
    { include },
  );
  deepEqual(lines, [
    "a.example.test. 1 IN A 192.0.2.1",
    "www.sub.example.test. 1 IN A 192.0.2.2",
    "www.sub.example.test. 1 IN A 192.0.2.3",
    "x.deep.sub.example.test. 1 IN A 192.0.2.4",
    "a.example.test. 1 IN A 192.0.2.5",
    "b.example.test. 1 IN A 192.0.2.6",
  ]);
  deepEqual(places, [
    "bad.inc:1:4 missing-field",
    "bad.inc:3:2 unknown-type",
    "6:10 include-not-found",
    "7:10 include-refused",
  ]);
  match(faults[3].message, /outside the repository/);
  deepEqual(asked, ["z>sub.inc", "z>bad.inc", "z>none", "z>../etc"]);
});

Deno.test("include loops are named, deep and large includes bounded", () => {
  const files: Record<string, string> = { a: "$INCLUDE b\n", b: "x A 192.0.2.1\n$INCLUDE a\n" };
  const loop = read("$TTL 1\n$INCLUDE a\n", { include: (path) => encoder.encode(files[path]) });
  deepEqual(loop.places, ["b:2:10 include-loop"]);
  match(loop.faults[0].message, /a includes b includes a/);
  const deep = read("$INCLUDE 1\n", { include: (path) => encoder.encode(`$INCLUDE ${Number(path) + 1}\n`) });
  deepEqual(deep.places, ["10:1:10 include-too-deep"]);
  let reads = 0;
  const many = read("$INCLUDE x\n".repeat(100_000), {
    include: () => {
      reads++;
      return new Uint8Array(1000);
    },
    limits: { includeBytes: 100_000 },
  });
  equal(many.places.at(-1)?.split(" ")[1], "include-too-large");
  ok(reads < 100);
});

Deno.test("faults are capped and the cap is told", () => {
  const { faults } = read("a A x\n".repeat(100_000));
  equal(faults.length, 1_001);
  equal(faults[1_000].code, "more-faults");
  equal(faults[1_000].position.line, 1_001);
  equal(read("a A x\n".repeat(10), { limits: { faults: 3 } }).faults.length, 4);
});

Deno.test("hostile files give faults, bounded in size and without an exception", () => {
  const cases: [Uint8Array | string, string][] = [
    ["a".repeat(20_000_000), "bad-name,missing-type"],
    [`a ${"b".repeat(20_000_000)}`, "unknown-type"],
    [`a 1 TXT "${"b".repeat(20_000_000)}"`, "rdata-too-long"],
    [`a 1 A ${"1".repeat(20_000_000)}`, "bad-address"],
    [`a 1 MX ${"1".repeat(20_000_000)} b`, "bad-number"],
    [`a ${"1".repeat(20_000_000)} A 192.0.2.1`, "bad-ttl"],
    [`a 1 NS ${"b.".repeat(10_000_000)}`, "bad-name"],
    [`a 1 TXT ${"b ".repeat(1_000_000)}`, "too-many-tokens"],
    [`a 1 TYPE9 \\# 4 ${"b ".repeat(150_000)}`, "rdata-too-long"],
    ["(".repeat(1_000_000), "nested-parenthesis"],
    ["(\n".repeat(1_000_000), "nested-parenthesis"],
    [")\n".repeat(100_000), "stray-parenthesis"],
    ['"\n'.repeat(100_000), "unclosed-quote"],
    ['a (\nb\n"\n'.repeat(100_000), "unclosed-parenthesis"],
    ["\\\n".repeat(100_000), "bad-name"],
    ["$", "unknown-directive"],
    ["$\n", "unknown-directive"],
    [Uint8Array.of(0), "bad-name"],
    [new Uint8Array(1_000_000), "bad-name"],
    [new Uint8Array(100_000).fill(0xff), "bad-name"],
    ["a 1 \rA 192.0.2.1", "unknown-type"],
  ];
  for (const [text, codes] of cases) {
    const { faults } = read(text);
    for (const code of codes.split(",")) {
      ok(faults.some((fault) => fault.code === code), `${code}: ${faults[0]?.code}`);
    }
    ok(faults.every(({ message }) => message.length < 600), codes);
  }
});

Deno.test("random bytes are read or refused, and what is read is well placed", () => {
  const piece = fc.constantFrom(
    "a",
    "@",
    "$TTL 1",
    "$ORIGIN",
    "$INCLUDE",
    "IN",
    "300",
    "A",
    "192.0.2.1",
    "TXT",
    '"',
    "\\",
    "(",
    ")",
    ";",
    "\n",
    "\r\n",
    " ",
    "\t",
    ".",
    "\u0000",
  );
  const soup = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc.array(piece, { maxLength: 60 }).map((all) => encoder.encode(all.join(" "))),
    fc.array(piece, { maxLength: 60 }).map((all) => encoder.encode(all.join(""))),
  );
  fc.assert(
    fc.property(soup, (bytes) => {
      const lineCount = bytes.filter((byte) => byte === 10).length + 1;
      const faults = parseZoneFile({ file: "z", bytes, origin }, (_, position, span) => {
        ok(position.line >= 1 && position.line <= lineCount && position.column >= 1);
        ok(span.start <= span.type && span.type <= span.rdata && span.rdata <= span.end);
      });
      for (const { position } of faults) {
        ok(position.line >= 1 && position.line <= lineCount && position.column >= 1);
      }
    }),
    { numRuns: 3000 },
  );
});

Deno.test("a printed zone is read back as the same records, whatever they hold", () => {
  fc.assert(
    fc.property(fc.array(record, { maxLength: 12 }), fc.constantFrom(origin, ROOT), (records, base) => {
      const text = printZone(base, records);
      const back = read(text, { origin: base });
      deepEqual(back.faults, [], text);
      deepEqual(sorted(back.records), sorted(records), text);
    }),
  );
});

Deno.test("a printed zone is tidy: SOA and apex first, owners once and relative, one $TTL", () => {
  const { records } = read(
    "$TTL 300\nwww A 192.0.2.2\nwww A 192.0.2.1\n@ 60 A 192.0.2.9\n@ NS ns1\nout.test. TXT x\n@ SOA ns1 h 1 7200 900 1209600 300\n",
  );
  equal(
    printZone(origin, records),
    `$ORIGIN example.test.
$TTL 300
@            IN SOA ns1.example.test. h.example.test. (
    1          ; serial
    7200       ; refresh
    900        ; retry
    1209600    ; expire
    300        ; negative TTL
    )
             IN NS  ns1.example.test.
          60 IN A   192.0.2.9
www          IN A   192.0.2.1
             IN A   192.0.2.2
out.test.    IN TXT "x"
`,
  );
});

function sorted(records: readonly ResourceRecord[]): ResourceRecord[] {
  return [...records].sort((a, b) =>
    compareNames(a.owner, b.owner) || a.type - b.type || compareRdata(a.rdata, b.rdata) || a.ttl - b.ttl
  );
}
