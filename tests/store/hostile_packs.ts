/** Packs that must not come in, with what must be said of each. The limits are those of `HOSTILE_LIMITS`. */
import { deflateSync } from "node:zlib";
import { concatBytes, utf8 } from "../../store/object/bytes.ts";
import { encodeTree } from "../../store/object/tree.ts";
import type { Oid, PackLimits } from "../../store/types.ts";
import {
  type Bytes,
  copy,
  deltaOf,
  fromHex,
  type HandMadeEntry,
  handMadePack,
  idOf,
  insert,
  resealed,
  TYPE,
} from "./hostile_fixture.ts";

export const HOSTILE_LIMITS: PackLimits = {
  packBytes: 1 << 20,
  objectBytes: 4 << 20,
  objects: 500,
  deltaDepth: 50,
  deltaWork: 64 << 20,
};

export interface HostilePack {
  readonly name: string;
  readonly pack: () => Bytes;
  readonly says: RegExp;
}

/** What git 2.39's own `index-pack --strict` lets in: what only limits forbid, and where we are stricter. */
export const GIT_TAKES: ReadonlySet<string> = new Set([
  "bytes after the checksum",
  "a bomb declared as what it is",
  "a pack of more bytes than allowed",
  "a chain of deltas deeper than allowed",
  "a delta bomb: small deltas, each of which copies much",
  "a tree with a mode that git never writes",
]);

const blob: HandMadeEntry = { type: TYPE.blob, data: utf8("@ SOA ns1 hostmaster 1 3600 600 86400 300\n") };
const ghost = "1234567890".repeat(4);
const megabyte = new Uint8Array(1 << 20);
const sound = () => handMadePack([blob, { type: TYPE.blob, data: utf8("another") }]);

