import { Buffer } from "node:buffer";
import { deepEqual, equal, ok } from "node:assert/strict";
import { decode } from "dns-packet";
import fc from "fast-check";
import {
  answerQuery,
  brokenZone,
  compileZone,
  createAnswerContext,
  createImageSet,
  DEFAULT_SETTINGS,
  DROP,
  type ImageSet,
  nameFrom,
  nameToWire,
  RESPONSE,
  SLOW_PATH,
} from "../../dns/mod.ts";
import { mostWorkSteps, workSteps } from "../../dns/answer/answer.ts";
import { allImages, allZones, questionNames, recordsOf, zoneOf, ZONES } from "./answer_zones.ts";

const images = allImages();

Deno.test("the case of the question comes back exactly, in synthesised names too", () => {
  const wire = Uint8Array.of(
    ...[3, 0x58, 0x2e, 0x59, 2, 0x44, 0x6e, 7],
    ...bytes("eXaMpLe"),
    4,
    ...bytes("TesT"),
    0,
  );
  const out = ask(images, query(wire, 1));
  deepEqual(out.slice(12, 12 + wire.length), wire);
  const all = Buffer.from(out).toString("latin1");
  ok(
    all.includes("X.Y\x06target") || all.includes("X.Y\xc0"),
    "the label of the synthesised CNAME keeps its case",
  );
});

Deno.test("data below a DNAME is not answered from (RFC 6672 §2.4)", () => {
  const packet = parsed("below.dn.example.test.", 1);
  ok(packet.answers?.some((record) => record.type === "DNAME"));
  ok(!packet.answers?.some((record) => record.type === "A"));
});

Deno.test("a DNAME that makes a name too long is YXDOMAIN (RFC 6672 §2.2)", () => {
  const long = `${"x".repeat(60)}.${"y".repeat(60)}.long.example.test.`;
  const out = ask(images, query(nameToWire(nameFrom(long)), 1));
  equal(out[3] & 15, 6);
  equal(out[7], 1);
});

Deno.test("ANY gets HINFO, a CNAME where there is one, and nothing where there is no data (RFC 8482)", () => {
  deepEqual(parsed("multi.example.test.", 255).answers?.map(({ type }) => type), ["HINFO"]);
  deepEqual(parsed("alias.example.test.", 255).answers?.map(({ type }) => type), ["CNAME"]);
  deepEqual(parsed("tree.example.test.", 255).answers, []);
  deepEqual(parsed("x.wild.example.test.", 255).answers?.map(({ name }) => name), ["x.wild.example.test"]);
});

Deno.test("signatures asked for are all that the name has, each with the TTL of what it covers (RFC 4034 §3)", () => {
  const signature = (covered: string, ttl: number) =>
    `@ 60 RRSIG ${covered} 13 2 ${ttl} 20300101000000 20200101000000 1 z.test. AAAA\n`;
  const zone = zoneOf(
    "z.test.",
    `@ 3600 SOA a b 1 2 3 4 5\n@ 900 NS a.z.test.\n${signature("SOA", 3600)}${signature("NS", 900)}` +
      "@ 5 NSEC z.test. SOA NS RRSIG NSEC\n",
  );
  const images = createImageSet([zone.image]);
  const answers = (type: number) =>
    decode(Buffer.from(ask(images, query(nameToWire(nameFrom("z.test.")), type)))).answers ?? [];
  deepEqual(
    answers(46).map((record) => record.type === "RRSIG" && [record.ttl, record.data.typeCovered]),
    [[900, "NS"], [3600, "SOA"]],
  );
  equal(answers(47).length, 1);
  equal(answers(48).length, 0);
});

Deno.test("a signature cut short makes no zone", () => {
  const records = [{
    owner: nameFrom("z.test."),
    type: 46,
    class: 1,
    ttl: 1,
    rdata: Uint8Array.of(0, 6, 13, 2, 0),
  }];
  const zone = compileZone(nameFrom("z.test."), records);
  equal(zone.ok ? "" : zone.error.code, "bad-rdata");
});

