import { deepEqual, equal, ok } from "node:assert/strict";
import fc from "fast-check";
import { buildMessage } from "../../dns/message/build.ts";
import { OPCODE, RCODE, rcodeName } from "../../dns/message/codes.ts";
import { parseMessage } from "../../dns/message/parse.ts";
import { EMPTY_MESSAGE } from "../../dns/message/respond.ts";
import { rdataToText } from "../../dns/rr/rdata.ts";
import { CLASS, RRTYPE, typeName } from "../../dns/rr/types.ts";
import { applyOperations, type RRsetChange } from "../../dns/update/apply.ts";
import { checkPrerequisites } from "../../dns/update/prerequisites.ts";
import { buildUpdate, parseUpdate } from "../../dns/update/sections.ts";
import type { Prerequisite, Question, ResourceRecord, RRset, UpdateOperation } from "../../dns/types.ts";
import { applyTo, at, ORIGIN, rdataOf, recordOf, toyZone } from "./update_zone.ts";

const ZONE = [
  "@ 3600 SOA ns1 host 10 1 2 3 4",
  "@ 3600 NS ns1",
  "@ 3600 NS ns2",
  "www 300 A 192.0.2.1",
  "www 300 A 192.0.2.2",
  "www 300 TXT one",
  "alias 300 CNAME www",
  "mail 300 MX 10 Mail",
];

Deno.test("prerequisites: each form of RFC 2136 §2.4, fulfilled and not", () => {
  const view = toyZone(ZONE);
  const a = (...addresses: string[]): Prerequisite => ({
    kind: "rrset-equals",
    owner: at("www"),
    type: RRTYPE.A,
    rdatas: addresses.map((text) => rdataOf(RRTYPE.A, text)),
  });
  const table: [Prerequisite, keyof typeof RCODE][] = [
    [{ kind: "name-in-use", owner: at("www") }, "NOERROR"],
    [{ kind: "name-in-use", owner: at("nobody") }, "NXDOMAIN"],
    [{ kind: "name-not-in-use", owner: at("nobody") }, "NOERROR"],
    [{ kind: "name-not-in-use", owner: at("www") }, "YXDOMAIN"],
    [{ kind: "rrset-exists", owner: at("www"), type: RRTYPE.TXT }, "NOERROR"],
    [{ kind: "rrset-exists", owner: at("www"), type: RRTYPE.MX }, "NXRRSET"],
    [{ kind: "rrset-absent", owner: at("www"), type: RRTYPE.MX }, "NOERROR"],
    [{ kind: "rrset-absent", owner: at("www"), type: RRTYPE.TXT }, "YXRRSET"],
    [a("192.0.2.2", "192.0.2.1"), "NOERROR"],
    [a("192.0.2.2", "192.0.2.1", "192.0.2.1"), "NOERROR"],
    [a("192.0.2.1"), "NXRRSET"],
    [a("192.0.2.1", "192.0.2.2", "192.0.2.3"), "NXRRSET"],
    [a("192.0.2.1", "192.0.2.3"), "NXRRSET"],
    [{ kind: "rrset-equals", owner: at("nobody"), type: 1, rdatas: [rdataOf(1, "192.0.2.1")] }, "NXRRSET"],
    // names in rdata compare without case
    [
      { kind: "rrset-equals", owner: at("mail"), type: RRTYPE.MX, rdatas: [rdataOf(RRTYPE.MX, "10 mAIL")] },
      "NOERROR",
    ],
  ];
  for (const [prerequisite, expected] of table) {
    equal(rcodeName(checkPrerequisites(view, [prerequisite])), expected, JSON.stringify(prerequisite));
  }
  equal(checkPrerequisites(view, table.slice(0, 2).map(([prerequisite]) => prerequisite)), RCODE.NXDOMAIN);
});

