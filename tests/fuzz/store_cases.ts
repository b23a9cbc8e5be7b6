/**
 * What must hold for whatever arrives at the store, tried on mutations of sound things: packs, packets of both services,
 * objects, deltas, indexes, signatures. A case throws when a promise is broken.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createHash, createPrivateKey } from "node:crypto";
import { FlowError, memoryPair } from "../../conduit/mod.ts";
import type { Flow } from "../../conduit/mod.ts";
import { StoreError } from "../../store/error.ts";
import { concatBytes, utf8 } from "../../store/object/bytes.ts";
import {
  composeCommit,
  decodeCommit,
  decodeTag,
  encodeCommit,
  encodeTag,
} from "../../store/object/commit.ts";
import { fsckObject } from "../../store/object/fsck.ts";
import { fsckSpecial } from "../../store/object/fsck_special.ts";
import { hashObject, objectOid } from "../../store/object/hash.ts";
import { oidFromBytes } from "../../store/object/oid.ts";
import { decodeTree, encodeTree } from "../../store/object/tree.ts";
import { applyDelta, deltaSizes } from "../../store/pack/delta.ts";
import { decodePackIndex } from "../../store/pack/index_file.ts";
import { indexPack } from "../../store/pack/index_pack.ts";
import { DELIM, encodePkt, FLUSH } from "../../store/protocol/pkt_line.ts";
import { serveReceivePack } from "../../store/protocol/receive_pack.ts";
import { serveUploadPack } from "../../store/protocol/serve.ts";
import { memoryDevice } from "../../store/repository/device/memory_device.ts";
import { runtimeTools } from "../../store/repository/open.ts";
import { initRepositoryOn } from "../../store/repository/repository.ts";
import { newSha1 } from "../../store/repository/sha1.ts";
import { parseAllowedSigners } from "../../store/signature/allowed_signers.ts";
import { verifyCommitSignature } from "../../store/signature/commit_signature.ts";
import { withSignature } from "../../store/signature/signature_header.ts";
import { signerFrom } from "../../store/signature/signer.ts";
import { wireString, wireUint32 } from "../../store/signature/wire.ts";
import type { Oid, Repository } from "../../store/types.ts";
import { nodeZlib } from "../../store/zlib/node.ts";
import {
  type Bytes,
  copy,
  deltaOf,
  type HandMadeEntry,
  handMadePack,
  insert,
  resealed,
  TYPE,
} from "../store/hostile_fixture.ts";
import { between, pick, type Random } from "./seeded.ts";

/** A kind of trial; each call is one, made of what `random` gives. */
export type StoreCase = (random: Random) => Promise<void> | void;

export async function storeCases(): Promise<Readonly<Record<string, StoreCase>>> {
  const services = await serviceCase();
  return { packs, services, objects, deltas, indexes, specials, signatures: signatureCase() };
}

const limits = {
  packBytes: 1 << 18,
  objectBytes: 1 << 16,
  objects: 200,
  deltaDepth: 20,
  deltaWork: 1 << 20,
};
const person = "T <t@example.test> 1700000000 +0000";
const text = utf8("@ SOA ns1 hostmaster 1 3600 600 86400 300\nwww A 192.0.2.1\n");
const textOid = objectOid("blob", text, newSha1);
const tree = encodeTree([
  { mode: "100644", name: utf8("a.zone"), oid: textOid },
  { mode: "40000", name: utf8("zones"), oid: "4b825dc642cb6eb9a060e54bf8d69288fbee4904" as Oid },
]);
const treeOid = objectOid("tree", tree, newSha1);
const commit = composeCommit({
  tree: treeOid,
  parents: [],
  author: person,
  committer: person,
  message: "x\n",
});
const commitOid = objectOid("commit", commit, newSha1);
const tag = utf8(`object ${commitOid}\ntype commit\ntag v1\ntagger ${person}\n\nmessage\n`);

const entries: readonly HandMadeEntry[] = [
  { type: TYPE.commit, data: commit },
  { type: TYPE.tree, data: tree },
  { type: TYPE.tree, data: new Uint8Array() },
  { type: TYPE.blob, data: text },
  { type: TYPE.tag, data: tag },
  {
    type: TYPE.ofsDelta,
    baseEntry: 3,
    data: deltaOf(text.length, 20, copy(3, 10), insert(utf8("0123456789"))),
  },
  {
    type: TYPE.refDelta,
    base: textOid,
    data: deltaOf(text.length, text.length + 1, copy(0, text.length), insert(utf8("!"))),
  },
];