Deno.test("additional data is that of the targets in the zone's authority", () => {
  const additionals = (name: string, type: number) =>
    (parsed(name, type).additionals ?? []).filter((record) => record.type !== "OPT")
      .map((record) => `${record.name} ${record.type}`);
  deepEqual(additionals("_sip._tcp.example.test.", 33), [
    "multi.example.test A",
    "multi.example.test A",
    "multi.example.test AAAA",
  ]);
  deepEqual(additionals("svc.example.test.", 65).length, 3);
  deepEqual(additionals("own.example.test.", 65), ["own.example.test A"]);
  deepEqual(additionals("mx.example.test.", 15), ["*.wild.example.test A"]);
});

Deno.test("a zone that was never good is SERVFAIL, its neighbours are not", () => {
  const set = createImageSet(
    [...allZones(), brokenZone(nameFrom("bad.example.test."))].map(({ image }) => image),
  );
  equal(ask(set, query(nameToWire(nameFrom("x.bad.example.test.")), 1))[3] & 15, 2);
  equal(ask(set, query(nameToWire(nameFrom("multi.example.test.")), 1))[3] & 15, 0);
});

Deno.test("a negative answer lives as long as the shorter of the SOA's TTL and minimum (RFC 2308 §5)", () => {
  for (const [ttl, minimum, expected] of [[60, 300, 60], [300, 60, 60]]) {
    const zone = zoneOf("z.test.", `@ ${ttl} SOA ns admin 1 2 3 4 ${minimum}\n`);
    const set = createImageSet([zone.image]);
    const packet = decode(Buffer.from(ask(set, query(nameToWire(nameFrom("no.z.test.")), 1))));
    deepEqual(packet.authorities?.map((record) => "ttl" in record ? record.ttl : -1), [expected]);
    const positive = decode(Buffer.from(ask(set, query(nameToWire(nameFrom("z.test.")), 6))));
    deepEqual(positive.answers?.map((record) => "ttl" in record ? record.ttl : -1), [ttl]);
  }
});

Deno.test("what is no answerable query", () => {
  const good = query(nameToWire(nameFrom("multi.example.test.")), 1);
  const rcode = (change: (query: Uint8Array) => Uint8Array | void) => {
    const copy = good.slice();
    const changed = change(copy) ?? copy;
    const out = new Uint8Array(1232);
    const length = answerQuery(images, changed, changed.length, out, createAnswerContext("udp"));
    return length <= 0 ? length : out[3] & 15;
  };
  equal(rcode((q) => void (q[2] |= 0x80)), DROP);
  equal(rcode((q) => q.slice(0, 11)), DROP);
  equal(rcode((q) => void (q[2] = 0x28)), SLOW_PATH);
  equal(rcode((q) => void (q[q.length - 3] = 252)), SLOW_PATH);
  equal(rcode((q) => void (q[q.length - 3] = 251)), SLOW_PATH);
  equal(rcode((q) => void (q[5] = 2)), 1);
  equal(rcode((q) => void (q[5] = 0)), 1);
  equal(rcode((q) => q.slice(0, -1)), 1);
  equal(rcode((q) => Uint8Array.of(...q, 0)), 1);
  equal(rcode((q) => void (q[12] = 0xc0)), 1);
  equal(rcode((q) => void (q[q.length - 1] = 3)), 5);
  equal(rcode((q) => void (q[q.length - 1] = 254)), 5);
  equal(rcode((q) => withRecords(q, [tsig()])), SLOW_PATH);
  equal(rcode((q) => withRecords(q, [opt(1232), opt(1232)])), 1);
  equal(rcode((q) => withRecords(q, [opt(1232, [0, 3, 0, 9, 1])])), 1);
  equal(rcode((q) => withRecords(q, [opt(1232, [0, 99, 0, 1, 7])])), 0);
});

Deno.test("EDNS: OPT only for OPT, DO copied, another version is BADVERS (RFC 6891 §6.1.3)", () => {
  const name = nameToWire(nameFrom("multi.example.test."));
  equal(ask(images, query(name, 1))[11], 0);
  const plain = ask(images, withRecords(query(name, 1), [opt(1232)]));
  deepEqual([...plain.slice(-11)], [0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0]);
  const wanted = opt(1232);
  wanted[7] = 0x80;
  equal(ask(images, withRecords(query(name, 1), [wanted])).at(-4), 0x80);
  const future = opt(1232);
  future[6] = 1;
  const refused = ask(images, withRecords(query(name, 1), [future]));
  deepEqual([refused[3] & 15, refused[7], refused.at(-6)], [0, 0, 1]);
});