Deno.test("operations: additions, deletions, and what RFC 2136 §3.4.2 ignores", () => {
  const remove = (line: string): UpdateOperation => ({ kind: "delete-record", ...recordOf(line) });
  const table: [string, UpdateOperation[], string[]][] = [
    ["an addition joins its RRset, whose TTL becomes its own", [add("www 60 A 192.0.2.0")], [
      "www A 60 [192.0.2.0 192.0.2.1 192.0.2.2]",
    ]],
    ["a record that is there changes nothing", [add("www 300 A 192.0.2.1")], []],
    ["a record that is there, with another TTL, changes the TTL", [add("www 60 A 192.0.2.1")], [
      "www A 60 [192.0.2.1 192.0.2.2]",
    ]],
    ["a new name comes into being", [add("new 60 TXT x")], ['new TXT 60 ["x"]']],
    ["data beside a CNAME is ignored", [add("alias 60 A 192.0.2.9")], []],
    ["a CNAME beside data is ignored", [add("www 60 CNAME other")], []],
    ["a CNAME replaces a CNAME", [add("alias 60 CNAME other")], ["alias CNAME 60 [other.example.test.]"]],
    ["a CNAME may come once the data is gone", [
      { kind: "delete-name", owner: at("www") },
      add("www 60 CNAME other"),
    ], ["www A -", "www TXT -", "www CNAME 60 [other.example.test.]"]],
    ["an older SOA is ignored", [add("@ 3600 SOA ns1 host 9 1 2 3 4")], []],
    ["a newer SOA replaces", [add("@ 3600 SOA ns1 host 11 1 2 3 4")], [
      "@ SOA 3600 [ns1.example.test. host.example.test. 11 1 2 3 4]",
    ]],
    ["a serial is newer across the wrap of RFC 1982", [add("@ 3600 SOA ns1 host 2147483657 1 2 3 4")], [
      "@ SOA 3600 [ns1.example.test. host.example.test. 2147483657 1 2 3 4]",
    ]],
    ["a SOA below the apex is ignored", [add("www 3600 SOA ns1 host 11 1 2 3 4")], []],
    ["an RRset goes", [{ kind: "delete-rrset", owner: at("www"), type: RRTYPE.A }], ["www A -"]],
    [
      "an RRset that is not there goes without a trace",
      [{ kind: "delete-rrset", owner: at("x"), type: 1 }],
      [],
    ],
    ["the apex keeps its SOA and NS, as RRsets", [
      { kind: "delete-rrset", owner: ORIGIN, type: RRTYPE.SOA },
      { kind: "delete-rrset", owner: ORIGIN, type: RRTYPE.NS },
      { kind: "delete-name", owner: ORIGIN },
    ], []],
    ["the apex keeps its last NS", [remove("@ 0 NS ns1"), remove("@ 0 NS ns2")], [
      "@ NS 3600 [ns2.example.test.]",
    ]],
    ["a SOA is not deleted by value", [remove("@ 0 SOA ns1 host 10 1 2 3 4")], []],
    ["a record goes, the rest stays", [remove("www 0 A 192.0.2.1")], ["www A 300 [192.0.2.2]"]],
    ["the last record takes its RRset along", [remove("www 0 TXT one")], ["www TXT -"]],
    ["a record goes whatever the case of its names", [remove("mail 0 MX 10 mAiL")], ["mail MX -"]],
    ["what is added and deleted again leaves no trace", [add("new 60 TXT x"), remove("new 0 TXT x")], []],
    ["an RRset replaced in one update is one change", [
      { kind: "delete-rrset", owner: at("www"), type: RRTYPE.A },
      add("www 60 A 192.0.2.7"),
    ], ["www A 60 [192.0.2.7]"]],
  ];
  for (const [what, operations, expected] of table) {
    deepEqual(applyOperations(toyZone(ZONE), operations).map(shown), expected, what);
  }
});

Deno.test("changes tell before and after as they are in the zone, and RRsets stay in canonical order", () => {
  const octet = fc.nat(5);
  const step = fc.tuple(fc.constantFrom("add", "delete-record", "delete-rrset", "delete-name"), octet, octet);
  fc.assert(fc.property(fc.array(fc.array(step, { maxLength: 8 }), { maxLength: 4 }), (updates) => {
    const zone = toyZone(ZONE);
    for (const steps of updates) {
      const before = toyPicture(zone);
      const changes = applyTo(zone, steps.map(([kind, n, owner]) => operation(kind, n, owner)));
      for (const change of changes) {
        deepEqual(before.get(`${change.owner} ${change.type}`), change.before);
        deepEqual(zone.rrset(change.owner, change.type), change.after);
        const rdatas = change.after?.rdatas.map((rdata) => rdata[3]) ?? [];
        deepEqual(rdatas, [...new Set(rdatas)].sort());
      }
    }
  }));
});

Deno.test("an update survives its wire form", () => {
  const prerequisites: Prerequisite[] = [
    { kind: "name-in-use", owner: at("a") },
    { kind: "name-not-in-use", owner: at("b") },
    { kind: "rrset-exists", owner: at("c"), type: RRTYPE.MX },
    { kind: "rrset-absent", owner: at("d"), type: RRTYPE.SOA },
    {
      kind: "rrset-equals",
      owner: at("e"),
      type: 1,
      rdatas: [rdataOf(1, "192.0.2.1"), rdataOf(1, "192.0.2.2")],
    },
  ];
  const operations: UpdateOperation[] = [
    add("www 300 MX 10 mail"),
    { kind: "delete-rrset", owner: at("a"), type: RRTYPE.MX },
    { kind: "delete-name", owner: at("b") },
    { kind: "delete-record", owner: at("c"), type: RRTYPE.TLSA, rdata: rdataOf(RRTYPE.TLSA, "3 255 0 00ff") },
  ];
  const parsed = parseMessage(buildUpdate({ id: 5, zone: ORIGIN, prerequisites, operations }));
  ok(parsed.ok);
  deepEqual(parseUpdate(parsed.value), { ok: true, value: { zone: ORIGIN, prerequisites, operations } });
});

