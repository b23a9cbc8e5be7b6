/**
 * The tests that operators' servers are judged by (RFC 8906 §8; `genreport` is the program), over UDP and TCP, of both
 * kinds of servers: by messages made by hand, and by the RFC's own dig commands.
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import {
  answerQuery,
  createAnswerContext,
  createImageBoard,
  createResponder,
  DEFAULT_SETTINGS,
  type ParsedMessage,
  parseMessage,
  startDnsServer,
} from "../../dns/mod.ts";
import { realTest, run } from "../tools/real.ts";
import { ask, askByTcp } from "./answer_servers.ts";
import { zoneOf } from "./answer_zones.ts";

const ZONE = `
$TTL 3600
@ SOA ns1 admin 7 3600 600 86400 120
@ NS ns1
ns1 A 192.0.2.1
${Array.from({ length: 8 }, (_, i) => `big TXT "${i}${"x".repeat(199)}"`).join("\n")}
`;

const SETTINGS = {
  ...DEFAULT_SETTINGS,
  nsid: new TextEncoder().encode("ns1"),
  cookieSecrets: [new Uint8Array(16).fill(9)],
  keepalive: 100,
};

interface Opt {
  readonly version?: number;
  readonly flags?: number;
  readonly size?: number;
  /** Codes and data in hexadecimal. */
  readonly options?: readonly (readonly [number, string])[];
}

interface Expected {
  readonly rcode: number;
  /** The SOA answer of the zone, with AA; or nothing, with or without AA. */
  readonly answer: "soa" | "nodata" | "nothing" | "truncated";
  /** The flags of OPT. Default: none is set. */
  readonly optFlags?: number;
  readonly options?: readonly number[];
}

interface Case {
  readonly section: string;
  readonly name: string;
  /** The second 16 bits of the header. */
  readonly header?: number;
  readonly qname?: string;
  readonly type?: number;
  /** Nothing but the header. */
  readonly bare?: boolean;
  readonly opt?: Opt;
  readonly expected: Expected;
  /** What dig is given besides server and port; none where dig cannot send it. */
  readonly dig?: readonly string[];
  /** Only over UDP. */
  readonly udpOnly?: boolean;
}

const SOA = 6;
const TXT = 16;
const NOERROR = 0;
const NOTIMP = 4;
const BADVERS = 16;
const DO = 0x8000;
const ZONE_NAME = "example.test";
const PLAIN = ["+noedns", "+noad", "+norec"];
const EDNS = ["+nocookie", "+edns=0", "+noad", "+norec"];
const EDNS1 = ["+nocookie", "+edns=1", "+noednsneg", "+noad", "+norec"];
const GOOD: Expected = { rcode: NOERROR, answer: "soa" };
const BAD_VERSION: Expected = { rcode: BADVERS, answer: "nothing" };

