import { deepEqual, equal, ok, throws } from "node:assert/strict";
// @ts-types="@types/dns-packet"
import packet from "dns-packet";
import fc from "fast-check";
import { Buffer } from "node:buffer";
import { buildMessage } from "../../dns/message/build.ts";
import { EDE, OPCODE, RCODE } from "../../dns/message/codes.ts";
import { extendedErrorOption, extendedErrorsOf } from "../../dns/message/edns.ts";
import { parseMessage } from "../../dns/message/parse.ts";
import { bareReply, hasEdns } from "../../dns/message/reply.ts";
import { EMPTY_MESSAGE, plainEdns, queryFor, responseTo } from "../../dns/message/respond.ts";
import { layoutOf } from "../../dns/message/skip.ts";
import { nameFrom } from "../../dns/name.ts";
import { rdataFromText } from "../../dns/rr/rdata.ts";
import { RRTYPE } from "../../dns/rr/types.ts";
import type { Message, ResourceRecord } from "../../dns/types.ts";

const labels = fc.array(fc.constantFrom("a", "b", "mail", "x".repeat(60), "\\046", "\\000"), {
  maxLength: 4,
});
const name = labels.map((parts) => nameFrom(parts.length === 0 ? "." : `${parts.join(".")}.`));
const uint16 = fc.nat(0xffff);
const rdata: fc.Arbitrary<{ type: number; rdata: Uint8Array }> = fc.oneof(
  name.map((target) => record("NS", target)),
  name.map((target) => record("NS", target.toUpperCase())),
  fc.tuple(name, name, uint16).map(([m, r, n]) => record("SOA", `${m} ${r} ${n} 1 2 3 4`)),
  fc.tuple(uint16, name).map(([n, target]) => record("MX", `${n} ${target}`)),
  fc.tuple(uint16, name).map(([n, target]) => record("SRV", `${n} 1 2 ${target}`)),
  fc.uint8Array({ minLength: 4, maxLength: 4 }).map((octets) => ({ type: RRTYPE.A, rdata: octets })),
  fc.uint8Array({ maxLength: 40 }).map((octets) => ({ type: 65280, rdata: octets })),
);
const records = fc.array(
  fc.tuple(name, rdata, fc.nat(0x7fff_ffff)).map(([owner, data, ttl]): ResourceRecord => ({
    owner,
    class: 1,
    ttl,
    ...data,
  })),
  { maxLength: 6 },
);
const edns = fc.record({
  udpSize: uint16,
  version: fc.nat(255),
  dnssecOk: fc.boolean(),
  options: fc.array(fc.record({ code: uint16, data: fc.uint8Array({ maxLength: 20 }) }), { maxLength: 3 }),
});
const message: fc.Arbitrary<Message> = fc.record({
  id: uint16,
  opcode: fc.nat(15),
  rcode: fc.nat(4095),
  response: fc.boolean(),
  authoritative: fc.boolean(),
  truncated: fc.boolean(),
  recursionDesired: fc.boolean(),
  recursionAvailable: fc.boolean(),
  authenticData: fc.boolean(),
  checkingDisabled: fc.boolean(),
  questions: fc.array(fc.record({ name, type: uint16, class: uint16 }), { maxLength: 3 }),
  answers: records,
  authorities: records,
  additionals: records,
  edns: fc.option(edns, { nil: undefined }),
}).map((m) => m.edns === undefined ? { ...m, rcode: m.rcode & 15 } : m);

Deno.test("a message survives wire form, the case of names in rdata included", () => {
  fc.assert(fc.property(message, (m) => {
    deepEqual(parsed(buildMessage(m)), { ...m, tsig: undefined });
  }));
});

Deno.test("random bytes, and messages with random damage, never throw and never hang", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
    parseMessage(bytes);
    layoutOf(bytes);
    bareReply(bytes, RCODE.FORMERR);
  }));
  let refused = 0;
  fc.assert(
    fc.property(
      message,
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }),
      (m, damage) => {
        const bytes = buildMessage(m);
        for (const [at, value] of damage) bytes[at % bytes.length] = value;
        const outcome = parseMessage(bytes);
        if (!outcome.ok) refused++;
        // What the parser takes, the walker takes too.
        else ok(layoutOf(bytes) !== undefined);
      },
    ),
  );
  ok(refused > 0);
});

