/** The pure machines: framing, bands, advertisements, requests, the command line, ancestry. */
import { deepEqual, equal, ok, throws } from "node:assert/strict";
import fc from "fast-check";
import { composeCommit, newSha1, objectOid, parseGitCommand, StoreError, utf8 } from "../../../store/mod.ts";
import type { GitObject, Oid } from "../../../store/mod.ts";
import { readAcknowledgment } from "../../../store/protocol/acknowledgment.ts";
import { AdvertisementReader, encodeAdvertisement } from "../../../store/protocol/advertisement.ts";
import { CommitGraph, isAncestor, reachableAmong } from "../../../store/protocol/commit_graph.ts";
import { shellQuote } from "../../../store/protocol/git_command.ts";
import {
  DELIM,
  encodePkt,
  FLUSH,
  lineOf,
  MAX_PAYLOAD,
  PktDecoder,
  RESPONSE_END,
} from "../../../store/protocol/pkt_line.ts";
import type { Pkt } from "../../../store/protocol/pkt_line.ts";
import { PushRequestReader } from "../../../store/protocol/receive_request.ts";
import { selectObjects } from "../../../store/protocol/selection.ts";
import { decodeBand, encodeBand, terminalText } from "../../../store/protocol/side_band.ts";
import { parseFetch, V2RequestReader, WantReader } from "../../../store/protocol/upload_request.ts";
import { requestedVersion } from "../../../store/protocol/requested_version.ts";

const A = "a".repeat(40) as Oid;
const B = "b".repeat(40) as Oid;

Deno.test("packets survive any division of the stream into chunks", () => {
  const packet = fc.oneof(
    fc.uint8Array({ maxLength: 300 }).map((payload): Pkt => ({ kind: "data", payload })),
    fc.constantFrom<Pkt>({ kind: "flush" }, { kind: "delim" }, { kind: "response-end" }),
  );
  fc.assert(
    fc.property(
      fc.array(packet),
      fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 }),
      (packets, cuts) => {
        const wire = join(packets.map(encode));
        const decoder = new PktDecoder();
        const found: Pkt[] = [];
        for (let at = 0, cut = 0; at < wire.length; cut++) {
          const length = cuts[cut % cuts.length];
          decoder.push(wire.subarray(at, at + length));
          at += length;
          for (let pkt = decoder.next(); pkt !== undefined; pkt = decoder.next()) found.push(pkt);
        }
        deepEqual(found.map(encode), packets.map(encode));
        equal(decoder.pending, 0);
      },
    ),
  );
});

Deno.test("lengths that no packet has are refused, and nothing is allocated for one that is only announced", () => {
  for (const length of ["0003", "fff1", "ffff", "zzzz", "-001", "00 4", "\0\0\0\0"]) {
    const decoder = new PktDecoder();
    decoder.push(utf8(`${length}rest`));
    throws(() => decoder.next(), (error) => error instanceof StoreError && error.code === "protocol");
  }
  const decoder = new PktDecoder();
  decoder.push(utf8("fff0only this"));
  equal(decoder.next(), undefined);
  equal(decoder.pending, 13);
  throws(() => encodePkt(new Uint8Array(MAX_PAYLOAD + 1)), StoreError);
  equal(encodePkt(new Uint8Array(MAX_PAYLOAD)).length, 65520);
  deepEqual(encodePkt(""), utf8("0004"));
});

Deno.test("side bands carry bytes of any length and refuse a band that does not exist", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 5000 }), fc.integer({ min: 1, max: 995 }), (bytes, room) => {
      const decoder = new PktDecoder();
      decoder.push(encodeBand(1, bytes, room));
      const parts: Uint8Array[] = [];
      for (let pkt = decoder.next(); pkt !== undefined; pkt = decoder.next()) {
        const item = decodeBand(pkt);
        ok(item !== "end" && item.band === 1 && item.bytes.length <= room);
        parts.push(item.bytes);
      }
      deepEqual(join(parts), bytes);
    }),
  );
  equal(decodeBand({ kind: "flush" }), "end");
  throws(() => decodeBand({ kind: "data", payload: new Uint8Array([4]) }), StoreError);
  throws(() => decodeBand({ kind: "data", payload: new Uint8Array() }), StoreError);
  throws(() => decodeBand({ kind: "delim" }), StoreError);
  equal(terminalText("a\r\nb\x1b[2Jc"), "a\nb?[2Jc\n");
});

