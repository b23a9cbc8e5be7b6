import { deepEqual, equal, ok } from "node:assert/strict";
import fc from "fast-check";
import {
  type AnswerContext,
  type AnswerSettings,
  createAnswerContext,
  DEFAULT_SETTINGS,
} from "../../dns/answer/context.ts";
import {
  createQueryExtra,
  type OptFacts,
  putOpt,
  readExtra,
  reserveOpt,
  responseLimit,
} from "../../dns/edns/options.ts";
import { ednsFor } from "../../dns/edns/reply.ts";

const SETTINGS: AnswerSettings = {
  ...DEFAULT_SETTINGS,
  nsid: new TextEncoder().encode("ns1"),
  cookieSecrets: [new Uint8Array(16).fill(7)],
  keepalive: 100,
};

const FACTS: OptFacts = { rcode: 0, serial: 2_147_483_650, expire: 1_209_600, zoneLabels: 2, ede: -1 };
const NO_FACTS: OptFacts = { rcode: 0, serial: -1, expire: -1, zoneLabels: -1, ede: -1 };

function contextOf(transport: AnswerContext["transport"] = "udp", settings = SETTINGS): AnswerContext {
  const context = createAnswerContext(transport, settings);
  context.address.set([192, 0, 2, 1]);
  context.addressOctets = 4;
  context.now = 1_700_000_000;
  return context;
}

interface OptForm {
  readonly size?: number;
  readonly version?: number;
  readonly flags?: number;
}

/** Options as code and data in hexadecimal. */
function opt(options: readonly (readonly [number, string])[] = [], form: OptForm = {}): string {
  const hex16 = (value: number) => value.toString(16).padStart(4, "0");
  const rdata = options.map(([code, data]) => hex16(code) + hex16(data.length / 2) + data).join("");
  const version = (form.version ?? 0).toString(16).padStart(2, "0");
  return `000029${hex16(form.size ?? 1232)}00${version}${hex16(form.flags ?? 0)}${
    hex16(rdata.length / 2)
  }${rdata}`;
}

/** A query for `a.` A with these additional records. */
function query(...additional: string[]): Uint8Array {
  const count = additional.length.toString(16).padStart(4, "0");
  return Uint8Array.fromHex(`beef0000000100000000${count}` + "0161000001" + "0001" + additional.join(""));
}

const QUESTION_END = 12 + 3 + 4;

function read(message: Uint8Array, context = contextOf()) {
  const extra = createQueryExtra();
  return { sound: readExtra(extra, message, QUESTION_END, message.length, context), extra, context };
}

/** The options of the OPT that is put for the query, by their codes, in hexadecimal. */
function answered(message: Uint8Array, facts = FACTS, context = contextOf()) {
  const { sound, extra } = read(message, context);
  ok(sound);
  const out = new Uint8Array(65_535);
  const end = putOpt(out, 100, extra, context, facts);
  const form = out.subarray(100, 111);
  const options: Record<number, string> = {};
  for (let at = 111; at < end;) {
    const length = out[at + 2] << 8 | out[at + 3];
    options[out[at] << 8 | out[at + 1]] = out.subarray(at + 4, at + 4 + length).toHex();
    at += 4 + length;
  }
  equal(form[9] << 8 | form[10], end - 111, "RDLENGTH");
  return { head: form.subarray(0, 9).toHex(), options, octets: end - 100, extra };
}

Deno.test("without OPT there is none in the response, and 512 octets", () => {
  const { sound, extra, context } = read(query());
  equal(sound, true);
  equal(extra.present, false);
  equal(responseLimit(extra, context), 512);
  equal(reserveOpt(extra, context), 0);
  equal(putOpt(new Uint8Array(512), 40, extra, context, FACTS), 40);
});