Deno.test("class CHAOS tells what is configured and refuses all else (RFC 4892)", () => {
  const settings = { ...DEFAULT_SETTINGS, version: "Bailiwick 1", id: "ns1" };
  const chaos = (name: string, type = 16, configured = settings) => {
    const asked = query(nameToWire(nameFrom(name)), type);
    asked[asked.length - 1] = 3;
    const out = new Uint8Array(1232);
    const length = answerQuery(images, asked, asked.length, out, createAnswerContext("udp", configured));
    const packet = decode(Buffer.from(out.subarray(0, length)));
    return packet.answers?.map((record) => record.type === "TXT" && String(record.data)) ?? [];
  };
  for (const name of ["version.bind.", "VERSION.server."]) deepEqual(chaos(name), ["Bailiwick 1"]);
  for (const name of ["id.server.", "hostname.bind."]) deepEqual(chaos(name), ["ns1"]);
  deepEqual(chaos("id.server.", 255), ["ns1"]);
  deepEqual(chaos("id.server.", 1), []);
  deepEqual(chaos("authors.bind."), []);
  deepEqual(chaos("version.bind.", 16, { ...settings, version: "" }), []);
});

Deno.test("an answer for any class is never authoritative (RFC 1034 §3.7.1)", () => {
  const asked = query(nameToWire(nameFrom("multi.example.test.")), 1);
  asked[asked.length - 1] = 255;
  const out = ask(images, asked);
  deepEqual([out[2] & 4, out[7]], [0, 2]);
});

Deno.test("DS is answered from above the cut (RFC 4035 §3.1.4.1)", () => {
  const parent = zoneOf(
    "z.test.",
    `$TTL 60\n@ SOA a b 1 2 3 4 5\nsub NS ns.sub\nsub DS 1 13 2 ${"ab".repeat(32)}\nbare NS ns.sub\n`,
  );
  const child = zoneOf("sub.z.test.", "$TTL 60\n@ SOA a b 1 2 3 4 5\n@ NS ns\n");
  const ds = (zones: typeof parent[], name: string) => {
    const packet = decode(
      Buffer.from(
        ask(createImageSet(zones.map(({ image }) => image)), query(nameToWire(nameFrom(name)), 43)),
      ),
    );
    const authority = packet.authorities?.map((record) => `${record.name} ${record.type}`);
    return [packet.flag_aa, packet.answers?.length, authority];
  };
  deepEqual(ds([parent], "sub.z.test."), [true, 1, []]);
  deepEqual(ds([parent, child], "sub.z.test."), [true, 1, []]);
  deepEqual(ds([parent], "bare.z.test."), [true, 0, ["z.test SOA"]]);
  // Who has only the child is authoritative for nothing above it.
  deepEqual(ds([child], "sub.z.test."), [true, 0, ["sub.z.test SOA"]]);
  deepEqual(ds([parent], "x.sub.z.test."), [false, 0, ["sub.z.test NS"]]);
});

Deno.test("an alias of SVCB brings the records that it leads to, the root as alias nothing (RFC 9460 §2.5, §4.1)", () => {
  const zone = zoneOf(
    "z.test.",
    "$TTL 60\n@ SOA a b 1 2 3 4 5\n@ HTTPS 0 pool\npool HTTPS 1 . alpn=h2\npool A 192.0.2.1\n" +
      "none HTTPS 0 .\nnone A 192.0.2.2\n",
  );
  const set = createImageSet([zone.image]);
  const additionals = (name: string) =>
    decode(Buffer.from(ask(set, query(nameToWire(nameFrom(name)), 65)))).additionals?.map(({ type }) => type);
  deepEqual(additionals("z.test."), ["A", "UNKNOWN_65"]);
  deepEqual(additionals("pool.z.test."), ["A"]);
  deepEqual(additionals("none.z.test."), []);
});

Deno.test("the addresses of a zone's own name servers go along even from below a cut (RFC 8109 §3.3)", () => {
  const zone = zoneOf(
    ".",
    "$TTL 60\n@ SOA a. b. 1 2 3 4 5\n@ NS a.root.net.\nnet. NS ns.net.\na.root.net. A 192.0.2.1\nns.net. A 192.0.2.2\n",
  );
  const out = decode(Buffer.from(ask(createImageSet([zone.image]), query(Uint8Array.of(0), 2))));
  deepEqual(out.additionals?.map(({ name }) => name), ["a.root.net"]);
});