Deno.test("an advertisement is read as it was written; names that no ref may have are left out", () => {
  const reader = new AdvertisementReader(100);
  const refs = [
    { name: "HEAD", oid: A },
    { name: "refs/heads/main", oid: A },
    { name: "refs/heads/../../etc/passwd", oid: A },
    { name: "refs/tags/v1", oid: B, peeled: A },
  ];
  const result = feedAll(
    reader,
    join([...encodeAdvertisement(1, refs, ["ofs-delta", "symref=HEAD:refs/heads/main"])]),
  );
  equal(result?.version, 1);
  deepEqual([...result?.refs.refs ?? []], [["HEAD", A], ["refs/heads/main", A], ["refs/tags/v1", B]]);
  deepEqual([...result?.refs.peeled ?? []], [["refs/tags/v1", A]]);
  deepEqual([...result?.refs.symrefs ?? []], [["HEAD", "refs/heads/main"]]);
  ok(result?.capabilities.has("ofs-delta"));
});

Deno.test("an advertisement that is an error, garbage or endless is refused as what it is", () => {
  const code = (wire: Uint8Array, max = 10) => codeOf(() => feedAll(new AdvertisementReader(max), wire));
  equal(code(encodePkt("ERR go away\n")), "remote");
  equal(code(encodePkt("HTTP/1.1 200 OK\n")), "protocol");
  equal(code(encodePkt("shallow main")), "protocol");
  equal(code(DELIM), "protocol");
  equal(code(join(Array.from({ length: 11 }, () => encodePkt(`${A} refs/heads/x\n`)))), "limit");
});

Deno.test("acknowledgments of both protocols are told apart", () => {
  const read = (line: string) => readAcknowledgment({ kind: "data", payload: utf8(line) });
  deepEqual(read("NAK\n"), { kind: "nak" });
  deepEqual(read("ready\n"), { kind: "ready" });
  deepEqual(read(`ACK ${A}\n`), { kind: "ack", oid: A, status: "final" });
  deepEqual(read(`ACK ${A} common`), { kind: "ack", oid: A, status: "common" });
  deepEqual(read(`ACK ${A} continue`), { kind: "ack", oid: A, status: "common" });
  deepEqual(read(`ACK ${A} ready`), { kind: "ack", oid: A, status: "ready" });
  equal(codeOf(() => read(`ACK ${A} maybe`)), "protocol");
  equal(codeOf(() => read("ERR no")), "remote");
});