Deno.test("malformed sections are refused with the response code of RFC 2136", () => {
  const soa: Question = { name: ORIGIN, type: RRTYPE.SOA, class: CLASS.IN };
  const base: ResourceRecord = {
    owner: at("a"),
    type: 1,
    class: 1,
    ttl: 0,
    rdata: Uint8Array.of(1, 2, 3, 4),
  };
  const empty = { ...base, rdata: new Uint8Array(0) };
  const outside = { owner: at("other.test.") };
  const rcode = (questions: Question[], answers: ResourceRecord[], authorities: ResourceRecord[]) => {
    const outcome = parseUpdate({ ...EMPTY_MESSAGE, opcode: OPCODE.UPDATE, questions, answers, authorities });
    return outcome.ok ? "NOERROR" : rcodeName(outcome.error.rcode);
  };
  equal(rcode([soa], [], []), "NOERROR");
  equal(rcode([], [], []), "FORMERR");
  equal(rcode([soa, soa], [], []), "FORMERR");
  equal(rcode([{ ...soa, type: RRTYPE.A }], [], []), "FORMERR");
  equal(rcode([{ ...soa, class: CLASS.CH }], [], []), "NOTAUTH");
  const prerequisites: [Partial<ResourceRecord>, string][] = [
    [{ ...base }, "NOERROR"],
    [{ ...base, ttl: 1 }, "FORMERR"],
    [{ ...base, ...outside }, "NOTZONE"],
    [{ ...base, class: CLASS.ANY }, "FORMERR"],
    [{ ...empty, class: CLASS.NONE, type: RRTYPE.ANY }, "NOERROR"],
    [{ ...base, class: CLASS.NONE }, "FORMERR"],
    [{ ...base, class: CLASS.CH }, "FORMERR"],
    [{ ...base, type: RRTYPE.AXFR }, "FORMERR"],
    [{ ...empty }, "FORMERR"],
  ];
  for (const [record, expected] of prerequisites) equal(rcode([soa], [{ ...base, ...record }], []), expected);
  const operations: [Partial<ResourceRecord>, string][] = [
    [{ ...base, ttl: 300 }, "NOERROR"],
    [{ ...base, ...outside }, "NOTZONE"],
    [{ ...base, type: RRTYPE.ANY }, "FORMERR"],
    [{ ...empty }, "FORMERR"],
    [{ ...empty, class: CLASS.ANY }, "NOERROR"],
    [{ ...empty, class: CLASS.ANY, type: RRTYPE.ANY }, "NOERROR"],
    [{ ...empty, class: CLASS.ANY, type: RRTYPE.AXFR }, "FORMERR"],
    [{ ...empty, class: CLASS.ANY, ttl: 1 }, "FORMERR"],
    [{ ...base, class: CLASS.ANY }, "FORMERR"],
    [{ ...base, class: CLASS.NONE }, "NOERROR"],
    [{ ...base, class: CLASS.NONE, ttl: 1 }, "FORMERR"],
    [{ ...base, class: CLASS.NONE, type: RRTYPE.ANY }, "FORMERR"],
    [{ ...base, class: CLASS.HS }, "FORMERR"],
  ];
  for (const [record, expected] of operations) equal(rcode([soa], [], [{ ...base, ...record }]), expected);
  const query = parseMessage(buildMessage({ ...EMPTY_MESSAGE, questions: [soa] }));
  ok(query.ok && !parseUpdate(query.value).ok);
});

function add(line: string): UpdateOperation {
  return { kind: "add", record: recordOf(line) };
}

function operation(kind: string, n: number, owner: number): UpdateOperation {
  const record = recordOf(`h${owner} 60 A 192.0.2.${n}`);
  switch (kind) {
    case "add":
      return { kind, record };
    case "delete-record":
      return { kind, owner: record.owner, type: record.type, rdata: record.rdata };
    case "delete-rrset":
      return { kind, owner: record.owner, type: record.type };
    default:
      return { kind: "delete-name", owner: record.owner };
  }
}

function toyPicture(zone: ReturnType<typeof toyZone>): Map<string, RRset> {
  const owners = [0, 1, 2, 3, 4, 5].map((n) => at(`h${n}`));
  return new Map(
    owners.flatMap((owner) => zone.rrsets(owner)).map((set) => [`${set.owner} ${set.type}`, set]),
  );
}

function shown({ owner, type, after }: RRsetChange): string {
  const name = owner === ORIGIN ? "@" : owner.slice(0, -ORIGIN.length - 1);
  if (after === undefined) return `${name} ${typeName(type)} -`;
  const data = after.rdatas.map((rdata) => rdataToText(type, rdata)).join(" ");
  return `${name} ${typeName(type)} ${after.ttl} [${data}]`;
}