Deno.test("an independent codec reads what is built, compression included", () => {
  const zone = nameFrom("example.test.");
  const bytes = buildMessage({
    ...EMPTY_MESSAGE,
    id: 4711,
    response: true,
    authoritative: true,
    questions: [{ name: nameFrom("www.example.test."), type: RRTYPE.MX, class: 1 }],
    answers: [{
      owner: nameFrom("www.example.test."),
      class: 1,
      ttl: 300,
      ...record("MX", "10 mail.example.test."),
    }],
    authorities: [{ owner: zone, class: 1, ttl: 300, ...record("NS", "ns1.example.test.") }],
    additionals: [{ owner: nameFrom("ns1.example.test."), class: 1, ttl: 300, ...record("A", "192.0.2.1") }],
    edns: plainEdns(),
  });
  const read = packet.decode(Buffer.from(bytes));
  equal(read.id, 4711);
  ok(read.flag_aa);
  deepEqual(read.questions?.map((q) => [q.name, q.type]), [["www.example.test", "MX"]]);
  deepEqual(read.answers?.map((a) => a.type === "MX" && [a.name, a.ttl, a.data]), [
    ["www.example.test", 300, { preference: 10, exchange: "mail.example.test" }],
  ]);
  deepEqual(read.authorities?.map((a) => a.type === "NS" && [a.name, a.data]), [[
    "example.test",
    "ns1.example.test",
  ]]);
  deepEqual(read.additionals?.map((a) => a.type), ["A", "OPT"]);
  // question 22+12, MX 2+10+2+7, NS 2+10+6, A 2+10+4, OPT 11
  equal(bytes.length, 12 + 22 + 21 + 18 + 16 + 11);
});

Deno.test("what an independent codec builds is read", () => {
  const bytes = packet.encode({
    type: "response",
    id: 7,
    flags: packet.AUTHORITATIVE_ANSWER,
    questions: [{ type: "TXT", name: "Example.Test", class: "IN" }],
    answers: [{ type: "TXT", name: "example.test", ttl: 5, class: "IN", data: ["one", "two"] }],
  });
  const read = parsed(bytes);
  equal(read.questions[0].name, "example.test.");
  deepEqual(read.answers, [{ owner: "example.test.", class: 1, ttl: 5, ...record("TXT", `"one" "two"`) }]);
});

Deno.test("names in rdata of types after RFC 1035 are not compressed", () => {
  const target = nameFrom("host.example.test.");
  const build = (data: { type: number; rdata: Uint8Array }) =>
    buildMessage({ ...EMPTY_MESSAGE, answers: [{ owner: target, class: 1, ttl: 0, ...data }] }).length;
  const owner = 12 + 19 + 10;
  equal(build(record("CNAME", target)), owner + 2);
  equal(build(record("SRV", `0 0 0 ${target}`)), owner + 6 + 19);
  equal(build(record("DNAME", target)), owner + 19);
});

Deno.test("a message that does not fit loses whole records from the end and says so, but not for additional ones", () => {
  const answer = (n: number): ResourceRecord => ({
    owner: nameFrom("a.test."),
    class: 1,
    ttl: 0,
    ...record("A", `192.0.2.${n}`),
  });
  const base = { ...EMPTY_MESSAGE, response: true, edns: plainEdns() };
  const full = buildMessage({ ...base, answers: [answer(1), answer(2)] });
  const cut = parsed(
    buildMessage({ ...base, answers: [answer(1), answer(2)] }, { maxSize: full.length - 1 }),
  );
  deepEqual([cut.answers.length, cut.truncated, cut.edns !== undefined], [1, true, true]);
  const extra = parsed(
    buildMessage({ ...base, answers: [answer(1)], additionals: [answer(2)] }, { maxSize: full.length - 1 }),
  );
  deepEqual([extra.answers.length, extra.additionals.length, extra.truncated], [1, 0, false]);
  throws(() => buildMessage(base, { maxSize: 20 }), RangeError);
});