Deno.test("requests are read strictly: what was not offered, twice or too much is refused", () => {
  const v2 = (...parts: Uint8Array[]) => feedAll(new V2RequestReader(1000), join(parts));
  deepEqual(v2(encodePkt("command=fetch\n"), encodePkt("agent=x"), DELIM, encodePkt(`want ${A}`), FLUSH), {
    command: "fetch",
    capabilities: new Map([["agent", ["x"]]]),
    args: [`want ${A}`],
  });
  equal(v2(FLUSH), "end");
  equal(codeOf(() => v2(encodePkt("agent=x"), FLUSH)), "protocol");
  equal(codeOf(() => v2(encodePkt("command=a"), encodePkt("command=b"), FLUSH)), "protocol");
  equal(codeOf(() => v2(encodePkt("command=a"), DELIM, DELIM)), "protocol");
  equal(codeOf(() => v2(RESPONSE_END)), "protocol");
  equal(codeOf(() => v2(encodePkt("command=a"), DELIM, encodePkt("x".repeat(1000)))), "limit");
  equal(codeOf(() => v2(encodePkt(new Uint8Array([0xff])))), "protocol");

  const limits = { wants: 2, haves: 2, shallow: 2, deepenNot: 2, requestBytes: 1000 };
  for (
    const args of [
      ["deepen 0"],
      ["deepen -1"],
      ["deepen 1", "deepen 2"],
      ["deepen 1", "deepen-since 5"],
      ["deepen 1", "deepen-not main"],
      ["deepen-since yesterday"],
      ["shallow main"],
      ["filter"],
      ["filter sparse:oid=main"],
      ["filter blob:none", "filter blob:none"],
      ["filter combine:blob:none+tree:1"],
      ["want refs/heads/main"],
      ["sideband-all"],
      ["packfile-uris https"],
    ]
  ) {
    equal(codeOf(() => parseFetch(args, limits)), "protocol", args.join());
  }
  for (
    const args of [
      [`filter blob:limit=${"1".repeat(300)}`],
      [..."123"].map((digit) => `shallow ${digit.repeat(40)}`),
      [..."123"].map((digit) => `deepen-not ${digit}`),
      [..."123"].map((digit) => `want-ref refs/heads/${digit}`),
    ]
  ) {
    equal(codeOf(() => parseFetch(args, limits)), "limit", args.join());
  }
  deepEqual(parseFetch(["filter blob:limit=2k"], limits).filter, { blobsBelow: 2048, treesAbove: Infinity });
  equal(parseFetch(["deepen 99999999999"], limits).depth.depth, 0x7fffffff);
  const flood = Array.from({ length: 3 }, (_, i) => `have ${String(i).repeat(40)}`);
  equal(codeOf(() => parseFetch(flood, limits)), "limit");

  const wants = new WantReader(limits);
  feedAll(wants, join([encodePkt(`want ${A} ofs-delta agent=git\n`), encodePkt(`want ${B}\n`), FLUSH]));
  deepEqual([...wants.wants], [A, B]);
  ok(wants.capabilities.has("ofs-delta"));
  equal(codeOf(() => feedAll(new WantReader(limits), encodePkt("deepen 3"))), "protocol");

  const push = (...parts: Uint8Array[]) =>
    feedAll(new PushRequestReader({ commands: 2, requestBytes: 1000 }), join(parts));
  deepEqual(
    push(encodePkt(`${"0".repeat(40)} ${A} refs/heads/x\0 push-options`), FLUSH, encodePkt("o=1"), FLUSH),
    {
      commands: [{ name: "refs/heads/x", old: undefined, new: A }],
      capabilities: new Map([["push-options", [""]]]),
      pushOptions: ["o=1"],
      shallow: new Set(),
    },
  );
  equal(codeOf(() => push(encodePkt(`${A} ${B}`))), "protocol");
  equal(codeOf(() => push(encodePkt("shallow main"))), "protocol");
  equal(
    codeOf(() => push(...Array.from({ length: 3 }, (_, i) => encodePkt(`${A} ${B} refs/heads/${i}`)))),
    "limit",
  );
});

Deno.test("the version that GIT_PROTOCOL asks for is found among its keys", () => {
  equal(requestedVersion(undefined), 0);
  equal(requestedVersion("version=1"), 1);
  equal(requestedVersion("foo:version=2:bar=1"), 2);
  equal(requestedVersion("version=3"), 0);
});

Deno.test("a git command is one of two services and one quoted path, else a refusal says why", () => {
  const parse = (command: string) => {
    const result = parseGitCommand(command);
    return result.ok ? `${result.value.service} ${result.value.path}` : result.error.code;
  };
  equal(parse("git-upload-pack '/zones.git'"), "git-upload-pack zones.git");
  equal(parse("git-receive-pack 'zones.git'"), "git-receive-pack zones.git");
  equal(parse("git upload-pack '/a/b.git'"), "git-upload-pack a/b.git");
  equal(parse(`git-upload-pack ${shellQuote("it's!.git")}`), "git-upload-pack it's!.git");
  equal(parse("git-upload-archive '/zones.git'"), "unknown-service");
  for (
    const command of [
      "",
      "ls",
      "sh -c id",
      "git",
      "git-upload-pack",
      "Git-upload-pack 'x'",
      " git-upload-pack 'x'",
    ]
  ) {
    equal(parse(command), "not-git");
  }
  for (
    const argument of [
      "zones.git",
      `"zones.git"`,
      "'a' 'b'",
      "'a",
      "'a'b",
      "'a'; id",
      "'a'\\''",
      "'a'\\n'b'",
      " 'a'",
      "'a' ",
      "'a'\n",
    ]
  ) equal(parse(`git-upload-pack ${argument}`), "bad-quoting", argument);
  for (
    const path of [
      "",
      "/",
      "..",
      "/../x",
      "a/../b",
      "a//b",
      "//a",
      "./a",
      "-x",
      "~root/x",
      "a\0b",
      "a\nb",
      "a\\b",
      "a/",
    ]
  ) {
    equal(parse(`git-upload-pack '${path}'`), "bad-path", path);
  }
});

