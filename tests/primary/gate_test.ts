import { deepEqual, equal, ok } from "node:assert/strict";
import { nameFrom } from "../../dns/mod.ts";
import { checkFiles, faultLine } from "../../primary/mod.ts";
import { includedPath } from "../../primary/gate/included_path.ts";
import { readZone } from "../../primary/gate/read_zone.ts";
import type { TreeFiles } from "../../primary/gate/tree_files.ts";
import type { Oid } from "../../store/mod.ts";

const HEAD = [
  "$TTL 300",
  "@ IN SOA ns1 hostmaster 1 3600 600 86400 300",
  "@ NS ns1",
  "ns1 A 192.0.2.1",
  "",
].join("\n");

Deno.test("every kind of fault is found, with file, line and column", async () => {
  const rows: [string, string, string[]][] = [
    ["good", HEAD, []],
    ["syntax", HEAD + "www A 192.0.2.300\n", ["5:7 error"]],
    ["no SOA", "@ 300 NS ns1.other.test.\n", ["1:1 error no-soa"]],
    ["an empty file", "", ["1:1 error no-soa"]],
    ["two SOAs", HEAD + "@ SOA ns1 hostmaster 2 3600 600 86400 300\n", ["5:1 error several-soa"]],
    ["the same SOA twice", HEAD + "@ SOA ns1 hostmaster 1 3600 600 86400 300\n", []],
    ["SOA below the apex", HEAD + "sub SOA ns1 hostmaster 2 3600 600 86400 300\n", [
      "5:1 error soa-not-at-apex",
    ]],
    ["out of zone", HEAD + "www.other.test. A 192.0.2.1\n", ["5:1 error out-of-zone"]],
    ["CNAME first", HEAD + "www CNAME ns1\nwww A 192.0.2.1\n", ["6:1 error cname-and-other-data"]],
    ["CNAME last", HEAD + "www A 192.0.2.1\nwww CNAME ns1\n", ["6:1 error cname-and-other-data"]],
    ["CNAME at the apex", HEAD + "@ CNAME ns1\n", ["5:1 error cname-and-other-data"]],
    ["two CNAMEs", HEAD + "www CNAME ns1\nwww CNAME ns2\n", ["6:1 error several-cname"]],
    ["below DNAME", HEAD + "sub DNAME other.test.\nx.sub A 192.0.2.1\n", ["6:1 error below-dname"]],
    ["no NS", "$TTL 1\n@ SOA a. b. 1 1 1 1 1\nwww A 192.0.2.1\n", ["2:1 error no-ns"]],
    ["two TTLs", HEAD + "www 60 A 192.0.2.1\nwww 61 A 192.0.2.2\n", ["6:1 warning ttl-mismatch"]],
    ["no glue", HEAD + "sub NS ns.sub\n", ["5:1 warning missing-glue"]],
    ["glue", HEAD + "sub NS ns.sub\nns.sub A 192.0.2.1\n", []],
    ["a name server below another cut", HEAD + "sub NS ns.else\nelse NS ns.other.test.\n", []],
    ["a name server under a wildcard", HEAD + "sub NS ns.pool\n*.pool A 192.0.2.1\n", []],
    ["NS to a CNAME", HEAD + "sub NS alias\nalias CNAME ns1\n", ["5:1 warning ns-is-alias"]],
    ["MX to a CNAME", HEAD + "@ MX 10 alias\nalias CNAME ns1\n", ["5:1 warning mx-is-alias"]],
    ["MX without an address", HEAD + "@ MX 10 mail\n", []],
  ];
  for (const [what, text, expected] of rows) {
    const { faults } = await check({ "zones/example.test.zone": text });
    deepEqual(
      faults.map(({ position, severity, code }, at) =>
        `${position.line}:${position.column} ${severity}${
          expected[at]?.split(" ").length === 2 ? "" : ` ${code}`
        }`
      ),
      expected,
      what,
    );
    for (const fault of faults) equal(fault.position.file, "zones/example.test.zone");
  }
});

Deno.test("a fault reads as git's remote lines are read", async () => {
  const { faults } = await check({ "zones/example.test": HEAD + "www CNAME ns1\nwww A 192.0.2.1\n" });
  equal(
    faults.map(faultLine).join("\n"),
    "zones/example.test:6:1: error: www.example.test. has A and also a CNAME in line 5; a CNAME stands alone",
  );
});

Deno.test("a hundred faults in several files are all said, in order", async () => {
  const files: Record<string, string> = {};
  for (let file = 0; file < 10; file++) {
    let text = HEAD;
    for (let line = 0; line < 10; line++) text += `w${line} A not-an-address\n`;
    files[`z${file}.test.zone`] = text;
  }
  const { faults } = await check(files);
  equal(faults.length, 100);
  deepEqual(faults.slice(0, 2).map((fault) => [fault.position.file, fault.position.line]), [
    ["z0.test.zone", 5],
    ["z0.test.zone", 6],
  ]);
});

Deno.test("a zone in two files is a fault of the second", async () => {
  const { faults } = await check({
    "a/example.test.zone": HEAD,
    "zones/example.test": HEAD,
    "example.test": HEAD,
  });
  deepEqual(faults.map((fault) => [fault.position.file, fault.code]), [
    ["example.test", "duplicate-zone"],
    ["zones/example.test", "duplicate-zone"],
  ]);
});