const CASES: readonly Case[] = [
  { section: "8.1.1", name: "the zone is served", expected: GOOD, dig: [...PLAIN, "soa", ZONE_NAME] },
  {
    section: "8.1.2",
    name: "an unknown type is no error",
    type: 1000,
    expected: { rcode: NOERROR, answer: "nodata" },
    dig: [...PLAIN, "type1000", ZONE_NAME],
  },
  {
    section: "8.1.3.1",
    name: "CD is ignored and not copied",
    header: 0x0010,
    expected: GOOD,
    dig: [...PLAIN, "+cd", "soa", ZONE_NAME],
  },
  {
    section: "8.1.3.2",
    name: "AD in a query does not come back",
    header: 0x0020,
    expected: GOOD,
    dig: ["+noedns", "+norec", "+ad", "soa", ZONE_NAME],
  },
  {
    section: "8.1.3.3",
    name: "the reserved bit does not come back",
    header: 0x0040,
    expected: GOOD,
    dig: [...PLAIN, "+zflag", "soa", ZONE_NAME],
  },
  {
    section: "8.1.3.4",
    name: "a recursive query is answered from the zone, RD copied and RA clear",
    header: 0x0100,
    expected: GOOD,
    dig: ["+noedns", "+noad", "+rec", "soa", ZONE_NAME],
  },
  {
    section: "8.1.3",
    name: "bits that only responses have a meaning for do not come back",
    header: 0x0680,
    expected: GOOD,
  },
  ...[3, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 1, 2].map((opcode): Case => ({
    section: "8.1.4",
    name: `opcode ${opcode} is not implemented`,
    header: opcode << 11,
    bare: true,
    expected: { rcode: NOTIMP, answer: "nothing" },
    dig: [...PLAIN, `+opcode=${opcode}`, "+header-only", ZONE_NAME],
  })),
  {
    section: "8.1.4",
    name: "an unknown opcode with a question and OPT is not implemented",
    header: 15 << 11,
    opt: {},
    expected: { rcode: NOTIMP, answer: "nothing" },
    dig: [...EDNS, "+opcode=15", "soa", ZONE_NAME],
  },
  {
    section: "8.2.1",
    name: "minimal EDNS",
    opt: {},
    expected: GOOD,
    dig: [...EDNS, "soa", ZONE_NAME],
  },
  {
    section: "8.2.2",
    name: "an unknown version of EDNS",
    opt: { version: 1 },
    expected: BAD_VERSION,
    dig: [...EDNS1, "soa", ZONE_NAME],
  },
  {
    section: "8.2.2",
    name: "the last version of EDNS that there can be",
    opt: { version: 255 },
    expected: BAD_VERSION,
    dig: ["+nocookie", "+edns=255", "+noednsneg", "+noad", "+norec", "soa", ZONE_NAME],
  },
  {
    section: "8.2.3",
    name: "an unknown option is ignored",
    opt: { options: [[100, ""]] },
    expected: GOOD,
    dig: [...EDNS, "+ednsopt=100", "soa", ZONE_NAME],
  },
  {
    section: "8.2.3",
    name: "an unknown option with content is ignored",
    opt: { options: [[65_001, "0102030405"], [100, "ff"]] },
    expected: GOOD,
    dig: [...EDNS, "+ednsopt=65001:0102030405", "+ednsopt=100:ff", "soa", ZONE_NAME],
  },
  {
    section: "8.2.4",
    name: "unknown flags do not come back",
    opt: { flags: 0x0040 },
    expected: GOOD,
    dig: [...EDNS, "+ednsflags=0x40", "soa", ZONE_NAME],
  },
  {
    section: "8.2.4",
    name: "of all flags DO alone comes back",
    opt: { flags: 0xffff },
    expected: { ...GOOD, optFlags: DO },
    dig: [...EDNS, "+dnssec", "+ednsflags=0xffff", "soa", ZONE_NAME],
  },
  {
    section: "8.2.5",
    name: "an unknown version with unknown flags",
    opt: { version: 1, flags: 0x0040 },
    expected: BAD_VERSION,
    dig: [...EDNS1, "+ednsflags=0x40", "soa", ZONE_NAME],
  },
  {
    section: "8.2.6",
    name: "an unknown version with an unknown option",
    opt: { version: 1, options: [[100, ""]] },
    expected: BAD_VERSION,
    dig: [...EDNS1, "+ednsopt=100", "soa", ZONE_NAME],
  },
  {
    section: "8.2.6",
    name: "an unknown version with an option that would be a format error in version 0",
    opt: { version: 1, options: [[10, "00"]] },
    expected: BAD_VERSION,
    dig: [...EDNS1, "+ednsopt=10:00", "soa", ZONE_NAME],
  },
  {
    section: "8.2.7",
    name: "what is truncated has OPT",
    qname: `big.${ZONE_NAME}`,
    type: TXT,
    udpOnly: true,
    opt: { size: 512, flags: DO },
    expected: { rcode: NOERROR, answer: "truncated", optFlags: DO },
    dig: ["+nocookie", "+noad", "+norec", "+dnssec", "+bufsize=512", "+ignore", "txt", `big.${ZONE_NAME}`],
  },
  {
    section: "8.2.7",
    name: "what is truncated without OPT has none",
    qname: `big.${ZONE_NAME}`,
    type: TXT,
    udpOnly: true,
    expected: { rcode: NOERROR, answer: "truncated" },
    dig: [...PLAIN, "+ignore", "txt", `big.${ZONE_NAME}`],
  },
  {
    section: "8.2.8",
    name: "DO comes back",
    opt: { flags: DO },
    expected: { ...GOOD, optFlags: DO },
    dig: [...EDNS, "+dnssec", "soa", ZONE_NAME],
  },
  {
    section: "8.2.9",
    name: "an unknown version with DO",
    opt: { version: 1, flags: DO },
    expected: { ...BAD_VERSION, optFlags: DO },
    dig: [...EDNS1, "+dnssec", "soa", ZONE_NAME],
  },
  {
    section: "8.2.10",
    name: "several options that are defined",
    opt: { options: [[3, ""], [8, "00010000"], [9, ""], [10, "0102030405060708"]] },
    // EXPIRE belongs to the answer for SOA (RFC 7314 §3.1); SUBNET is not answered.
    expected: { ...GOOD, options: [3, 10, 9] },
    dig: ["+edns=0", "+noad", "+norec", "+cookie", "+nsid", "+expire", "+subnet=0.0.0.0/0", "soa", ZONE_NAME],
  },
];

