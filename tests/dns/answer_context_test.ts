/** What an answer owes to its transport, its client and to zones that are not there: through `answerQuery`, read by dns-packet. */
import { Buffer } from "node:buffer";
import { deepEqual, equal, notDeepEqual, ok } from "node:assert/strict";
import { type Answer, decode } from "dns-packet";
import {
  type AnswerContext,
  answerQuery,
  type AnswerSettings,
  brokenZone,
  createAnswerContext,
  createImageSet,
  DEFAULT_SETTINGS,
  nameFrom,
  nameToWire,
  RRTYPE,
} from "../../dns/mod.ts";
import { zoneOf } from "./answer_zones.ts";

const { A, CNAME, DS, MX, SOA, TXT } = RRTYPE;
const ANY = 255;
const CHAOS = 3;

const NSID = 3;
const EXPIRE = 9;
const COOKIE = 10;
const KEEPALIVE = 11;
const PADDING = 12;
const EXTENDED_ERROR = 15;
const ZONE_VERSION = 19;

const FORMERR = 1;
const SERVFAIL = 2;
const NXDOMAIN = 3;
const REFUSED = 5;
const BADVERS = 16;
const BADCOOKIE = 23;

const NOW = 1_700_000_000;
const CLIENT = "0102030405060708";

const SETTINGS: AnswerSettings = {
  ...DEFAULT_SETTINGS,
  nsid: new TextEncoder().encode("ns1"),
  cookieSecrets: [new Uint8Array(16).fill(7)],
  keepalive: 300,
  version: "Bailiwick",
};

/** Octets of answers: around a block's end, and around that of the longest message. */
const LENGTHS = [
  ...[0, 200, 423, 424, 425, 460, 500, 900, 2000, 20_000, 65_000, 65_300, 65_450],
  ...[65_473, 65_474, 65_475, 65_480, 65_488, 65_489, 65_490, 65_500],
];

const images = createImageSet([
  zoneOf(
    "a.test.",
    `$TTL 60\n@ SOA ns admin 4000000007 2 3 1209600 5\n@ NS ns\nns A 192.0.2.1\nwww A 192.0.2.2\n` +
      "sub NS ns.sub\nns.sub A 192.0.2.3\nserved NS ns.served\nserved DS 1 13 2 " + "ab".repeat(32) + "\n" +
      "broken NS ns.broken\nbroken DS 2 13 2 " + "cd".repeat(32) + "\n" +
      "to-broken CNAME www.bad.test.\nto-broken2 CNAME to-broken\n*.wild CNAME x.bad.test.\n" +
      "below DNAME bad.test.\nmail MX 1 www.bad.test.\nmail MX 2 www\n" +
      "there CNAME back.b.test.\nthere-soa CNAME b.test.\ndeep CNAME x.dn.b.test.\nnone CNAME gone.b.test.\n" +
      LENGTHS.map((length) => texts(`t${length}`, length)).join(""),
  ),
  zoneOf(
    "b.test.",
    "$TTL 60\n@ SOA ns admin 5 2 3 777 5\nback CNAME www.a.test.\ndn DNAME to.a.test.\nto-none CNAME gone.a.test.\n",
  ),
  zoneOf("served.a.test.", "$TTL 60\n@ SOA ns admin 9 2 3 888 5\nwww A 192.0.2.9\n"),
  brokenZone(nameFrom("bad.test.")),
  brokenZone(nameFrom("broken.a.test.")),
].map(({ image }) => image));

Deno.test("answers to padded queries fill blocks of 468 octets where they are encrypted, and nowhere else (RFC 8467 §4.1)", () => {
  const padding = [PADDING, "00".repeat(40)] as const;
  const others = [[], [[NSID, ""], [COOKIE, CLIENT], [KEEPALIVE, ""]]] as const;
  const seen = new Set<number>();
  for (
    const name of [...LENGTHS.map((length) => `t${length}.a.test.`), "gone.a.test.", "www.bad.test.", "."]
  ) {
    for (const options of others) {
      const plain = ask(name, TXT, { transport: "tls", options });
      equal(plain.options[PADDING], undefined);
      for (const transport of ["udp", "tcp"] as const) {
        const open = ask(name, TXT, { transport, options: [...options, padding] });
        equal(open.options[PADDING], undefined, `${name} ${transport}`);
        deepEqual(open.octets, ask(name, TXT, { transport, options }).octets);
      }
      const padded = ask(name, TXT, { transport: "tls", options: [...options, padding] });
      const least = plain.octets.length + 4;
      const whole = Math.ceil(least / 468) * 468;
      // What has no room for the option goes without; the last block ends with the message.
      const length = least > 65_535 ? plain.octets.length : Math.min(whole, 65_535);
      equal(padded.octets.length, length, `${name} of ${plain.octets.length} octets`);
      deepEqual(
        [padded.rcode, padded.answers, padded.authorities],
        [plain.rcode, plain.answers, plain.authorities],
      );
      if (least <= 65_535) ok(/^0*$/.test(padded.options[PADDING]));
      deepEqual({ ...padded.options, [PADDING]: "" }, { ...plain.options, [PADDING]: "" });
      seen.add(length);
      // Room that somebody else limits is not exceeded either.
      for (const room of [512, 1000]) {
        const short = ask(name, TXT, { transport: "tls", options: [...options, padding], room });
        ok(short.octets.length <= room);
        ok(short.octets.length === room || short.octets.length % 468 === 0);
      }
    }
  }
  ok([468, 936, 65_520, 65_535, 65_532].every((length) => seen.has(length)), [...seen].join(" "));
});

