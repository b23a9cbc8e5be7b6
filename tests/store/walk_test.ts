/** What long walks are made of: sets of ids, quick looks at trees, pauses; and zlib's kept engines. */
import { deepEqual, equal, ok } from "node:assert/strict";
import fc from "fast-check";
import {
  compareEntries,
  decodeTree,
  encodeTree,
  fsckObject,
  newSha1,
  objectOid,
  utf8,
} from "../../store/mod.ts";
import type { Oid, TreeEntry } from "../../store/mod.ts";
import { isSafeEntryName } from "../../store/object/entry_name.ts";
import { oidFromBytes } from "../../store/object/oid.ts";
import { OidSet } from "../../store/object/oid_set.ts";
import { isPlainTree } from "../../store/object/plain_tree.ts";
import { breather } from "../../store/repository/breather.ts";
import { deflateOnce, keptDeflater, keptInflater } from "../../store/zlib/node.ts";

Deno.test("a set of ids behaves as a set, also where ids have nearly all in common", () => {
  // Few different bytes at few places: many ids that differ in one bit, and many that come again.
  const id = fc.tuple(fc.nat(19), fc.nat(255), fc.nat(3)).map(([place, byte, last]) => {
    const bytes = new Uint8Array(20);
    bytes[place] = byte;
    bytes[19] = last;
    return bytes;
  });
  fc.assert(fc.property(fc.array(id, { maxLength: 600 }), (ids) => {
    const set = new OidSet();
    const model = new Set<Oid>();
    for (const [index, bytes] of ids.entries()) {
      const oid = oidFromBytes(bytes);
      equal(set.has(bytes), model.has(oid));
      // At another place of a larger array, and as text: the same id.
      const longer = new Uint8Array(30);
      longer.set(bytes, 7);
      const isNew = index % 2 === 0 ? set.add(longer, 7) : set.addOid(oid);
      equal(isNew, !model.has(oid));
      model.add(oid);
      ok(set.hasOid(oid));
    }
    equal(set.size, model.size);
    deepEqual([...set.oids()], [...model]);
  }));
});

Deno.test("a tree that looks plain is one that the full check finds sound", () => {
  const blob = objectOid("blob", utf8("x"), newSha1);
  const oid = fc.constantFrom(blob, "0".repeat(40) as Oid, `0000000${"1".repeat(33)}` as Oid);
  const name = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.constantFrom("a", "a.b", "a-b", "a0", "b", "ab", "zone.test", "A", "a,", "a+"),
    },
    fc.constantFrom(
      "",
      ".",
      "..",
      ".git",
      ".GIT",
      "git~1",
      ".git ",
      "a/b",
      ".git\u200c",
      "a\\.git",
      "é",
      ".x",
    ),
  );
  const mode = fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom("100644", "100755", "40000") },
    fc.constantFrom("120000", "160000", "100664", "040000", "100645", "7"),
  );
  const entry = fc.record({ mode, name: name.map(utf8), oid });
  const plainEntry = fc.record({
    mode: fc.constantFrom("100644", "40000"),
    name: fc.constantFrom("a", "a.b", "a-", "b", "a0").map(utf8),
    oid: fc.constant(blob),
  });
  const counts = { plain: 0, not: 0 };
  const check = (entries: TreeEntry[]) => {
    const content = encodeTree(entries);
    const plain = isPlainTree(content);
    plain ? counts.plain++ : counts.not++;
    const names = new Set(entries.map((each) => String(each.name)));
    const sound = names.size === entries.length &&
      entries.every((each, i) =>
        isSafeEntryName(each.name) && /^(100644|100755|40000)$/.test(each.mode) &&
        each.oid !== "0".repeat(40) &&
        (i === 0 || compareEntries(entries[i - 1] as TreeEntry, each) < 0)
      );
    if (plain) ok(sound, JSON.stringify(entries.map((each) => [each.mode, String(each.name)])));
    if (sound) equal(fsckObject({ kind: "tree", content }), undefined);
    // Cut anywhere, it is not plain any more, unless it ends between two entries.
    for (let end = 1; end < content.length; end++) {
      if (isPlainTree(content.subarray(0, end))) decodeTree(content.subarray(0, end));
    }
  };
  for (const each of [entry, plainEntry]) {
    fc.assert(fc.property(fc.array(each, { maxLength: 5 }), check), { numRuns: 300 });
    fc.assert(
      fc.property(fc.array(each, { maxLength: 5 }).map((all) => all.toSorted(compareEntries)), check),
      { numRuns: 300 },
    );
  }
  // Both answers were given, so the quick look is worth its while and not everything passes it.
  ok(counts.plain > 50 && counts.not > 50);
});

Deno.test("a file and a folder of one name are found, whatever stands between them", () => {
  const oid = objectOid("blob", utf8("x"), newSha1);
  const content = encodeTree([
    { mode: "100644", name: utf8("a"), oid },
    { mode: "100644", name: utf8("a-"), oid },
    { mode: "100644", name: utf8("a.b"), oid },
    { mode: "40000", name: utf8("a"), oid },
  ]);
  equal(isPlainTree(content), false);
  equal(fsckObject({ kind: "tree", content })?.id, "duplicateEntries");
});

Deno.test("a loop with pauses in it lets a timer fire", async () => {
  const pause = breather();
  let fired = false;
  setTimeout(() => (fired = true), 0);
  // Ends only if the thread is handed on.
  while (!fired) await pause();
});

Deno.test("the kept engines give what new ones give, at every size around their limits", () => {
  const deflate = keptDeflater();
  const inflate = keptInflater();
  ok(deflate !== undefined && inflate !== undefined);
  let noise = 7;
  const random = Uint8Array.from({ length: 70_000 }, () => (noise = Math.imul(noise, 48271) >>> 0) >>> 11);
  for (const size of [0, 1, 100, 16_383, 65_534, 65_535, 65_536, 65_537, 70_000]) {
    for (const content of [random.subarray(0, size), new Uint8Array(size)]) {
      const stream = deflate(content);
      deepEqual(stream, deflateOnce(content));
      deepEqual(inflate(stream, size), { state: "done", output: content.slice(), consumed: stream.length });
    }
  }
});