for (const ffi of [true, false]) {
  const way = ffi ? "batched" : "portable";

  Deno.test(`all cases of RFC 8906 §8 are answered as it says (${way})`, async (test) => {
    await serving(ffi, async (port) => {
      for (const each of CASES) {
        for (const transport of each.udpOnly ? ["udp"] as const : ["udp", "tcp"] as const) {
          await test.step(`${each.section} over ${transport}: ${each.name}`, async () => {
            const query = queryOf(each);
            const reply = transport === "udp" ? await ask(port, query, 5000) : await askByTcp(port, query);
            ok(reply !== undefined, "no reply");
            judgeReply(each, query, reply);
          });
        }
      }
    });
  });

  realTest(
    `dig sees in all cases of RFC 8906 §8 what it is told to look for (${way})`,
    { needs: ["dig"] },
    async ({ step }) => {
      await serving(ffi, async (port) => {
        for (const each of CASES.filter(({ dig }) => dig !== undefined)) {
          for (const tcp of each.udpOnly ? [[]] : [[], ["+tcp"]]) {
            await step(`${each.section}: ${each.name} ${tcp.join("")}`, async () => {
              const server = ["@127.0.0.1", "-p", `${port}`, "+tries=2", "+time=5", "+noidnin", ...tcp];
              const { stdout } = await run("dig", [...server, ...each.dig ?? []]);
              judgeDig(each, stdout);
            });
          }
        }
      });
    },
  );
}

function judgeReply(each: Case, query: Uint8Array, bytes: Uint8Array): void {
  const { expected } = each;
  const parsed = parseMessage(bytes);
  ok(parsed.ok, parsed.ok ? "" : parsed.error.message);
  const reply = parsed.value;
  equal(reply.id, 0xbeef);
  equal(bytes[2] & 0x80, 0x80, "QR");
  equal(bytes[2] & 0x78, query[2] & 0x78, "opcode");
  equal(bytes[2] & 0x01, query[2] & 0x01, "RD");
  equal(bytes[3] & 0xf0, 0, "RA, Z, AD and CD");
  equal(reply.rcode, expected.rcode);
  judgeRecords(expected.answer, reply);
  if (each.bare) equal(bytes.length, 12);
  else {
    const end = 12 + wireName(each.qname ?? ZONE_NAME).length / 2 + 4;
    deepEqual(bytes.subarray(12, end), query.subarray(12, end), "the question as it was");
  }
  if (each.opt === undefined) return equal(reply.edns, undefined);
  ok(reply.edns !== undefined, "OPT");
  equal(reply.edns.version, 0);
  equal(reply.edns.udpSize, 1232);
  // OPT is the last record, so its flags stand before RDLENGTH and options.
  const rdata = reply.edns.options.reduce((sum, { data }) => sum + 4 + data.length, 0);
  const flags = bytes.length - rdata - 4;
  equal(bytes[flags] << 8 | bytes[flags + 1], expected.optFlags ?? 0, "flags of OPT");
  const codes = reply.edns.options.map(({ code }) => code);
  deepEqual(codes, expected.options ?? []);
}

function judgeRecords(answer: Expected["answer"], reply: ParsedMessage): void {
  equal(reply.truncated, answer === "truncated", "TC");
  equal(reply.authoritative, answer !== "nothing", "AA");
  switch (answer) {
    case "soa":
      return deepEqual(reply.answers.map(({ type, owner }) => [type, owner]), [[SOA, "example.test."]]);
    case "nodata":
      deepEqual(reply.answers, []);
      return deepEqual(reply.authorities.map(({ type }) => type), [SOA]);
    case "nothing":
      deepEqual(reply.answers, []);
      return deepEqual(reply.authorities, []);
    case "truncated":
      ok(reply.answers.length < 8);
  }
}