Deno.test("a chain that passes a DNAME twice has it once (RFC 2181 §5)", () => {
  const zone = zoneOf("z.test.", "$TTL 60\n@ SOA a b 1 2 3 4 5\n*.p DNAME p\n");
  const out = ask(createImageSet([zone.image]), query(nameToWire(nameFrom("x.*.*.p.z.test.")), 1));
  const types = decode(Buffer.from(out)).answers?.map(({ type }) => type);
  deepEqual(types, ["DNAME", "CNAME", "CNAME"]);
});

Deno.test("what a flood of responses has in common is told to who limits their rate", () => {
  const judge = (name: string, type = 1) => {
    const context = createAnswerContext("udp");
    const asked = query(nameToWire(nameFrom(name)), type);
    answerQuery(images, asked, asked.length, new Uint8Array(1232), context);
    return [context.kind, context.flood];
  };
  const kinds: [string, number, number][] = [
    ["multi.example.test.", 1, RESPONSE.answer],
    ["multi.example.test.", 33, RESPONSE.nodata],
    ["multi.example.test.", 255, RESPONSE.any],
    ["none.example.test.", 1, RESPONSE.nxdomain],
    ["x.sub.example.test.", 1, RESPONSE.referral],
    ["elsewhere.invalid.", 1, RESPONSE.error],
  ];
  for (const [name, type, kind] of kinds) equal(judge(name, type)[0], kind, `${name} ${type}`);
  const same: [string, string][] = [
    ["a.example.test.", "b.c.example.test."],
    ["x.sub.example.test.", "y.z.sub.example.test."],
    ["a.wild.example.test.", "b.c.wild.example.test."],
    ["a.dn.example.test.", "b.dn.example.test."],
    ["elsewhere.invalid.", "other.invalid."],
  ];
  for (const [a, b] of same) deepEqual(judge(a), judge(b), `${a} ${b}`);
  ok(judge("multi.example.test.")[1] !== judge("mail.example.test.")[1]);
  ok(judge("x.sub.example.test.")[1] !== judge("x.sibling.example.test.")[1]);
});

Deno.test("who can read extended errors is told why (RFC 8914)", () => {
  const set = createImageSet([brokenZone(nameFrom("bad.test.")).image]);
  const code = (name: string, type = 1) => {
    const out = ask(set, withRecords(query(nameToWire(nameFrom(name)), type), [opt(1232)]));
    return [out[3] & 15, out.at(-5), out.at(-1)];
  };
  deepEqual(code("other.test."), [5, 15, 20]);
  deepEqual(code("x.bad.test."), [2, 15, 14]);
  deepEqual(code("x.bad.test.", 128), [1, 15, 30]);
});

Deno.test("a query without a question is one for a cookie, or malformed (RFC 7873 §5.4)", () => {
  const settings = { ...DEFAULT_SETTINGS, cookieSecrets: [new Uint8Array(16)] };
  const rcode = (options: readonly number[]) => {
    const packet = Uint8Array.of(7, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, ...opt(1232, options));
    const context = createAnswerContext("udp", settings);
    context.addressOctets = 4;
    const out = new Uint8Array(1232);
    answerQuery(images, packet, packet.length, out, context);
    return [out[3] & 15, out[5], out[11]];
  };
  deepEqual(rcode([0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8]), [0, 0, 1]);
  deepEqual(rcode([]), [1, 0, 1]);
  // BADCOOKIE is 23: the low four bits are in the header.
  deepEqual(rcode([0, 10, 0, 16, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 9, 9, 9, 9, 9]), [7, 0, 1]);
});