Deno.test("how long a connection may be idle is told where there is one, to who asks (RFC 7828 §3)", () => {
  const options = [[KEEPALIVE, ""]] as const;
  for (const transport of ["tcp", "tls"] as const) {
    equal(ask("www.a.test.", A, { transport, options }).options[KEEPALIVE], "012c");
    equal(ask("gone.a.test.", A, { transport, options }).options[KEEPALIVE], "012c");
    equal(ask("www.a.test.", A, { transport, options: [] }).options[KEEPALIVE], undefined);
    equal(ask("www.a.test.", A, { transport, options: [[KEEPALIVE, "0001"]] }).rcode, FORMERR);
  }
  for (const data of ["", "0001"]) {
    const over = ask("www.a.test.", A, { options: [[KEEPALIVE, data]] });
    deepEqual([over.rcode, over.options, over.answers.length], [0, {}, 1]);
  }
});

Deno.test("a chain into a zone that was never good ends there as one that leaves us, and only the zone itself is SERVFAIL", () => {
  const told = (name: string, type: number = A) => {
    const { rcode, authoritative, answers, authorities, additionals, options } = ask(name, type, {
      options: [[ZONE_VERSION, ""]],
    });
    return {
      rcode,
      authoritative,
      answers,
      others: [...authorities, ...additionals],
      error: options[EXTENDED_ERROR],
      version: options[ZONE_VERSION],
    };
  };
  const ours = { rcode: 0, authoritative: true, others: [], error: undefined, version: "0200ee6b2807" };
  deepEqual(told("to-broken.a.test."), { ...ours, answers: ["to-broken.a.test CNAME www.bad.test"] });
  deepEqual(told("to-broken2.a.test.", TXT), {
    ...ours,
    answers: ["to-broken2.a.test CNAME to-broken.a.test", "to-broken.a.test CNAME www.bad.test"],
  });
  deepEqual(told("q.wild.a.test."), { ...ours, answers: ["q.wild.a.test CNAME x.bad.test"] });
  deepEqual(told("x.below.a.test."), {
    ...ours,
    answers: ["below.a.test DNAME bad.test", "x.below.a.test CNAME x.bad.test"],
  });
  deepEqual(told("mail.a.test.", MX), {
    ...ours,
    answers: ["mail.a.test MX 1 www.bad.test", "mail.a.test MX 2 www.a.test"],
    others: ["www.a.test A 192.0.2.2"],
  });
  const not = { answers: [], others: [], version: undefined };
  const notReady = { rcode: SERVFAIL, authoritative: false, ...not, error: "000e" };
  for (const name of ["www.bad.test.", "bad.test.", "x.broken.a.test.", "broken.a.test."]) {
    deepEqual(told(name), notReady, name);
  }
  // What the parent has of it is told all the same.
  equal(told("broken.a.test.", DS).answers.length, 1);
});