function judgeDig(each: Case, output: string): void {
  const { expected } = each;
  const rcode = { 0: "NOERROR", 4: "NOTIMP", 16: "BADVERS" }[expected.rcode];
  match(output, new RegExp(`status: ${rcode},`));
  const flags = /^;; flags: ([^;]*);/m.exec(output)?.[1].split(" ") ?? [];
  equal(flags.includes("qr"), true, output);
  equal(flags.includes("aa"), expected.answer !== "nothing", output);
  equal(flags.includes("tc"), expected.answer === "truncated", output);
  for (const flag of ["ra", "ad", "cd"]) equal(flags.includes(flag), false, output);
  equal(flags.includes("rd"), each.dig?.includes("+rec"), output);
  ok(!output.includes("MBZ") && !output.includes("Warning: Message parser"), output);
  const counts = /ANSWER: (\d+), AUTHORITY: (\d+)/.exec(output)?.slice(1).map(Number) ?? [];
  if (expected.answer !== "truncated") {
    const wanted = { soa: [1, 0], nodata: [0, 1], nothing: [0, 0] }[expected.answer];
    deepEqual(counts, wanted, output);
    const soa = /^example\.test\.\s+\d+\s+IN\s+SOA\s/m.test(output);
    equal(soa, expected.answer !== "nothing", output);
  }
  const opt = /^; EDNS: version: (\d+), flags:([^;]*); udp: (\d+)$/m.exec(output);
  if (each.opt === undefined) return equal(opt, null, output);
  ok(opt !== null, output);
  deepEqual([opt[1], opt[2].trim(), opt[3]], ["0", expected.optFlags === DO ? "do" : "", "1232"], output);
  ok(!output.includes("OPT=100"), output);
  if (expected.options?.includes(3)) ok(output.includes('; NSID: 6e 73 31 ("ns1")'), output);
  if (expected.options?.includes(10)) match(output, /^; COOKIE: [0-9a-f]{48} \(good\)$/m);
}

async function serving(ffi: boolean, body: (port: number) => Promise<void>): Promise<void> {
  const board = createImageBoard();
  board.publish([zoneOf("example.test.", ZONE)]);
  const lines: string[] = [];
  const respond = createResponder({
    answer: (query, out, { protocol }) =>
      answerQuery(board.current(), query, query.length, out, createAnswerContext(protocol, SETTINGS)),
    lookupKey: () => undefined,
    update: () => Promise.reject(new Error("there is no signed update here")),
    now: Date.now,
    log: (event) => lines.push(event.kind),
  });
  const started = await startDnsServer({
    listen: [{ host: "127.0.0.1", port: 0 }],
    workers: 1,
    board,
    respond,
    settings: SETTINGS,
    log: (line) => lines.push(line),
    ffi,
  });
  if (!started.ok) throw new Error(started.error.message);
  try {
    equal(started.value.mode, ffi ? "batched" : "portable", lines.join("\n"));
    await body(started.value.addresses[0].port);
    equal(started.value.counters().faults, 0);
  } finally {
    await started.value.stop();
  }
}

function queryOf({ header = 0, qname = ZONE_NAME, type = SOA, bare = false, opt }: Case): Uint8Array {
  const head = `beef${hex16(header)}`;
  if (bare) return Uint8Array.fromHex(`${head}${"0".repeat(16)}`);
  const question = `${wireName(qname)}${hex16(type)}0001`;
  if (opt === undefined) return Uint8Array.fromHex(`${head}0001000000000000${question}`);
  const rdata = (opt.options ?? []).map(([code, data]) => hex16(code) + hex16(data.length / 2) + data).join(
    "",
  );
  const version = (opt.version ?? 0).toString(16).padStart(2, "0");
  const record = `000029${hex16(opt.size ?? 1232)}00${version}${hex16(opt.flags ?? 0)}${
    hex16(rdata.length / 2)
  }${rdata}`;
  return Uint8Array.fromHex(`${head}0001000000000001${question}${record}`);
}

/** In hexadecimal. */
function wireName(name: string): string {
  const labels = name.split(".").map((label) => new TextEncoder().encode(label));
  return labels.map((label) => label.length.toString(16).padStart(2, "0") + label.toHex()).join("") + "00";
}

function hex16(value: number): string {
  return value.toString(16).padStart(4, "0");
}