Deno.test("a version with changes over it answers as one compiled anew", () => {
  const changes = `
added A 192.0.2.50
mail.deep.added A 192.0.2.51
multi A 192.0.2.52
mx MX 1 added
mx MX 2 ns.sub
_sip._tcp SRV 0 5 5060 mail.deep.added
sub NS ns.sub
sub NS new.sub
new.sub A 192.0.2.53
newcut NS ns.newcut
ns.newcut A 192.0.2.54
*.added CNAME multi
`;
  const origin = "example.test.";
  const before = zoneOf(origin, ZONES[origin]);
  const after = recordsOf(origin, `$TTL 3600${changes}`);
  const owners = [...new Set(after.map(({ owner }) => owner))];
  const gone = [nameFrom("ns1.example.test."), nameFrom("a.*.star.example.test.")];
  const rrsetsAt = (owner: string) => {
    const records = after.filter((record) => record.owner === owner);
    return [...new Set(records.map(({ type }) => type))].map((type) => ({
      owner: records[0].owner,
      type,
      ttl: 3600,
      rdatas: records.filter((record) => record.type === type).map(({ rdata }) => rdata),
    }));
  };
  const patched = before.patched([
    ...owners.map((owner) => ({ owner, rrsets: rrsetsAt(owner) })),
    ...gone.map((owner) => ({ owner, rrsets: [] })),
  ]);
  if (!patched.ok) throw new Error(patched.error.message);
  const touched = new Set<string>([...owners, ...gone]);
  const fresh = compileZone(nameFrom(origin), [
    ...recordsOf(origin, ZONES[origin]).filter(({ owner }) => !touched.has(owner)),
    ...after,
  ]);
  if (!fresh.ok) throw new Error(fresh.error.message);
  const [one, other] = [patched.value, fresh.value].map(({ image }) => createImageSet([image]));
  const names = new Set([...questionNames([before]), ...questionNames([patched.value])]);
  ok(names.size > 100);
  for (const name of names) {
    for (const type of [1, 2, 5, 15, 16, 28, 33, 43, 65, 255]) {
      const asked = withRecords(query(nameToWire(nameFrom(name)), type), [opt(1232)]);
      deepEqual(ask(one, asked), ask(other, asked), `${name} ${type}`);
    }
  }
});

Deno.test("an answer that does not fit is cut at an RRset and says so; over TCP it is whole", () => {
  const lines = Array.from({ length: 200 }, (_, i) => `big TXT "${String(i).padStart(20, "0")}"`);
  const set = createImageSet([
    zoneOf("z.test.", `$TTL 60\n@ SOA a b 1 2 3 4 5\n${lines.join("\n")}\n`).image,
  ]);
  const asked = query(nameToWire(nameFrom("big.z.test.")), 16);
  for (const [size, limit] of [[0, 512], [100, 512], [700, 700], [65_535, 1232]]) {
    const out = ask(set, size === 0 ? asked : withRecords(asked, [opt(size)]));
    ok(out.length <= limit);
    deepEqual([out[2] & 2, out[7]], [2, 0]);
  }
  const whole = ask(set, asked, "tcp");
  deepEqual([whole[2] & 2, whole[7]], [0, 200]);
  equal(decode(Buffer.from(whole)).answers?.length, 200);
});

Deno.test("glue below the cut that does not fit sets TC, other addresses do not (RFC 9471 §3.1)", () => {
  const many = (where: string) =>
    Array.from({ length: 12 }, (_, i) => `sub NS ns${i}.${where}\nns${i}.${where} AAAA 2001:db8::${i}\n`)
      .join("");
  const tc = (where: string) => {
    const set = createImageSet([zoneOf("z.test.", `$TTL 60\n@ SOA a b 1 2 3 4 5\n${many(where)}`).image]);
    const out = ask(set, query(nameToWire(nameFrom("www.sub.z.test.")), 1));
    equal(out[9], 12);
    return out[2] & 2;
  };
  deepEqual([tc("sub"), tc("other")], [2, 0]);
});

Deno.test("owner names behind the reach of pointers are written out", () => {
  const lines = Array.from(
    { length: 1500 },
    (_, i) => `mx MX 1 target-number-${i}\ntarget-number-${i} A 192.0.2.1\n`,
  );
  const zone = zoneOf("z.test.", `$TTL 60\n@ SOA a b 1 2 3 4 5\n${lines.join("")}`);
  const out = ask(createImageSet([zone.image]), query(nameToWire(nameFrom("mx.z.test.")), 15), "tcp");
  const packet = decode(Buffer.from(out));
  equal(packet.answers?.length, 1500);
  ok(out.length > 0x4000);
  for (const record of packet.answers ?? []) {
    ok(record.type === "MX" && /^target-number-\d+\.z\.test$/.test(record.data.exchange ?? ""));
  }
  for (const record of packet.additionals ?? []) {
    ok(/^target-number-\d+\.z\.test$/.test(record.name), record.name);
  }
});