Deno.test("files that are no zones are left alone, even when their names are domain names", async () => {
  const { faults, zones } = await check({
    "README.md":
      "# Zones\n\nEach file looks like this:\n\n```\nexample.test. 300 IN SOA ns1.example.test. a. 1 1 1 1 1\n```\n",
    "LICENSE": "Permission is granted ( to all",
    "Makefile": "all:\n\techo SOA\n",
    "other/example.test": "not a zone",
    "_hidden": "\0\0\0",
    ["__proto__"]: "x",
    "constructor": "SOA",
  });
  deepEqual(faults, []);
  deepEqual(zones, []);
});

Deno.test("a bare domain name with an SOA record of its own is a zone file, faults and all", async () => {
  const good = await check({ "zones/example.test": HEAD, ["__proto__"]: HEAD });
  deepEqual([...good.zones].sort(), ["__proto__.", "example.test."]);
  const late = await check({ "zones/example.test": "$TTL 3x\n" + HEAD });
  ok(late.faults.length > 0);
  deepEqual(late.zones, ["example.test."]);
  const included = await check({ "example.test": "$INCLUDE parts/soa\n", "parts/soa": HEAD });
  deepEqual(included.zones, [], "an SOA record that is included is not the file's own");
});

Deno.test("a .zone file whose name is no domain name is a fault", async () => {
  const { faults } = await check({ "a..b.zone": HEAD });
  deepEqual(faults.map((fault) => fault.code), ["bad-zone-name"]);
});

Deno.test("includes are read from the repository, relative to their file or to its root, and never from outside", async () => {
  const zone = (line: string) => ({
    "zones/example.test.zone": `${HEAD}${line}\n`,
    "shared/mail": "@ MX 10 mx.other.test.\n",
  });
  deepEqual((await check(zone("$INCLUDE ../shared/mail"))).faults, []);
  deepEqual((await check(zone("$INCLUDE /shared/mail"))).faults, []);
  for (const path of ["../../etc/passwd", "/../etc/passwd", "missing", "..", "../../../../etc/passwd"]) {
    const { faults } = await check(zone(`$INCLUDE ${path}`));
    equal(faults.length, 1, path);
    equal(faults[0].position.line, 5);
    equal(faults[0].severity, "error");
  }
  const fault = await check({
    "zones/example.test.zone": `${HEAD}$INCLUDE part\n`,
    "zones/part": "x A no\n",
  });
  deepEqual(fault.faults.map((each) => [each.position.file, each.position.line]), [["zones/part", 1]]);
  const loop = await check({ "zones/example.test.zone": `${HEAD}$INCLUDE example.test.zone\n` });
  equal(loop.faults.length, 1);
});

Deno.test("paths of includes are resolved without ever leaving the root", () => {
  equal(includedPath("a", "zones/x"), "zones/a");
  equal(includedPath("./a//b", "x"), "a/b");
  equal(includedPath("../a", "zones/x"), "a");
  equal(includedPath("../../a", "zones/x"), undefined);
  equal(includedPath("/a", "zones/deep/x"), "a");
  equal(includedPath("", "x"), undefined);
});

Deno.test("a zone remembers every file it was read from, also one that was not there", async () => {
  const files = tree({
    "example.test.zone": `${HEAD}$INCLUDE a\n$INCLUDE b\n`,
    a: "$INCLUDE c\n",
    c: "x A 192.0.2.1\n",
  });
  const zone = await readZone(files, "example.test.zone", nameFrom("example.test."));
  deepEqual([...zone.inputs.keys()].sort(), ["a", "b", "c", "example.test.zone"]);
  equal(zone.inputs.get("b"), undefined);
});

Deno.test("links and submodules are no zone files and cannot be included", async () => {
  const files = tree({ "example.test.zone": HEAD, "link.test.zone": "../../etc/passwd" });
  const entries = new Map(files.entries);
  entries.set("link.test.zone", { mode: "120000", oid: "1".padStart(40, "0") as Oid });
  const zone = await readZone({ ...files, entries }, "link.test.zone", nameFrom("link.test."));
  deepEqual(zone.faults.map((fault) => fault.code), ["missing"]);
});

Deno.test("keys files hold keys and nothing else", async () => {
  const good = await check({ "_keys": "client._update.example.test. DNSKEY 0 3 163 c2VjcmV0c2VjcmV0\n" });
  deepEqual(good.faults.filter((fault) => fault.severity === "error"), []);
  const bad = await check({ "example.test._keys": "client._update. 60 A 192.0.2.1\n" });
  deepEqual(bad.faults.map((fault) => fault.code), ["no-key"]);
});

function check(files: Record<string, string>) {
  return checkFiles(
    new Map(Object.entries(files).map(([path, text]) => [path, new TextEncoder().encode(text)])),
  );
}

function tree(files: Record<string, string>): TreeFiles {
  const paths = Object.keys(files);
  const id = (at: number) => at.toString(16).padStart(40, "0") as Oid;
  return {
    entries: new Map(paths.map((path, at) => [path, { mode: "100644", oid: id(at) }])),
    read: (oid) => Promise.resolve(new TextEncoder().encode(files[paths[parseInt(oid, 16)]])),
  };
}