Deno.test("a chain goes through the zones that we serve and back, and ends with the code of its last name (RFC 6604 §3)", () => {
  const told = (name: string, type: number) => {
    const { rcode, authoritative, answers, authorities } = ask(name, type);
    return [rcode, authoritative, answers.map((record) => record.replaceAll(".test", "")), authorities];
  };
  deepEqual(told("there.a.test.", A), [
    0,
    true,
    ["there.a CNAME back.b", "back.b CNAME www.a", "www.a A 192.0.2.2"],
    [],
  ]);
  deepEqual(told("there.a.test.", TXT), [
    0,
    true,
    ["there.a CNAME back.b", "back.b CNAME www.a"],
    ["a.test SOA 4000000007"],
  ]);
  deepEqual(told("there.a.test.", CNAME), [0, true, ["there.a CNAME back.b"], []]);
  deepEqual(told("none.a.test.", A), [NXDOMAIN, true, ["none.a CNAME gone.b"], ["b.test SOA 5"]]);
  deepEqual(told("to-none.b.test.", A), [NXDOMAIN, true, ["to-none.b CNAME gone.a"], [
    "a.test SOA 4000000007",
  ]]);
  // The name below `to.a.test` does not exist, which is the last zone's to say.
  deepEqual(told("deep.a.test.", A), [
    NXDOMAIN,
    true,
    ["deep.a CNAME x.dn.b", "dn.b DNAME to.a", "x.dn.b CNAME x.to.a"],
    ["a.test SOA 4000000007"],
  ]);
});

Deno.test("a client that takes the cookie it is given is known by it until an hour later, from its own address alone (RFC 9018 §4.3)", () => {
  const first = ask("www.a.test.", A, { options: [[COOKIE, CLIENT]] });
  deepEqual([first.rcode, first.answers.length, first.cookieValid], [0, 1, false]);
  const cookie = first.options[COOKIE];
  ok(cookie.startsWith(`${CLIENT}01000000${NOW.toString(16)}`) && cookie.length === 48, cookie);
  const again = (now: number, change: Partial<Question> = {}) => {
    const { cookieValid, rcode, options, answers } = ask("www.a.test.", A, {
      options: [[COOKIE, cookie]],
      now,
      ...change,
    });
    // Who has a bad one gets an answer and a good one: nothing here is worth refusing (RFC 7873 §5.2.3).
    deepEqual([rcode, answers.length], [0, 1]);
    equal(options[COOKIE].slice(0, 16), CLIENT);
    return [cookieValid, options[COOKIE] === cookie];
  };
  deepEqual(again(NOW), [true, true]);
  deepEqual(again(NOW + 1800), [true, true]);
  deepEqual(again(NOW + 1801), [true, false]);
  deepEqual(again(NOW + 3600), [true, false]);
  deepEqual(again(NOW + 3601), [false, false]);
  deepEqual(again(NOW - 300), [true, true]);
  deepEqual(again(NOW - 301), [false, false]);
  deepEqual(again(NOW + 1, { address: [192, 0, 2, 99] }), [false, false]);
  deepEqual(again(NOW + 1, { address: new Array(16).fill(1) }), [false, false]);
  const rolled = { ...SETTINGS, cookieSecrets: [new Uint8Array(16).fill(8), ...SETTINGS.cookieSecrets] };
  deepEqual(again(NOW + 1, { settings: rolled }), [true, false]);
  const forgotten = { ...SETTINGS, cookieSecrets: [new Uint8Array(16).fill(8)] };
  deepEqual(again(NOW + 1, { settings: forgotten }), [false, false]);
});

Deno.test("who asks for nothing but a cookie gets BADCOOKIE for a bad one, with a good one beside it (RFC 7873 §5.4)", () => {
  const only = (cookie: string, change: Partial<Question> = {}) =>
    ask("", A, { options: [[COOKIE, cookie]], ...change });
  const bad = only(CLIENT + "0100000065".padEnd(32, "f"));
  deepEqual([bad.rcode, bad.answers, bad.cookieValid, bad.questions], [BADCOOKIE, [], false, 0]);
  const good = only(bad.options[COOKIE]);
  deepEqual([good.rcode, good.cookieValid, good.options[COOKIE]], [0, true, bad.options[COOKIE]]);
  const fresh = only(CLIENT);
  deepEqual([fresh.rcode, fresh.cookieValid, fresh.options[COOKIE]], [0, false, bad.options[COOKIE]]);
  const late = only(bad.options[COOKIE], { now: NOW + 3601 });
  equal(late.rcode, BADCOOKIE);
  equal(only(late.options[COOKIE], { now: NOW + 3601 }).rcode, 0);
  // Who has no cookies to give cannot answer a query for one.
  equal(only(CLIENT, { settings: { ...SETTINGS, cookieSecrets: [] } }).rcode, FORMERR);
  equal(only("0102").rcode, FORMERR);
});