Deno.test("the root zone and a zone below it are served together", () => {
  const set = createImageSet([
    zoneOf(
      ".",
      "$TTL 60\n@ SOA a. b. 1 2 3 4 5\n@ NS a.\na. A 192.0.2.1\nalias CNAME www.test.\ntest NS ns.test.\n",
    ),
    zoneOf("test.", "$TTL 60\n@ SOA ns admin 1 2 3 4 5\n@ NS ns\nns A 192.0.2.2\nwww A 192.0.2.3\n"),
  ].map(({ image }) => image));
  equal(decode(Buffer.from(ask(set, query(nameToWire(nameFrom("alias.")), 1)))).answers?.length, 2);
  equal(ask(set, query(Uint8Array.of(0), 6))[7], 1);
  equal(ask(set, query(nameToWire(nameFrom("nothing.")), 1))[3] & 15, 3);
});

Deno.test("no packet makes it throw, run over, or write what cannot be parsed", () => {
  const names = questionNames(allZones()).map((name) => nameToWire(nameFrom(name)));
  const types = [1, 2, 5, 6, 12, 15, 16, 28, 33, 39, 43, 65, 255, 65534];
  const seeds = fc.tuple(
    fc.constantFrom(...names),
    fc.constantFrom(...types),
    fc.integer({ min: 0, max: 65_535 }),
  )
    .map(([name, type, size]) =>
      size % 3 === 0 ? query(name, type) : withRecords(query(name, type), [opt(size)])
    );
  const mutated = fc.tuple(
    seeds,
    fc.array(fc.tuple(fc.nat(300), fc.integer({ min: 0, max: 255 })), { maxLength: 4 }),
  )
    .map(([packet, changes]) => {
      for (const [at, value] of changes) if (at < packet.length) packet[at] = value;
      return packet;
    });
  const packets = fc.oneof(seeds, mutated, fc.uint8Array({ maxLength: 600 }));
  fc.assert(
    fc.property(packets, fc.constantFrom("udp" as const, "tcp" as const), (packet, transport) => {
      const out = new Uint8Array(transport === "udp" ? 1232 : 65_535);
      const length = answerQuery(images, packet, packet.length, out, createAnswerContext(transport));
      if (length <= 0) return;
      ok(length >= 12 && length <= out.length);
      ok(workSteps() <= mostWorkSteps(length), `${workSteps()} steps`);
      deepEqual(out.slice(0, 2), packet.slice(0, 2));
      const counts = [4, 6, 8, 10].map((at) => out[at] << 8 | out[at + 1]);
      const { questions, answers, authorities, additionals } = decode(Buffer.from(out.slice(0, length)));
      deepEqual([questions, answers, authorities, additionals].map((list) => list?.length), counts);
    }),
    { numRuns: 20_000 },
  );
});

Deno.test("two zones of one origin do not go together", () => {
  const zone = zoneOf("other.test.", ZONES["other.test."]);
  let message = "";
  try {
    createImageSet([zone.image, zone.withSerial(9).image]);
  } catch (error) {
    message = String(error);
  }
  ok(message.includes("two zones other.test."));
});

function ask(set: ImageSet, packet: Uint8Array, transport: "udp" | "tcp" = "udp"): Uint8Array {
  const out = new Uint8Array(transport === "udp" ? 1232 : 65_535);
  const length = answerQuery(set, packet, packet.length, out, createAnswerContext(transport));
  ok(length > 0, `not answered: ${length}`);
  return out.slice(0, length);
}

function parsed(name: string, type: number) {
  return decode(Buffer.from(ask(images, withRecords(query(nameToWire(nameFrom(name)), type), [opt(1232)]))));
}

function query(name: Uint8Array, type: number): Uint8Array {
  return Uint8Array.of(7, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...name, type >>> 8, type & 255, 0, 1);
}

function withRecords(packet: Uint8Array, records: readonly Uint8Array[]): Uint8Array {
  const whole = Uint8Array.of(...packet, ...records.flatMap((record) => [...record]));
  whole[11] = records.length;
  return whole;
}

function opt(size: number, options: readonly number[] = []): Uint8Array {
  return Uint8Array.of(0, 0, 41, size >>> 8, size & 255, 0, 0, 0, 0, 0, options.length, ...options);
}

function tsig(): Uint8Array {
  return Uint8Array.of(0, 0, 250, 0, 255, 0, 0, 0, 0, 0, 0);
}

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