/** A pack is refused with a `StoreError`, or what comes of it has the ids that its contents have, within the limits. */
async function packs(random: Random): Promise<void> {
  const chosen = Array.from(
    { length: between(random, 0, 8) },
    () => mutatedEntry(random, pick(random, entries)),
  );
  let pack = handMadePack(chosen, random() < 0.1 ? { count: between(random, 0, 9) } : {});
  if (random() < 0.5) {
    pack = resealed(pack, (bytes) => void bytes.set(mutated(random, bytes).subarray(0, bytes.length)));
  }
  if (random() < 0.2) pack = mutated(random, pack);
  let file: Bytes = new Uint8Array();
  let work = 0;
  const seen = new Set<string>();
  try {
    const indexed = await indexPack(pieces(random, pack), {
      limits,
      zlib: nodeZlib,
      newSha1,
      identify: (kind, content) => hashObject(kind, content, newSha1),
      storage: {
        append: (bytes) => Promise.resolve(void (file = concatBytes([file, bytes]))),
        read: (offset, length) => file.slice(offset, offset + length),
        overwrite: (offset, bytes) => file.set(bytes, offset),
        truncate: (length) => void (file = file.slice(0, length)),
      },
      onObject(object, id) {
        ok(object.content.length <= limits.objectBytes);
        work += object.content.length;
        const digest = createHash("sha1").update(`${object.kind} ${object.content.length}\0`).update(
          object.content,
        );
        equal(oidFromBytes(id), digest.digest("hex"));
        seen.add(oidFromBytes(id));
      },
    });
    ok(indexed.received <= limits.objects);
    ok(work <= limits.deltaWork + limits.objectBytes * limits.objects);
    for (let i = 0; i < indexed.received; i++) ok(seen.has(oidFromBytes(indexed.oids, i * 20)));
    equal(decodePackIndex(indexed.index).count, indexed.count);
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    ok(["malformed", "limit"].includes(error.code), `${error.code}: ${error.message}`);
  }
}

function mutatedEntry(random: Random, entry: HandMadeEntry): HandMadeEntry {
  if (random() < 0.5) return entry;
  const data = random() < 0.7 ? mutated(random, entry.data) : entry.data;
  const size = random() < 0.2 ? Math.floor(2 ** (random() * 45)) : data.length;
  const distance = random() < 0.2 ? between(random, 0, 400) : undefined;
  const type = random() < 0.1 ? between(random, 0, 7) : entry.type;
  return { ...entry, type, data, size, ...(distance === undefined ? {} : { distance }) };
}