Deno.test("OPT is answered with our size, version 0, DO copied and reserved flags clear", () => {
  const plain = answered(query(opt()));
  equal(plain.head, "000029" + "04d0" + "00" + "00" + "0000");
  deepEqual(plain.options, {});
  equal(answered(query(opt([], { flags: 0xffff }))).head, "00002904d000008000");
  equal(answered(query(opt([], { flags: 0x7fff }))).head, "00002904d000000000");
  equal(answered(query(opt()), { ...FACTS, rcode: 16 }).head, "00002904d001000000");
});

Deno.test("UDP responses fit what the client takes and what we offer; TCP's fit their length field", () => {
  const limit = (size: number, transport?: "tcp") => {
    const { extra, context } = read(query(opt([], { size })), contextOf(transport));
    return responseLimit(extra, context);
  };
  deepEqual([0, 511, 512, 1000, 1232, 4096, 65_535].map((size) => limit(size)), [
    512,
    512,
    512,
    1000,
    1232,
    1232,
    1232,
  ]);
  equal(limit(512, "tcp"), 65_535);
});

Deno.test("another version is seen as such, whatever stands in its options", () => {
  for (const options of [[], [[10, "01"]], [[3, ""]], [[19, "0000"]]] as const) {
    const { sound, extra, context } = read(query(opt(options, { version: 1 })));
    equal(sound, true);
    equal(extra.version, 1);
    equal(reserveOpt(extra, context), 11);
    equal(answered(query(opt(options, { version: 1 })), { ...FACTS, rcode: 16 }).octets, 11);
  }
});

Deno.test("unknown options are ignored, and those that were not asked for do not come", () => {
  deepEqual(answered(query(opt([[100, "0102"], [65_001, ""], [8, "000118000a0b0c"]]))).options, {});
});

Deno.test("NSID, EXPIRE and ZONEVERSION are told to who asks", () => {
  const asked = query(opt([[3, ""], [9, ""], [19, ""]]));
  deepEqual(answered(asked).options, { 3: "6e7331", 9: "00127500", 19: "020080000002" });
  deepEqual(answered(asked, NO_FACTS).options, { 3: "6e7331" });
  deepEqual(answered(asked, FACTS, contextOf("udp", DEFAULT_SETTINGS)).options, {
    9: "00127500",
    19: "020080000002",
  });
  deepEqual(answered(query(opt([[3, "ffff"]]))).options, { 3: "6e7331" }, "RFC 5001 §2.1");
});

Deno.test("keepalive is told over streams and ignored over UDP", () => {
  deepEqual(answered(query(opt([[11, ""]]))).options, {});
  deepEqual(answered(query(opt([[11, "0064"]]))).options, {});
  deepEqual(answered(query(opt([[11, ""]])), FACTS, contextOf("tcp")).options, { 11: "0064" });
  deepEqual(
    answered(query(opt([[11, ""]])), FACTS, contextOf("tcp", { ...SETTINGS, keepalive: 0 })).options,
    {},
  );
});

Deno.test("options with content that they must not have are format errors, told with OPT", () => {
  const cookie = (octets: number) => [10, "ab".repeat(octets)] as const;
  for (const octets of [0, 1, 7, 9, 15, 41, 100]) {
    const { sound, extra, context } = read(query(opt([cookie(octets)])));
    equal(sound, false, `a cookie of ${octets} octets`);
    equal(extra.present, true);
    equal(extra.cookieMade, false);
    equal(context.cookieValid, false);
  }
  for (const octets of [8, 16, 17, 40]) equal(read(query(opt([cookie(octets)]))).sound, true);
  equal(read(query(opt([[19, "00"]]))).sound, false);
  equal(read(query(opt([[11, "0064"]])), contextOf("tcp")).sound, false);
});

Deno.test("a message that is cut, overlong or has two OPTs is a format error without OPT", () => {
  const bad = [
    query(opt(), opt()),
    query("01" + "61" + opt()),
    Uint8Array.from([...query(opt()), 0]),
    query(opt()).subarray(0, -1),
    query("000029" + "04d0" + "00000000" + "0003" + "000300"),
    query("000029" + "04d0" + "00000000" + "0004" + "00030001"),
  ];
  for (const message of bad) {
    const { sound, extra } = read(message);
    equal(sound, false, message.toHex());
    equal(extra.present, false);
  }
});