export const HOSTILE_PACKS: readonly HostilePack[] = [
  ...[0, 4, 11, 12, 13, 20, 60].map((length) => ({
    name: `a pack cut off after ${length} bytes`,
    pack: () => sound().slice(0, length),
    says: /ends|cut|short|early|truncated|PACK/,
  })),
  {
    name: "a pack without the end of its checksum",
    pack: () => sound().slice(0, -1),
    says: /ends|cut|short|early/,
  },
  { name: "no pack but text", pack: () => utf8("GET / HTTP/1.1\r\n\r\n".repeat(20)), says: /not a pack/ },
  {
    name: "a pack of version 9",
    pack: () => handMadePack([blob], { version: 9 }),
    says: /unknown version 9/,
  },
  {
    name: "a checksum that does not fit",
    pack: () => handMadePack([blob], { checksum: new Uint8Array(20) }),
    says: /checksum does not fit/,
  },
  {
    name: "bytes after the checksum",
    pack: () => concatBytes([sound(), utf8("more")]),
    says: /bytes after the pack's end/,
  },
  {
    name: "an entry more than announced",
    pack: () => handMadePack([blob, blob], { count: 1 }),
    says: /bytes after the pack's end|checksum/,
  },
  {
    name: "an entry less than announced",
    pack: () => handMadePack([blob], { count: 2 }),
    says: /ends|cut|short|early|unknown type|inflate/,
  },
  {
    name: "four thousand million objects announced",
    pack: () => handMadePack([blob], { count: 0xffffffff }),
    says: /holds 4294967295 objects, more than 500/,
  },
  ...[0, 5].map((type) => ({
    name: `an entry of type ${type}`,
    pack: () => handMadePack([{ ...blob, type }]),
    says: new RegExp(`unknown type ${type}`),
  })),
  {
    name: "a broken zlib stream",
    pack: () =>
      resealed(handMadePack([{ type: TYPE.blob, data: megabyte.subarray(0, 5000) }]), (bytes) => {
        bytes[20] ^= 0xff;
      }),
    says: /does not inflate/,
  },
  {
    name: "a zlib stream whose check value is wrong",
    pack: () => resealed(handMadePack([blob]), (bytes) => bytes[bytes.length - 1] ^= 1),
    says: /does not inflate/,
  },
  {
    name: "a stream that asks for a dictionary",
    pack: () => handMadePack([{ ...blob, stream: fromHex("78bb0000000103000000000001") }]),
    says: /does not inflate/,
  },
  {
    name: "less content than declared",
    pack: () => handMadePack([{ ...blob, size: 100 }]),
    says: /does not inflate/,
  },
  {
    name: "more content than declared",
    pack: () => handMadePack([{ ...blob, size: 3 }]),
    says: /does not inflate/,
  },
  {
    name: "a bomb: one byte declared, a hundred megabytes in the stream",
    pack: () => handMadePack([{ type: TYPE.blob, data: utf8("x"), stream: zeros(100 << 20) }]),
    says: /does not inflate/,
  },
  {
    name: "a bomb declared as what it is",
    pack: () =>
      handMadePack([{ type: TYPE.blob, data: utf8("x"), size: 100 << 20, stream: zeros(100 << 20) }]),
    says: /declares 104857600 bytes, more than 4194304/,
  },
  ...[2 ** 32, 2 ** 50].map((size) => ({
    name: `an object of ${size} bytes declared`,
    pack: () => handMadePack([{ ...blob, size }]),
    says: new RegExp(`declares ${size} bytes, more than`),
  })),
  {
    name: "a size beyond all numbers",
    pack: () =>
      concatBytes([
        utf8("PACK"),
        fromHex("0000000200000001bfffffffffffffffffffffffffffffff7f"),
        new Uint8Array(40),
      ]),
    says: /beyond all bounds|header without an end|does not fit/,
  },
  {
    name: "a pack of more bytes than allowed",
    pack: () => {
      const noise = new Uint8Array(2 << 20);
      for (let at = 0; at < noise.length; at += 1 << 16) {
        crypto.getRandomValues(noise.subarray(at, at + (1 << 16)));
      }
      return handMadePack([{ type: TYPE.blob, data: noise }]);
    },
    says: /larger than 1048576 bytes/,
  },
  {
    name: "a delta on nothing",
    pack: () => handMadePack([{ type: TYPE.refDelta, base: ghost, data: deltaOf(5, 1, insert(utf8("x"))) }]),
    says: /have no base/,
  },
  {
    name: "deltas that name each other in a circle",
    // That ids of deltas fit each other is beyond everybody; two that hang on ids which nothing makes is what is left.
    pack: () =>
      handMadePack([
        { type: TYPE.refDelta, base: "ab".repeat(20), data: deltaOf(5, 5, copy(0, 5)) },
        { type: TYPE.refDelta, base: "cd".repeat(20), data: deltaOf(5, 5, copy(0, 5)) },
      ]),
    says: /2 deltas of the pack have no base \(missing, or in a circle\)/,
  },
  {
    name: "a delta on itself",
    pack: () => handMadePack([{ type: TYPE.ofsDelta, distance: 0, data: deltaOf(5, 5, copy(0, 5)) }]),
    says: /no base|in a circle|base/,
  },
  {
    name: "a delta on what stands before the pack",
    pack: () =>
      handMadePack([blob, { type: TYPE.ofsDelta, distance: 5000, data: deltaOf(5, 5, copy(0, 5)) }]),
    says: /no base in the pack/,
  },
  {
    name: "a delta on the middle of an entry",
    pack: () => handMadePack([blob, { type: TYPE.ofsDelta, distance: 7, data: deltaOf(5, 5, copy(0, 5)) }]),
    says: /no base|have no base|base/,
  },
  ...deltaFaults(),
  {
    name: "a chain of deltas deeper than allowed",
    pack: () => {
      const base = utf8("base");
      const entries: HandMadeEntry[] = [{ type: TYPE.blob, data: base }];
      for (let i = 0; i < 60; i++) {
        entries.push({
          type: TYPE.ofsDelta,
          baseEntry: i,
          data: deltaOf(4 + i, 5 + i, ...(i === 0 ? [copy(0, 4)] : [copy(0, 4 + i)]), insert(utf8("x"))),
        });
      }
      return handMadePack(entries);
    },
    says: /chain of more than 50 deltas/,
  },
  {
    name: "a delta bomb: small deltas, each of which copies much",
    pack: () => {
      const piece = 60_000;
      const base = new Uint8Array(piece);
      const entries: HandMadeEntry[] = [{ type: TYPE.blob, data: base }];
      for (let i = 0; i < 100; i++) {
        const copies = Array.from({ length: 60 }, () => copy(0, piece));
        const mark = utf8(String(i).padStart(3, "0"));
        const data = deltaOf(piece, 60 * piece + mark.length, ...copies, insert(mark));
        entries.push({ type: TYPE.ofsDelta, baseEntry: 0, data });
      }
      return handMadePack(entries);
    },
    says: /more than 67108864 bytes/,
  },
  {
    name: "a delta that declares a giant",
    pack: () =>
      handMadePack([blob, { type: TYPE.ofsDelta, baseEntry: 0, data: deltaOf(blob.data.length, 2 ** 40) }]),
    says: /more than 4194304|declares/,
  },
  ...fsckFaults(),
];