/** Both services end with a value, are to blame for nothing, and the refs stay where they were. */
async function serviceCase(): Promise<StoreCase> {
  const repository: Repository = await initRepositoryOn(memoryDevice(), runtimeTools);
  for (
    const [kind, content] of [["blob", text], ["tree", new Uint8Array()], ["tree", tree], [
      "commit",
      commit,
    ]] as const
  ) {
    await repository.write(kind, content);
  }
  ok((await repository.refs.move({ name: "refs/heads/main", old: undefined, new: commitOid })).ok);
  const zero = "0".repeat(40);
  const push = (name: string, old: string, to: string) =>
    encodePkt(`${old} ${to} ${name}\0 report-status side-band-64k atomic push-options`);
  const parts = [
    FLUSH,
    DELIM,
    ...["done", "command=fetch", "command=ls-refs", "peel", "symrefs", "deepen 1", "wait-for-done"].map((
      line,
    ) => encodePkt(line)),
    ...[
      `want ${commitOid}`,
      `have ${commitOid}`,
      `want ${textOid}`,
      `shallow ${commitOid}`,
      "filter blob:none",
    ].map(
      (line) => encodePkt(line),
    ),
    encodePkt(`want ${commitOid} multi_ack_detailed side-band-64k ofs-delta thin-pack shallow filter`),
    encodePkt("ref-prefix refs/heads/"),
    encodePkt("deepen-since 1600000000"),
    push("refs/heads/x", zero, commitOid),
    push("refs/heads/main", commitOid, zero),
    push("refs/heads/../../config", zero, commitOid),
    handMadePack(entries),
    handMadePack([]),
  ];
  return async (random) => {
    const stream = concatBytes(Array.from({ length: between(random, 0, 8) }, () => pick(random, parts)));
    const sent = random() < 0.6 ? mutated(random, stream) : stream;
    const version = pick(random, [0, 1, 2] as const);
    const [near, far] = memoryPair({ capacity: 1 << 16 });
    const serving = random() < 0.5
      ? serveReceivePack({
        repository,
        flow: far,
        version,
        admit: ({ moves }) =>
          Promise.resolve({ results: new Map(moves.map(({ name }) => [name, { ok: false, reason: "no" }])) }),
        limits: { pack: limits },
      })
      : serveUploadPack({ repository, flow: far, version });
    const heard = drain(near);
    await send(near, [...pieces(random, sent)]);
    const outcome = await serving;
    far.close();
    await heard;
    near.close();
    if (!outcome.ok) {
      ok(
        ["protocol", "limit", "malformed", "unreachable", "remote"].includes(outcome.error.code),
        String(outcome.error),
      );
    }
    deepEqual([...await repository.refs.list()], [["refs/heads/main", commitOid]]);
  };
}

/** The check of an object's form never throws, and what it finds sound is decoded and encoded to the same bytes. */
function objects(random: Random): void {
  const [kind, content] = pick(
    random,
    [["commit", commit], ["tree", tree], ["tag", tag], ["blob", text]] as const,
  );
  const changed = mutated(random, content);
  if (fsckObject({ kind, content: changed }) !== undefined) return;
  if (kind === "tree") deepEqual(encodeTree(decodeTree(changed)), changed);
  if (kind === "commit") deepEqual(encodeCommit(decodeCommit(changed)), changed);
  if (kind === "tag") deepEqual(encodeTag(decodeTag(changed)), changed);
}

/** A delta makes as much as it declares, or is refused. */
function deltas(random: Random): void {
  const delta = mutated(random, deltaOf(text.length, 30, copy(0, 20), insert(utf8("0123456789"))));
  try {
    const { result } = deltaSizes(delta);
    if (result > limits.objectBytes) return;
    equal(applyDelta(text, delta).length, result);
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
  }
}

const index = await makeIndex();

/** An index is refused, or answers every question about what it lists. */
function indexes(random: Random): void {
  try {
    const decoded = decodePackIndex(mutated(random, index));
    for (let rank = 0; rank < Math.min(decoded.count, 50); rank++) {
      const found = decoded.rankOf(decoded.oidAt(rank));
      ok(found === undefined || found < decoded.count);
    }
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
  }
}

async function makeIndex(): Promise<Bytes> {
  let file: Bytes = new Uint8Array();
  const indexed = await indexPack([handMadePack(entries)], {
    limits,
    zlib: nodeZlib,
    newSha1,
    identify: (kind, content) => hashObject(kind, content, newSha1),
    storage: {
      append: (bytes) => Promise.resolve(void (file = concatBytes([file, bytes]))),
      read: (offset, length) => file.slice(offset, offset + length),
      overwrite: (offset, bytes) => file.set(bytes, offset),
      truncate: (length) => void (file = file.slice(0, length)),
    },
  });
  return indexed.index;
}

/** Files that git obeys, and the list of allowed signers, are read or refused. */
function specials(random: Random): void {
  const modules = utf8(
    '[submodule "a"]\n\tpath = a\n\turl = "https://example.test/a.git" # x\n\tupdate = rebase\n',
  );
  fsckSpecial(pick(random, ["gitmodules", "gitattributes"] as const), mutated(random, modules));
  parseAllowedSigners(
    new TextDecoder("latin1").decode(
      mutated(random, utf8(`a,*@b namespaces="git",valid-before="20300101Z" ${key}\n`)),
    ),
  );
}

const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIP//////////////////////////////////////////";

