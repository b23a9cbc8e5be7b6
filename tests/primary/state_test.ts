import { deepEqual, equal, throws } from "node:assert/strict";
import fc from "fast-check";
import { nameFrom, type ResourceRecord } from "../../dns/mod.ts";
import { openState, type State } from "../../primary/mod.ts";
import { decodeRecords, encodeRecords } from "../../primary/state/record_blob.ts";
import type { Oid } from "../../store/mod.ts";

const ZONE = nameFrom("example.test.");
const OLD = "1".repeat(40) as Oid;
const NEW = "2".repeat(40) as Oid;

Deno.test("a commit is seen whole and undone whole", () => {
  const state = memory();
  const first = state.commit(change({ serial: 1, main: OLD }));
  state.settle(first);
  const second = state.commit({
    ...change({ serial: 2, main: NEW }),
    journal: [{ zone: ZONE, from: 1, to: 2, deleted: [txt("a")], added: [txt("b")] }],
  });
  deepEqual(state.pending(), [{ txn: second, moves: [{ name: "refs/heads/main", old: OLD, new: NEW }] }]);
  equal(state.zones().get(ZONE)?.serial, 2);
  equal(state.journal(ZONE, 1, 2)?.length, 1);
  state.undo(second);
  deepEqual(state.pending(), []);
  equal(state.zones().get(ZONE)?.serial, 1);
  deepEqual(state.served(), { main: OLD, machine: undefined });
  equal(state.journal(ZONE, 1, 2), undefined);
  state.close();
});

Deno.test("the journal gives an unbroken chain or nothing", () => {
  const state = memory();
  for (const [from, to] of [[1, 2], [2, 3], [3, 5], [5, 6]]) {
    const delta = { zone: ZONE, from, to, deleted: [txt(`${from}`)], added: [txt(`${to}`)] };
    state.settle(state.commit({ ...change({ serial: to, main: NEW }), journal: [delta] }));
  }
  deepEqual(state.journal(ZONE, 2, 6)?.map((delta) => [delta.from, delta.to]), [[2, 3], [3, 5], [5, 6]]);
  equal(state.journal(ZONE, 4, 6), undefined);
  equal(state.journal(ZONE, 1, 7), undefined);
  state.settle(state.commit({ ...change({ serial: 6, main: NEW }), forgotten: [ZONE] }));
  equal(state.journal(ZONE, 5, 6), undefined);
  state.close();
});

Deno.test("the journal keeps a bounded number of steps", () => {
  const state = memory();
  for (let serial = 1; serial <= 300; serial++) {
    const delta = { zone: ZONE, from: serial, to: serial + 1, deleted: [], added: [] };
    state.settle(state.commit({ ...change({ serial, main: NEW }), journal: [delta] }));
  }
  equal(state.journal(ZONE, 301 - 256, 301)?.length, 256);
  equal(state.journal(ZONE, 301 - 257, 301), undefined);
  state.close();
});

Deno.test("collections keep documents apart, by any key", () => {
  const state = memory();
  const acme = state.collection("acme");
  const other = state.collection("other");
  acme.put("__proto__", { order: 1, list: [1, "x", null] });
  acme.put("b", 2);
  acme.put("b", 3);
  other.put("b", "else");
  deepEqual(acme.get("__proto__"), { order: 1, list: [1, "x", null] });
  deepEqual([...acme.list()], [["__proto__", { order: 1, list: [1, "x", null] }], ["b", 3]]);
  equal(acme.delete("b"), true);
  equal(acme.delete("b"), false);
  equal(acme.get("b"), undefined);
  equal(other.get("b"), "else");
  throws(() => acme.put("c", undefined), TypeError);
  state.close();
});

Deno.test("a database of a newer program is put aside, not overwritten", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const path = `${dir}/state.db`;
    const open = (aside: string[]) =>
      openState({
        path,
        putAside: (file) => {
          Deno.renameSync(file, `${file}.aside`);
          return `${file}.aside`;
        },
        report: (message) => aside.push(message),
      });
    open([]).close();
    const { DatabaseSync } = await import("../../primary/state/sqlite.ts");
    const db = new DatabaseSync(path);
    db.exec("INSERT INTO schema_version (version) VALUES (1000)");
    db.close();
    const said: string[] = [];
    const state = open(said);
    equal(state.recovered, true);
    equal(said.length, 1);
    state.close();
    equal((await Deno.stat(`${path}.aside`)).isFile, true);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("a folder that is not there is an error, not a reason to begin anew", () => {
  throws(() =>
    openState({
      path: "/nonexistent/folder/state.db",
      putAside: () => {
        throw new Error("put aside");
      },
      report: () => {},
    }), /unable to open/);
});

Deno.test("records survive the journal's form", () => {
  const record = fc.record({
    owner: fc.constantFrom(nameFrom("."), ZONE, nameFrom("a\\.b\\000.example.test.")),
    type: fc.nat(65535),
    class: fc.constant(1),
    ttl: fc.nat(0x7fffffff),
    rdata: fc.uint8Array({ maxLength: 40 }),
  });
  fc.assert(fc.property(fc.array(record), (records) => {
    const decoded = decodeRecords(encodeRecords(records));
    deepEqual(decoded.map(plain), records.map(plain));
  }));
  const bytes = encodeRecords([txt("hello")]);
  for (let length = 1; length < bytes.length; length++) {
    throws(() => decodeRecords(bytes.subarray(0, length)), RangeError);
  }
});

function plain(record: ResourceRecord) {
  return { ...record, rdata: [...record.rdata] };
}

function memory(): State {
  return openState({
    path: ":memory:",
    putAside: () => {
      throw new Error("put aside");
    },
    report: () => {},
  });
}

function change(what: { serial: number; main: Oid }) {
  return {
    moves: [{ name: "refs/heads/main", old: OLD, new: NEW }],
    served: { main: what.main, machine: undefined },
    zones: new Map([[ZONE, { serial: what.serial, file: "example.test.zone", heldAt: undefined }]]),
    forgotten: [],
    journal: [],
  };
}

function txt(text: string): ResourceRecord {
  const bytes = new TextEncoder().encode(text);
  return { owner: ZONE, type: 16, class: 1, ttl: 60, rdata: new Uint8Array([bytes.length, ...bytes]) };
}