Deno.test("of two cookies the first one counts", () => {
  const { options } = answered(query(opt([[10, "0102030405060708"], [10, "ff"]])));
  equal(options[10].slice(0, 16), "0102030405060708");
});

Deno.test("an extended error takes what room there is, and gives way", () => {
  deepEqual(answered(query(opt()), { ...NO_FACTS, ede: 22 }).options, { 15: "0016" });
  const { extra, context } = read(query(opt([], { size: 512 })));
  const out = new Uint8Array(1232);
  equal(putOpt(out, 512 - 11, extra, context, { ...NO_FACTS, ede: 22 }), 512);
  equal(putOpt(out, 512 - 17, extra, context, { ...NO_FACTS, ede: 22 }), 512);
});

Deno.test("padding fills blocks of 468 octets where the transport is encrypted, if the query was padded", () => {
  const padded = query(opt([[12, "0000"]]));
  deepEqual(answered(padded).options, {});
  deepEqual(answered(padded, FACTS, contextOf("tcp")).options, {});
  deepEqual(answered(query(opt()), FACTS, contextOf("tls")).options, {});
  const context = contextOf("tls");
  const { extra } = read(padded, context);
  for (const at of [40, 452, 453, 454, 460, 900, 2000]) {
    const end = putOpt(new Uint8Array(65_535).fill(1), at, extra, context, FACTS);
    equal(end % 468, 0, `from ${at}`);
    ok(end - at <= 11 + 4 + 467);
  }
  // At the end of what there can be: as much as fits.
  const out = new Uint8Array(65_535);
  equal(putOpt(out, 65_520, extra, context, FACTS), 65_535);
  equal(putOpt(out, 65_521, extra, context, FACTS), 65_532);
});

Deno.test("what is reserved is never less than what is put, and any octets are read to an end", () => {
  const options = fc.array(
    fc.tuple(
      fc.constantFrom(3, 8, 9, 10, 11, 12, 15, 19, 65_001),
      fc.constantFrom("", "0000", "0102030405060708", "01".repeat(24)),
    ),
    { maxLength: 8 },
  );
  fc.assert(
    fc.property(options, fc.constantFrom("udp", "tcp"), fc.boolean(), (list, transport, told) => {
      const context = contextOf(transport as "udp" | "tcp");
      const { extra } = read(query(opt(list)), context);
      const out = new Uint8Array(2000);
      const reserved = reserveOpt(extra, context);
      ok(putOpt(out, 100, extra, context, told ? FACTS : NO_FACTS) - 100 <= reserved);
    }),
  );
  fc.assert(fc.property(fc.uint8Array({ minLength: 0, maxLength: 60 }), fc.nat(3), (tail, count) => {
    const message = Uint8Array.from([...query(), ...tail]);
    message[11] = count;
    read(message);
  }));
});

Deno.test("the full machinery's responses have the same options", () => {
  const asked = query(opt([[3, ""], [10, "0102030405060708"], [11, ""], [9, ""]], { flags: 0x8000 }));
  const edns = ednsFor(asked, contextOf("tcp"));
  deepEqual(edns?.options.map(({ code }) => code), [3, 10, 11]);
  equal(edns?.dnssecOk, true);
  equal(edns?.udpSize, 1232);
  equal(edns?.options[1].data.length, 24);
  equal(ednsFor(query(), contextOf()), undefined);
  equal(ednsFor(query(opt(), opt()), contextOf()), undefined);
  deepEqual(ednsFor(query(opt([[10, "01"]])), contextOf())?.options, []);
  // UPDATE: the zone section has the form of a question.
  const update = query(opt([[3, ""]]));
  update[2] = 0x28;
  equal(ednsFor(update, contextOf())?.options[0].code, 3);
});