function deltaFaults(): HostilePack[] {
  const size = blob.data.length;
  const cases: [string, Bytes, RegExp][] = [
    ["an empty delta", new Uint8Array(), /delta/],
    ["a delta for a base of another size", deltaOf(size + 1, 1, insert(utf8("x"))), /delta|base/],
    ["a delta that makes less than it declares", deltaOf(size, 9, insert(utf8("x"))), /delta/],
    ["a delta that makes more than it declares", deltaOf(size, 1, insert(utf8("xyz"))), /delta/],
    ["a delta that copies from beyond its base", deltaOf(size, 10, copy(size - 5, 10)), /delta/],
    ["a delta that inserts what is not there", deltaOf(size, 100, new Uint8Array([100, 1, 2])), /delta/],
    ["a delta with the reserved instruction", deltaOf(size, 1, new Uint8Array([0])), /delta/],
    ["a delta that ends in a copy cut short", deltaOf(size, 10, new Uint8Array([0xff, 1])), /delta/],
  ];
  return cases.map(([name, data, says]) => ({
    name,
    pack: () => handMadePack([blob, { type: TYPE.ofsDelta, baseEntry: 0, data }]),
    says,
  }));
}

function fsckFaults(): HostilePack[] {
  const id = idOf("blob", blob.data) as Oid;
  const tree = (mode: string, name: string, oid = id): HandMadeEntry => ({
    type: TYPE.tree,
    data: encodeTree([{ mode, name: utf8(name), oid }]),
  });
  const modules: HandMadeEntry = { type: TYPE.blob, data: utf8('[submodule "a"]\n\turl = -u./payload\n') };
  const modulesId = idOf("blob", modules.data) as Oid;
  const cases: [string, HandMadeEntry[], RegExp][] = [
    ["a tree with .git", [blob, tree("100644", ".git")], /hasDotgit/],
    ["a tree with .GIT behind a sign nobody sees", [blob, tree("100644", ".G\u200cIT")], /hasDotgit/],
    ["a tree with git~1", [blob, tree("40000", "git~1")], /hasDotgit/],
    ["a tree that climbs up", [blob, tree("40000", "..")], /hasDotdot/],
    ["a tree with a slash in a name", [blob, tree("100644", "../../hooks/update")], /fullPathname/],
    ["a tree with a mode that git never writes", [blob, tree("100777", "a")], /badFilemode/],
    ["a link in the place of .gitmodules", [blob, tree("120000", ".gitmodules")], /gitmodulesSymlink/],
    [
      ".gitmodules with an option for a URL",
      [modules, tree("100644", ".gitmodules", modulesId)],
      /gitmodulesUrl/,
    ],
    [
      "the same by its short name, the tree first",
      [tree("100644", "GITMOD~1", modulesId), modules],
      /gitmodulesUrl/,
    ],
    ["a commit that is none", [{ type: TYPE.commit, data: utf8("tree x\n") }], /badTreeSha1|unterminated/],
    ["a tag that is none", [{ type: TYPE.tag, data: utf8("object\n\n") }], /missingObject/],
    ["a tree that is none", [{ type: TYPE.tree, data: utf8("100644 a\0short") }], /badTree/],
  ];
  return cases.map(([name, entries, says]) => ({ name, pack: () => handMadePack(entries), says }));
}

/** Zeros, deflated: a thousandth of them. */
function zeros(count: number): Bytes {
  return new Uint8Array(deflateSync(new Uint8Array(count)));
}