Deno.test("EXPIRE is told with the SOA of the zone that was asked, and with nothing else (RFC 7314 §3)", () => {
  const expire = (name: string, type: number) => ask(name, type, { options: [[EXPIRE, ""]] }).options[EXPIRE];
  equal(expire("a.test.", SOA), "00127500");
  equal(expire("b.test.", SOA), "00000309");
  for (
    const [name, type] of [
      ["a.test.", A],
      ["a.test.", ANY],
      ["www.a.test.", SOA],
      ["gone.a.test.", SOA],
      ["x.sub.a.test.", SOA],
      ["sub.a.test.", SOA],
      ["there-soa.a.test.", SOA],
      ["bad.test.", SOA],
      ["elsewhere.", SOA],
    ] as const
  ) equal(expire(name, type), undefined, `${name} ${type}`);
});

Deno.test("ZONEVERSION is that of the zone that the question's name is in, whatever is answered (RFC 9660 §3)", () => {
  const version = (name: string, type: number, change: Partial<Question> = {}) => {
    const { rcode, options } = ask(name, type, { options: [[ZONE_VERSION, ""]], ...change });
    return [rcode, options[ZONE_VERSION]];
  };
  const a = "0200ee6b2807";
  deepEqual(version("www.a.test.", A), [0, a]);
  deepEqual(version("www.a.test.", TXT), [0, a], "NODATA");
  deepEqual(version("x.gone.a.test.", A), [NXDOMAIN, a]);
  deepEqual(version("x.sub.a.test.", A), [0, a], "referral");
  deepEqual(version("x.below.a.test.", A), [0, a], "DNAME that leads away");
  deepEqual(version("none.a.test.", A), [NXDOMAIN, a], "denied by another zone");
  deepEqual(version("there.a.test.", A), [0, a]);
  deepEqual(version("a.test.", ANY), [0, a]);
  deepEqual(version("to-none.b.test.", A), [NXDOMAIN, "020000000005"]);
  deepEqual(version("served.a.test.", SOA), [0, "030000000009"]);
  deepEqual(version("served.a.test.", DS), [0, a], "from above the cut");
  deepEqual(version("elsewhere.", A), [REFUSED, undefined]);
  deepEqual(version("www.bad.test.", A), [SERVFAIL, undefined]);
  deepEqual(version("version.bind.", TXT, { questionClass: CHAOS }), [0, undefined]);
});

Deno.test("DO comes back as it was sent, whatever the answer is, and no reserved flag does (RFC 3225 §3, RFC 6891 §6.1.4)", () => {
  const kinds: [string, number, Partial<Question>, number][] = [
    ["www.a.test.", A, {}, 0],
    ["www.a.test.", TXT, {}, 0],
    ["gone.a.test.", A, {}, NXDOMAIN],
    ["x.sub.a.test.", A, {}, 0],
    ["a.test.", ANY, {}, 0],
    ["elsewhere.", A, {}, REFUSED],
    ["www.bad.test.", A, {}, SERVFAIL],
    ["www.a.test.", 128, {}, FORMERR],
    ["www.a.test.", A, { options: [[COOKIE, "01"]] }, FORMERR],
    ["www.a.test.", A, { version: 3 }, BADVERS],
    ["t2000.a.test.", TXT, {}, 0],
    ["version.bind.", TXT, { questionClass: CHAOS }, 0],
    ["", A, { options: [[COOKIE, CLIENT]] }, 0],
  ];
  for (const [name, type, change, rcode] of kinds) {
    for (const [flags, back] of [[0, 0], [0x8000, 0x8000], [0xffff, 0x8000], [0x7fff, 0]]) {
      const answer = ask(name, type, { ...change, flags });
      deepEqual([answer.rcode, answer.flags], [rcode, back], `${name} ${type} ${flags.toString(16)}`);
    }
  }
});

Deno.test("options that nobody knows change nothing (RFC 6891 §6.1.2)", () => {
  // ECS, N3U, CHAIN, an EDE in a query, two that are for experiments, the last one; empty and long.
  const unknown = [[8, "000118000a0b0c"], [7, "01"], [13, "00"], [15, "0016"], [65_001, ""]] as const;
  const more = [[65_534, "ff".repeat(300)], [65_535, "00"]] as const;
  for (
    const name of ["www.a.test.", "gone.a.test.", "x.sub.a.test.", "elsewhere.", "t900.a.test.", "bad.test."]
  ) {
    for (const options of [[], [[NSID, ""], [COOKIE, CLIENT], [EXPIRE, ""]]] as const) {
      const plain = ask(name, TXT, { options });
      const beside = ask(name, TXT, { options: [...unknown, ...options, ...more] });
      deepEqual(beside.octets, plain.octets, name);
    }
  }
});