/** No change of a signed commit passes, unless what was changed is nothing but the armor's line breaks. */
function signatureCase(): StoreCase {
  const signer = signerFrom(privateKeyOf(new Uint8Array(32).fill(7)));
  if (!signer.ok) throw new Error(signer.error);
  const allowed = parseAllowedSigners(`a ${signer.value.publicKey}`);
  if (!allowed.ok) throw new Error(JSON.stringify(allowed.error));
  const signed = withSignature(commit, signer.value.sign(commit));
  const judge = (content: Bytes) =>
    verifyCommitSignature(content, allowed.value, { at: 1_700_000_000, namespace: "git" });
  ok(judge(signed).ok);
  const bare = (content: Bytes) => new TextDecoder("latin1").decode(content).replace(/[ \t\r\n]/g, "");
  return (random) => {
    const changed = mutated(random, signed);
    const passes = judge(changed).ok;
    ok(
      !passes || bare(changed) === bare(signed),
      `passes: ${JSON.stringify(new TextDecoder().decode(changed))}`,
    );
  };
}

/** An OpenSSH private key file out of its secret, so that a seed gives the same signatures in every run. */
function privateKeyOf(secret: Bytes): string {
  // The fixed head of an Ed25519 key in PKCS #8 (RFC 8410 §7).
  const der = concatBytes([Buffer.from("302e020100300506032b657004220420", "hex"), secret]);
  const pair = createPrivateKey({ key: Buffer.from(der), format: "der", type: "pkcs8" }).export({
    format: "jwk",
  });
  const point = Buffer.from(pair.x ?? "", "base64url");
  const blob = concatBytes([wireString("ssh-ed25519"), wireString(point)]);
  const inside = concatBytes([
    new Uint8Array(8),
    blob,
    wireString(concatBytes([secret, point])),
    wireString(""),
  ]);
  const bytes = concatBytes([
    utf8("openssh-key-v1\0"),
    ...["none", "none", ""].map(wireString),
    wireUint32(1),
    wireString(blob),
    wireString(inside),
  ]);
  const label = "OPENSSH PRIVATE KEY";
  return `-----BEGIN ${label}-----\n${Buffer.from(bytes).toString("base64")}\n-----END ${label}-----\n`;
}

/** Bytes changed, cut, doubled, put in or taken out, a few times. */
export function mutated(random: Random, bytes: Bytes): Bytes {
  let now: Bytes = bytes.slice();
  for (let times = between(random, 1, 4); times > 0; times--) {
    const at = between(random, 0, now.length);
    const end = Math.min(now.length, at + between(random, 0, 12));
    const way = random();
    if (way < 0.4 && at < now.length) now[at] ^= 1 << between(random, 0, 7);
    else if (way < 0.6 && at < now.length) now[at] = pick(random, EDGES);
    else if (way < 0.7) now = concatBytes([now.subarray(0, at), now.subarray(end)]);
    else if (way < 0.8) now = concatBytes([now.subarray(0, end), now.subarray(at)]);
    else if (way < 0.9) now = concatBytes([now.subarray(0, at), noise(random, 12), now.subarray(at)]);
    else if (way < 0.93) now = now.slice(0, at);
    else now = concatBytes([now.subarray(0, at), now.subarray(at, end), now.subarray(at)]);
  }
  return now;
}

const EDGES = [0, 1, 0x0a, 0x20, 0x2d, 0x2e, 0x30, 0x7f, 0x80, 0xff];

function noise(random: Random, most: number): Bytes {
  return Uint8Array.from({ length: between(random, 0, most) }, () => between(random, 0, 255));
}

function* pieces(random: Random, bytes: Bytes): Iterable<Uint8Array> {
  for (let at = 0; at < bytes.length;) {
    const end = at + between(random, 1, random() < 0.5 ? 7 : 500);
    yield bytes.slice(at, end);
    at = end;
  }
}

/** A peer that stops listening is one of the things that are tried. */
async function send(flow: Flow, parts: readonly Uint8Array[]): Promise<void> {
  try {
    for (const part of parts) await flow.write(part);
    await flow.end();
  } catch (error) {
    if (!(error instanceof FlowError)) throw error;
  }
}

async function drain(flow: Flow): Promise<void> {
  try {
    while (await flow.read() !== undefined);
  } catch (error) {
    if (!(error instanceof FlowError)) throw error;
  }
}