Deno.test("quoting for a shell and reading it back are one another's inverse", () => {
  const hard = fc.string({ unit: fc.constantFrom(..."az'!$`\";&| \u00e9"), minLength: 1, maxLength: 30 });
  fc.assert(fc.property(hard, (part) => {
    const result = parseGitCommand(`git-upload-pack ${shellQuote(`x${part}`)}`);
    equal(result.ok && result.value.path, `x${part}`);
  }));
});

Deno.test("ancestry and reachability agree with a plain walk, whatever the commits' dates say", async () => {
  const shape = fc.array(
    fc.record({ parents: fc.array(fc.nat(), { maxLength: 3 }), date: fc.integer({ min: 0, max: 20 }) }),
    { minLength: 2, maxLength: 14 },
  );
  await fc.assert(
    fc.asyncProperty(shape, async (commits) => {
      const store = memoryStore();
      const oids: Oid[] = [];
      const above: Set<Oid>[] = [];
      for (const { parents, date } of commits) {
        const chosen = oids.length === 0 ? [] : [...new Set(parents.map((p) => p % oids.length))];
        const oid = store.commit(chosen.map((i) => oids[i]), date);
        above.push(new Set([oid, ...chosen.flatMap((i) => [...above[i]])]));
        oids.push(oid);
      }
      for (const [i, descendant] of oids.entries()) {
        for (const ancestor of oids) {
          equal(
            await isAncestor(new CommitGraph(store.reader), ancestor, descendant),
            above[i].has(ancestor),
          );
        }
        deepEqual(await reachableAmong(new CommitGraph(store.reader), [descendant], new Set(oids)), above[i]);
      }
      // What is sent, together with what the common commit reaches, is all that the want reaches.
      const want = oids[oids.length - 1];
      const common = oids[Math.floor(oids.length / 2)];
      const graph = new CommitGraph(store.reader);
      const sent = new Set(
        (await selectObjects({ reader: store.reader, graph, wants: [want], common: [common] })).oids,
      );
      for (const oid of above[oids.length - 1]) {
        ok(sent.has(oid) || above[oids.indexOf(common)].has(oid));
      }
    }),
    { numRuns: 60 },
  );
});

function memoryStore() {
  const objects = new Map<Oid, GitObject>();
  const add = (object: GitObject) => {
    const oid = objectOid(object.kind, object.content, newSha1);
    objects.set(oid, object);
    return oid;
  };
  const tree = add({ kind: "tree", content: new Uint8Array() });
  let serial = 0;
  return {
    reader: {
      read: (oid: Oid) => Promise.resolve(objects.get(oid)),
      has: (oid: Oid) => Promise.resolve(objects.has(oid)),
    },
    commit(parents: Oid[], date: number): Oid {
      const person = `T <t@example.test> ${date} +0000`;
      const message = `${serial++}\n`;
      return add({
        kind: "commit",
        content: composeCommit({ tree, parents, author: person, committer: person, message }),
      });
    },
  };
}

function feedAll<T>(reader: { feed(pkt: Pkt): T }, wire: Uint8Array): T | undefined {
  const decoder = new PktDecoder();
  decoder.push(wire);
  let last: T | undefined;
  for (let pkt = decoder.next(); pkt !== undefined; pkt = decoder.next()) last = reader.feed(pkt);
  return last;
}

function codeOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof StoreError) return error.code;
    throw error;
  }
  return "no error";
}

function encode(pkt: Pkt): Uint8Array {
  if (pkt.kind === "data") return encodePkt(pkt.payload);
  return pkt.kind === "flush" ? FLUSH : pkt.kind === "delim" ? DELIM : RESPONSE_END;
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(parts.flatMap((part) => [...part]));
}

Deno.test("a line that is not UTF-8 is no line", () => {
  equal(lineOf(new Uint8Array([0xc3])), undefined);
  equal(lineOf(utf8("ä\n")), "ä");
});