Deno.test("a version of EDNS above ours gets BADVERS with our version, without an answer or options (RFC 6891 §6.1.3)", () => {
  for (const version of [1, 2, 7, 255]) {
    for (const transport of ["udp", "tcp", "tls"] as const) {
      for (const name of ["www.a.test.", "elsewhere.", "bad.test.", "t2000.a.test."]) {
        const answer = ask(name, TXT, {
          ...{ version, transport },
          options: [[NSID, ""], [COOKIE, CLIENT], [PADDING, ""], [ZONE_VERSION, "01"], [KEEPALIVE, "01"]],
        });
        deepEqual(
          [answer.rcode, answer.version, answer.size, answer.options],
          [BADVERS, 0, DEFAULT_SETTINGS.udpPayload, {}],
        );
        const { answers, authorities, additionals, authoritative, truncated, questions } = answer;
        deepEqual([answers, authorities, additionals], [[], [], []]);
        deepEqual([authoritative, truncated, questions, answer.cookieValid], [false, false, 1, false]);
        equal(answer.octets.length, 12 + nameToWire(nameFrom(name)).length + 4 + 11);
      }
    }
  }
  notDeepEqual(ask("www.a.test.", A, { version: 0 }).answers, []);
});

interface Question {
  readonly transport: AnswerContext["transport"];
  /** Code and data in hexadecimal. */
  readonly options: readonly (readonly [number, string])[];
  readonly settings: AnswerSettings;
  readonly address: readonly number[];
  readonly now: number;
  readonly version: number;
  readonly flags: number;
  readonly questionClass: number;
  /** Octets that the answer may have. */
  readonly room: number;
}

/** Asks with OPT; an empty name stands for no question at all. */
function ask(name: string, type: number, change: Partial<Question> = {}) {
  const { transport = "udp", settings = SETTINGS, address = [192, 0, 2, 1], now = NOW } = change;
  const context = createAnswerContext(transport, settings);
  context.address.set(address);
  context.addressOctets = address.length;
  context.now = now;
  const query = queryFor(name, type, change);
  const out = new Uint8Array(change.room ?? (transport === "udp" ? 1232 : 65_535));
  const length = answerQuery(images, query, query.length, out, context);
  ok(length >= 12, `not answered: ${length}`);
  const octets = out.slice(0, length);
  const packet = decode(Buffer.from(octets));
  equal(decode.bytes, length, "octets behind the last record");
  const { answers = [], authorities = [], additionals = [], questions = [] } = packet;
  const opt = additionals.find((record) => record.type === "OPT");
  ok(opt?.type === "OPT");
  return {
    octets,
    rcode: opt.extendedRcode << 4 | octets[3] & 15,
    authoritative: packet.flag_aa,
    truncated: packet.flag_tc,
    questions: questions.length,
    answers: answers.map(textOf),
    authorities: authorities.map(textOf),
    additionals: additionals.filter((record) => record !== opt).map(textOf),
    version: opt.ednsVersion,
    flags: opt.flags,
    size: opt.udpPayloadSize,
    options: Object.fromEntries(opt.options.map(({ code, data }) => [code, data?.toString("hex") ?? ""])),
    cookieValid: context.cookieValid,
  };
}

function queryFor(name: string, type: number, change: Partial<Question>): Uint8Array {
  const { options = [], version = 0, flags = 0, questionClass = 1 } = change;
  const hex16 = (value: number) => value.toString(16).padStart(4, "0");
  const rdata = options.map(([code, data]) => hex16(code) + hex16(data.length / 2) + data).join("");
  const question = name === "" ? "" : nameToWire(nameFrom(name)).toHex() + hex16(type) + hex16(questionClass);
  return Uint8Array.fromHex(
    `07090000${hex16(name === "" ? 0 : 1)}000000000001${question}` +
      `0000291000${"00"}${hex16(version).slice(2)}${hex16(flags)}${hex16(rdata.length / 2)}${rdata}`,
  );
}

function textOf(record: Answer): string {
  const data = () => {
    switch (record.type) {
      case "A":
      case "CNAME":
      case "DNAME":
      case "NS":
        return record.data;
      case "MX":
        return `${record.data.preference} ${record.data.exchange}`;
      case "SOA":
        return `${record.data.serial}`;
      case "TXT":
        return String(record.data);
      default:
        return "";
    }
  };
  return `${record.name} ${record.type} ${data()}`.trim();
}

/** TXT records at an owner with so many octets in a message; none for 0. */
function texts(owner: string, octets: number): string {
  const lines: string[] = [];
  for (let left = octets, i = 0; left > 0; i++) {
    const record = left > 213 + 40 ? 213 : left;
    lines.push(`${owner} TXT "${`${i}`.padEnd(record - 13, "-")}"\n`);
    left -= record;
  }
  return lines.join("");
}
