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
  DROP,
  type ImageSet,
  nameFrom,
  nameToWire,
  SLOW_PATH,
} from "../../dns/mod.ts";
import { allImages, allZones, questionNames, zoneOf, ZONES } from "./answer_zones.ts";

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
    { length: 700 },
    (_, i) => `mx MX 1 target-number-${i}\ntarget-number-${i} A 192.0.2.1\n`,
  );
  const zone = zoneOf("z.test.", `$TTL 60\n@ SOA a b 1 2 3 4 5\n${lines.join("")}`);
  const out = ask(createImageSet([zone.image]), query(nameToWire(nameFrom("mx.z.test.")), 15), "tcp");
  const packet = decode(Buffer.from(out));
  equal(packet.answers?.length, 700);
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