Deno.test("what is malformed is refused with its place", () => {
  const query = buildMessage(queryFor({ name: nameFrom("a.test."), type: 1 }, { id: 1, edns: plainEdns() }));
  const code = (bytes: Uint8Array) => {
    const outcome = parseMessage(bytes);
    return outcome.ok ? "ok" : outcome.error.code;
  };
  const opt = query.subarray(-11);
  const counted = (bytes: Uint8Array, additionals: number) => bytes.with(11, additionals);
  equal(code(query), "ok");
  equal(code(query.subarray(0, 11)), "short");
  equal(code(query.with(6, 255)), "too-many-records");
  equal(code(Uint8Array.of(...query, 0)), "trailing-octets");
  equal(code(counted(Uint8Array.of(...query, ...opt), 2)), "bad-opt");
  // OPT counted as an answer
  equal(code(query.with(11, 0).with(7, 1)), "bad-opt");
  // a name that is a pointer to itself
  equal(code(query.with(12, 0xc0).with(13, 12)), "bad-name");
  // an option that claims more octets than OPT has
  equal(code(Uint8Array.of(...query.with(query.length - 1, 4), 0, 10, 0, 1)), "bad-opt");
  equal(code(query.subarray(0, query.length - 1)), "cut");
  // A with three octets of rdata
  const short = Uint8Array.of(...query.subarray(0, 24), 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 3, 1, 2, 3);
  equal(code(short.with(7, 1).with(11, 0)), "bad-rdata");
});

Deno.test("a bare reply keeps the question as it was asked and never answers a response", () => {
  const query = packet.encode({
    type: "query",
    id: 9,
    flags: packet.RECURSION_DESIRED,
    questions: [
      { type: "A", name: "wWw.ExAmPlE.tEsT", class: "IN" },
    ],
  });
  const reply = bareReply(query, RCODE.NOTIMP);
  ok(reply);
  deepEqual(reply.subarray(12), Uint8Array.from(query.subarray(12)));
  const read = parsed(reply);
  deepEqual([read.id, read.rcode, read.response, read.recursionDesired], [9, RCODE.NOTIMP, true, true]);
  equal(bareReply(reply, RCODE.FORMERR), undefined);
  equal(bareReply(query.subarray(0, 11), RCODE.FORMERR), undefined);
  // a header alone is answered with a header alone
  equal(bareReply(Uint8Array.of(0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0), RCODE.FORMERR)?.length, 12);
});

Deno.test("an extended error is carried in OPT and cut where it is long", () => {
  const option = extendedErrorOption({ code: EDE.PROHIBITED, text: "é".repeat(300) });
  equal(option.data.length, 202);
  const query = queryFor({ name: nameFrom("a."), type: 1 }, { id: 1, edns: plainEdns() });
  ok(hasEdns(buildMessage(query)));
  ok(!hasEdns(buildMessage({ ...query, edns: undefined })));
  const response = responseTo(query, { rcode: 23, edns: { ...plainEdns(), options: [option] } });
  const read = parsed(buildMessage(response));
  equal(read.rcode, 23);
  deepEqual(extendedErrorsOf(read), [{ code: EDE.PROHIBITED, text: "é".repeat(100) }]);
  throws(() => buildMessage({ ...response, edns: undefined }), RangeError);
});

Deno.test("empty rdata means any in an update and is malformed elsewhere", () => {
  const message: Message = {
    ...EMPTY_MESSAGE,
    opcode: OPCODE.UPDATE,
    authorities: [{ owner: nameFrom("a."), type: RRTYPE.A, class: 255, ttl: 0, rdata: new Uint8Array(0) }],
  };
  ok(parseMessage(buildMessage(message)).ok);
  ok(!parseMessage(buildMessage({ ...message, opcode: OPCODE.QUERY })).ok);
});

function record(type: keyof typeof RRTYPE, text: string): { type: number; rdata: Uint8Array } {
  const outcome = rdataFromText(RRTYPE[type], text);
  if (!outcome.ok) throw new Error(outcome.error.message);
  return { type: RRTYPE[type], rdata: outcome.value };
}

function parsed(bytes: Uint8Array) {
  const outcome = parseMessage(bytes);
  if (!outcome.ok) {
    throw new Error(`${outcome.error.code} at ${outcome.error.offset}: ${outcome.error.message}`);
  }
  return outcome.value;
}
