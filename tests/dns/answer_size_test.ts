/** Answers as long as they may be and longer: beyond the reach of pointers, at the limit of a transport, an octet over it. */
import { Buffer } from "node:buffer";
import { deepEqual, equal, ok } from "node:assert/strict";
import { type Answer, decode, type DecodedPacket } from "dns-packet";
import {
  answerQuery,
  compileZone,
  createAnswerContext,
  createImageBoard,
  createImageSet,
  type ImageSet,
  nameFrom,
  nameOctets,
  nameToWire,
  RRTYPE,
  startDnsServer,
  type Zone,
} from "../../dns/mod.ts";
import { worlds } from "../fuzz/answers_world.ts";
import { realTest, run } from "../tools/real.ts";
import { ask, askByTcp } from "./answer_servers.ts";
import { recordsOf, zoneOf } from "./answer_zones.ts";
import { buildQuery } from "./differential_questions.ts";

const APEX = "$TTL 60\n@ SOA a b 1 2 3 4 5\n";
const { A, MX, NS, PTR, RRSIG, SRV, TXT } = RRTYPE;
const ANY = 255;
const NOERROR = 0;
const NXDOMAIN = 3;
const YXDOMAIN = 6;

for (const ffi of [true, false]) {
  const way = ffi ? "batched" : "portable";

  Deno.test(`records beyond the reach of pointers come out as they went in (${way})`, async () => {
    const { zone, targets } = crowdedZone();
    await serving([zone], ffi, async (port) => {
      for (const owner of ["many.z.test", "x.y.wild.z.test", "out.z.test"]) {
        const mx = await overTcp(port, owner, MX);
        deepEqual(rdatas(mx.answers, owner, "MX"), targets.map((name, i) => `${i} ${name}`).sort());
        const ptr = await overTcp(port, owner, PTR);
        deepEqual(rdatas(ptr.answers, owner, "PTR"), [...targets].sort());
        const srv = await overTcp(port, owner, SRV);
        deepEqual(rdatas(srv.answers, owner, "SRV"), targets.map((name, i) => `0 ${i} 53 ${name}`).sort());
        for (const packet of [mx, ptr, srv]) ok(packet.octets > 0x4000 + 0x1000, `${packet.octets} octets`);
        // Addresses of 64 hosts at most, each as the zone has it.
        equal(mx.additionals.length, 64);
        for (const record of mx.additionals) {
          equal(rdataOf(record), addressOf(targets.indexOf(record.name)), record.name);
        }
      }
    });
  });

  Deno.test(`a referral that is longer than pointers reach has its glue whole (${way})`, async () => {
    const hosts = Array.from({ length: 600 }, (_, i) => `Host-${i}.${i % 2 === 0 ? "in.sub" : "beside"}`);
    const lines = hosts.map((host, i) => `sub NS ${host}\n${host} A ${addressOf(i)}\n`);
    const zone = zoneOf("z.test.", APEX + lines.join(""));
    await serving([zone], ffi, async (port) => {
      const packet = await overTcp(port, "www.sub.z.test", A);
      ok(packet.octets > 0x5000);
      equal(packet.flag_aa, false);
      deepEqual(rdatas(packet.authorities, "sub.z.test", "NS"), hosts.map((host) => `${host}.z.test`).sort());
      deepEqual(
        packet.additionals.map((record) => `${record.name} ${rdataOf(record)}`).sort(),
        hosts.map((host, i) => `${host}.z.test ${addressOf(i)}`).sort(),
      );
    });
  });

  Deno.test(`65,535 octets go over TCP, of 65,536 the question and TC (${way})`, async () => {
    const zone = zoneOf("z.test.", APEX + texts("full", 65_535 - questionOctets("full.z.test")));
    const over = zoneOf("y.test.", APEX + texts("over", 65_536 - questionOctets("over.y.test")));
    await serving([zone, over], ffi, async (port) => {
      const full = await overTcp(port, "full.z.test", TXT);
      deepEqual([full.octets, full.flag_tc], [65_535, false]);
      equal(full.answers.reduce((octets, record) => octets + textOctets(record) + 12, 0), 65_535 - 12 - 17);
      const cut = await overTcp(port, "over.y.test", TXT);
      deepEqual([cut.octets, cut.flag_tc, cut.flag_aa, cut.answers], [
        questionOctets("over.y.test"),
        true,
        true,
        [],
      ]);
      // Neither is a danger to UDP or to who asks next.
      for (const name of ["full.z.test", "over.y.test"]) {
        const reply = await ask(port, queryFor(name, TXT), 3000);
        ok(reply && (reply[2] & 2) !== 0 && reply.length === questionOctets(name));
      }
      equal((await overTcp(port, "full.z.test", TXT)).octets, 65_535);
    });
  });

  Deno.test(`over UDP an answer of just the size that may be is whole, an octet more is TC and no part of it (${way})`, async () => {
    // What the client offers, `undefined` without EDNS, and what it gets at most.
    const sizes = [[undefined, 512], [0, 512], [512, 512], [513, 513], [900, 900], [1231, 1231]] as const;
    const all = [...sizes, [1232, 1232], [1233, 1232], [65_535, 1232]] as const;
    const name = (limit: number, form: string) => `${form}${limit}`;
    const lines = [...new Set(all.map(([, limit]) => limit))].flatMap((limit) =>
      [0, 11].map((opt) => {
        const fits = limit - opt - questionOctets(`${name(limit, "f")}o${opt}.z.test`);
        const chained = `cname${limit}o${opt} CNAME ${name(limit, "c")}o${opt}\n`;
        return texts(`${name(limit, "f")}o${opt}`, fits) + texts(`${name(limit, "c")}o${opt}`, fits + 1) +
          chained;
      })
    );
    await serving([zoneOf("z.test.", APEX + lines.join(""))], ffi, async (port) => {
      for (const [size, limit] of all) {
        const opt = size === undefined ? 0 : 11;
        const udp = async (label: string) => {
          const reply = await ask(port, queryFor(`${label}o${opt}.z.test`, TXT, size), 3000);
          return read(reply ?? new Uint8Array(0));
        };
        const fits = await udp(name(limit, "f"));
        deepEqual([fits.octets, fits.flag_tc, fits.answers.length > 1], [limit, false, true], `${size}`);
        const over = await udp(name(limit, "c"));
        deepEqual([over.flag_tc, over.answers], [true, []], `${size}`);
        const chain = await udp(name(limit, "cname"));
        deepEqual([chain.flag_tc, chain.answers.map(({ type }) => type)], [true, ["CNAME"]], `${size}`);
      }
    });
  });
}

realTest("dig and kdig read answers beyond the reach of pointers", { needs: ["dig", "kdig"] }, async () => {
  const { zone, targets } = crowdedZone();
  await serving([zone], true, async (port) => {
    for (const program of ["dig", "kdig"]) {
      const args = ["@127.0.0.1", "-p", `${port}`, "+tcp", "+short", "x.y.wild.z.test", "MX"];
      const { stdout } = await run(program, args);
      deepEqual(stdout.trim().split("\n").sort(), targets.map((name, i) => `${i} ${name}.`).sort(), program);
    }
  });
});

Deno.test("all that follows in a chain is right where its first link has outgrown pointers", () => {
  // Thirty signatures of 600 octets for the first link alone.
  const signature = (tag: number) =>
    `RRSIG CNAME 13 3 60 20300101000000 20200101000000 ${tag} z.test. ${"A".repeat(776)}`;
  const signatures = Array.from({ length: 30 }, (_, tag) => `start ${signature(tag)}\n`).join("");
  const zone = zoneOf(
    "z.test.",
    `${APEX}start CNAME one.Two.dn\n${signatures}dn DNAME three.wild\n*.three.wild CNAME host.other\n` +
      `host.other MX 1 mail.host.other\nhost.other MX 2 two.dn\nmail.host.other A 192.0.2.1\n` +
      "deny CNAME start2\n" + signatures.replaceAll("start ", "deny ") +
      "start2 CNAME up.dn2\ndn2 DNAME down.sub\nsub NS ns.Sub\nns.sub A 192.0.2.2\n",
  );
  const images = createImageSet([zone.image]);
  const chain = read(answerOf(images, queryFor("start.z.test", MX, 1232, true), "tcp"));
  ok(chain.octets > 0x4000);
  const plain = (records: readonly Answer[]) =>
    records.filter(({ type }) => type !== "RRSIG").map((record) =>
      `${record.name} ${record.type} ${rdataOf(record)}`
    );
  deepEqual(plain(chain.answers), [
    "start.z.test CNAME one.Two.dn.z.test",
    "dn.z.test DNAME three.wild.z.test",
    "one.Two.dn.z.test CNAME one.Two.three.wild.z.test",
    "one.Two.three.wild.z.test CNAME host.other.z.test",
    "host.other.z.test MX 1 mail.host.other.z.test",
    "host.other.z.test MX 2 two.dn.z.test",
  ]);
  deepEqual(plain(chain.additionals), ["mail.host.other.z.test A 192.0.2.1"]);
  equal(chain.answers.length, 36);
  const referral = read(answerOf(images, queryFor("deny.z.test", A, 1232, true), "tcp"));
  deepEqual(plain(referral.answers).slice(1), [
    "start2.z.test CNAME up.dn2.z.test",
    "dn2.z.test DNAME down.sub.z.test",
    "up.dn2.z.test CNAME up.down.sub.z.test",
  ]);
  deepEqual(plain(referral.authorities), ["sub.z.test NS ns.Sub.z.test"]);
  deepEqual(plain(referral.additionals), ["ns.Sub.z.test A 192.0.2.2"]);

  const proving = zoneOf(
    "n.test.",
    `${APEX}@ NSEC big SOA NSEC\n${signatures.replaceAll("start ", "big ")}big CNAME none.Missing\n` +
      "big NSEC x.z CNAME RRSIG NSEC\nx.z A 192.0.2.1\nx.z NSEC @ A NSEC\n",
  );
  const denial = read(
    answerOf(createImageSet([proving.image]), queryFor("big.n.test", A, 1232, true), "tcp"),
  );
  ok(denial.octets > 0x4000);
  deepEqual([denial.rcode, plain(denial.answers)], [NXDOMAIN, ["big.n.test CNAME none.Missing.n.test"]]);
  deepEqual(
    denial.authorities.map((record) =>
      `${record.name} ${record.type} ${record.type === "NSEC" ? record.data.nextDomain : ""}`.trim()
    ),
    ["n.test SOA", "big.n.test NSEC x.z.n.test", "n.test NSEC big.n.test"],
  );
});

Deno.test("an RRset that fits with pointers and does not fit without them is TC, and no record of it comes", () => {
  const signatures = Array.from(
    { length: 30 },
    (_, tag) => `start RRSIG CNAME 13 3 60 20300101000000 20200101000000 ${tag} z.test. ${"A".repeat(776)}\n`,
  ).join("");
  const far = `${"f".repeat(50)}.${"g".repeat(50)}.elsewhere.`;
  const hosts = Array.from({ length: 1500 }, (_, i) => `mx MX ${i} h${i}.${far}\n`).join("");
  const images = createImageSet([zoneOf("z.test.", `${APEX}start CNAME mx\n${signatures}${hosts}`).image]);
  // Wherever in a record the room ends.
  const query = queryFor("start.z.test", MX, 1232, true);
  for (let room = 65_535; room > 65_535 - 300; room--) {
    const { flag_tc, answers } = read(answerOf(images, query, "tcp", room));
    equal(flag_tc, true);
    deepEqual([...rrsetsOf(answers)].map(([key, { length }]) => [key, length]), [
      ["start.z.test CNAME", 1],
      ["start.z.test RRSIG CNAME", 30],
    ]);
  }
});

Deno.test("RRsets that no message can hold are TC wherever they are asked for, and too many records make no zone", () => {
  const many = (owner: string, from: string, count: number) =>
    Array.from({ length: count }, (_, i) => `${owner} ${from} ${i}.${owner}\n`).join("");
  const zone = zoneOf(
    "z.test.",
    APEX + many("cut", "NS", 6000) + many("mx", "MX 1", 60_000) + "alias CNAME mx\n*.wild CNAME mx\n" +
      Array.from(
        { length: 200 },
        (_, tag) =>
          `signed RRSIG A 13 3 60 20300101000000 20200101000000 ${tag} z.test. ${"A".repeat(776)}\n`,
      ).join(""),
  );
  const images = createImageSet([zone.image]);
  const sections = (name: string, type: number) => {
    const { flag_tc, answers, authorities, additionals } = read(
      answerOf(images, queryFor(name, type), "tcp"),
    );
    return [flag_tc, ...[answers, authorities, additionals].map((list) => list.map((record) => record.type))];
  };
  deepEqual(sections("x.cut.z.test", A), [true, [], [], []]);
  deepEqual(sections("mx.z.test", MX), [true, [], [], []]);
  deepEqual(sections("alias.z.test", MX), [true, ["CNAME"], [], []]);
  deepEqual(sections("x.wild.z.test", MX), [true, ["CNAME"], [], []]);
  deepEqual(sections("signed.z.test", RRSIG), [true, [], [], []]);
  deepEqual(sections("mx.z.test", ANY), [false, ["HINFO"], [], []]);

  const records = Array.from({ length: 65_536 }, (_, i) => ({
    owner: nameFrom("many.z.test."),
    type: A,
    class: 1,
    ttl: 60,
    rdata: Uint8Array.of(10, 0, i >>> 8, i),
  }));
  const compiled = compileZone(nameFrom("z.test."), [...recordsOf("z.test.", APEX), ...records]);
  equal(compiled.ok ? "" : compiled.error.code, "too-large");
});

Deno.test("a chain of DNAMEs ends in YXDOMAIN where a name would have 256 octets, and goes on at 255 (RFC 6672 §2.2)", () => {
  // Each link makes the name longer by another number of octets; the last one leads out of the zone.
  const links: [string, string][] = [
    ["d0", `${"p".repeat(40)}.d1`],
    ["d1", `q.${"r".repeat(30)}.d2`],
    ["d2", `${"s".repeat(11)}.d3`],
    ["d3", `t.d4`],
    ["d4", `u.far`],
  ];
  const lines = links.map(([owner, target]) => `${owner} DNAME ${target}\n`).join("");
  const images = createImageSet([
    zoneOf("z.test.", `${APEX}${lines}*.far CNAME end\nend A 192.0.2.1\n`).image,
  ]);
  const endings = new Set<number>();
  const lengths = new Set<number>();
  for (let octets = 2; octets <= 255 - nameOctets(nameFrom("d0.z.test.")); octets++) {
    // Labels of 1 to 63 octets, one of them more than what is left after full ones.
    const labels: string[] = [];
    for (let left = octets; left > 0;) {
      const size = left === 65 ? 62 : Math.min(left, 64) - 1;
      labels.push("x".repeat(size));
      left -= size + 1;
    }
    const prefix = labels.join(".");
    // The same by names as text, whose dots and last one stand for the octets of lengths.
    const expected: string[] = [];
    let name = `${prefix}.d0.z.test`;
    let rcode = NOERROR;
    for (const [owner, target] of links) {
      const next = `${name.slice(0, -`${owner}.z.test`.length)}${target}.z.test`;
      expected.push(`${owner}.z.test DNAME ${target}.z.test`);
      lengths.add(next.length + 2);
      if (next.length + 2 > 255) {
        rcode = YXDOMAIN;
        break;
      }
      expected.push(`${name} CNAME ${next}`);
      name = next;
    }
    if (rcode === NOERROR) {
      expected.push(`${name} CNAME end.z.test`, "end.z.test A 192.0.2.1");
    }
    const packet = read(answerOf(images, queryFor(`${prefix}.d0.z.test`, A), "tcp"));
    const answers = packet.answers.map((record) => `${record.name} ${record.type} ${rdataOf(record)}`);
    deepEqual(answers, expected, `${octets} octets before`);
    equal(packet.rcode, rcode);
    deepEqual([packet.authorities, packet.flag_tc, packet.flag_aa], [[], false, true]);
    endings.add(expected.length);
  }
  ok(lengths.has(255) && lengths.has(256));
  // It ended at each of the links.
  equal(endings.size, links.length + 1);
});

Deno.test("whatever the limit is, what comes are whole RRsets, and all that must be there or TC", () => {
  let cut = 0;
  let shortened = 0;
  for (const { images, names, zones } of worlds()) {
    const types = [A, MX, NS, SRV, RRTYPE.SOA, RRTYPE.DNSKEY, RRTYPE.DS, TXT, RRSIG];
    // Long ones, so that there is something to cut.
    const long = `${"l".repeat(63)}.${"m".repeat(63)}.${"n".repeat(60)}`;
    const asked = [...names, ...zones.map(({ origin }) => `${long}.${origin}`)];
    for (const name of asked) {
      if (nameOctets(nameFrom(name)) > 255) continue;
      for (const type of types) {
        const query = (size: number) => queryFor(name.replace(/\.$/, ""), type, size, true);
        const wholeOctets = answerOf(images, query(1232), "tcp");
        if (wholeOctets.length <= 512) continue;
        const whole = read(wholeOctets);
        for (const size of new Set([512, 700, 1232, wholeOctets.length - 1, wholeOctets.length])) {
          if (size > 1232) continue;
          const octets = answerOf(images, query(size), "udp");
          ok(octets.length <= size, `${octets.length} octets where ${size} may be`);
          if (wholeOctets.length <= size) {
            deepEqual(octets, wholeOctets);
            continue;
          }
          const part = read(octets);
          for (const section of ["answers", "authorities", "additionals"] as const) {
            const all = rrsetsOf(whole[section]);
            for (const [key, records] of rrsetsOf(part[section])) deepEqual(records, all.get(key), key);
          }
          if (part.flag_tc) cut++;
          else {
            // What went missing is additional, and no glue of the cut's own.
            deepEqual(part.answers, whole.answers);
            deepEqual(part.authorities, whole.authorities);
            ok(part.additionals.length < whole.additionals.length);
            shortened++;
          }
        }
      }
    }
  }
  ok(cut > 200, `${cut} answers cut`);
  ok(shortened > 20, `${shortened} answers shortened`);
});

Deno.test("a referral has all glue below the cut or TC, at every size; addresses beside the cut go without (RFC 9471 §3)", () => {
  const hosts = (where: string, count: number) => Array.from({ length: count }, (_, i) => `ns${i}.${where}`);
  const inside = hosts("sub", 9);
  const outside = hosts("sibling", 9);
  // In turns, so that order alone does not decide.
  const ns = inside.flatMap((host, i) => [`sub NS ${outside[i]}\n`, `sub NS ${host}\n`]).join("");
  const glue = (names: readonly string[]) =>
    names.map((host, i) => `${host} A ${addressOf(i)}\n${host} AAAA 2001:db8::${i}\n`).join("");
  const cut = `sibling NS ns0.sibling\n${ns}`;
  const images = createImageSet([zoneOf("z.test.", APEX + cut + glue(inside) + glue(outside)).image]);
  const required = createImageSet([zoneOf("z.test.", APEX + cut + glue(inside)).image]);
  const query = (size: number) => queryFor("www.sub.z.test", A, size);
  const whole = read(answerOf(images, query(1232), "tcp"));
  const needed = answerOf(required, query(1232), "tcp").length;
  equal(whole.additionals.length, 36);
  ok(
    needed > 513 && whole.octets > needed + 28 && whole.octets < 1232,
    `${needed} of ${whole.octets} octets`,
  );
  for (let size = 512; size <= 1232; size++) {
    const part = read(answerOf(images, query(size), "udp"));
    ok(part.octets <= size);
    deepEqual(part.authorities, whole.authorities);
    equal(part.flag_tc, size < needed, `${size} of ${needed} octets`);
    const names = new Set(part.additionals.map((record) => `${record.name} ${record.type}`));
    equal(names.size, part.additionals.length);
    const have = inside.filter((host) => names.has(`${host}.z.test A`) && names.has(`${host}.z.test AAAA`));
    equal(have.length === inside.length, size >= needed);
    if (size >= whole.octets) equal(part.additionals.length, 36);
    else if (size >= needed + 28) ok(part.additionals.length > 18, "there was room for more");
  }
  // Where not even the name servers fit, nothing stands for them.
  const many = createImageSet([
    zoneOf("z.test.", APEX + hosts("elsewhere", 40).map((host) => `sub NS ${host}\n`).join("")).image,
  ]);
  const none = read(answerOf(many, queryFor("www.sub.z.test", A), "udp"));
  deepEqual([none.flag_tc, none.flag_aa, none.authorities, none.additionals], [true, false, [], []]);
});

Deno.test("options and the longest question leave room for each other in the least of all messages", () => {
  const label = "l".repeat(63);
  const longest = `${label}.${label}.${label}.${"k".repeat(54)}.z.test`;
  equal(nameOctets(nameFrom(`${longest}.`)), 255);
  const images = createImageSet([zoneOf("z.test.", `${APEX}*.${label} TXT "x"\n`).image]);
  const options = [[3, 0], [9, 0], [10, 8], [19, 0]].flatMap(([code, octets]) => [
    ...[0, code, 0, octets],
    ...new Array(octets).fill(7),
  ]);
  const settings = {
    ...createAnswerContext("udp").settings,
    // The longest that can be configured.
    nsid: new Uint8Array(128).fill(0x61),
    cookieSecrets: [new Uint8Array(16)],
  };
  for (const type of [A, TXT, RRTYPE.SOA, ANY, 128]) {
    const query = Uint8Array.of(...queryFor(longest, type, 512, true), ...options);
    query[12 + 255 + 4 + 10] = options.length;
    const context = createAnswerContext("udp", settings);
    context.addressOctets = 4;
    const out = new Uint8Array(1232);
    const length = answerQuery(images, query, query.length, out, context);
    ok(length > 400 && length <= 512, `${length} octets`);
    const opt = read(out.slice(0, length)).opt;
    deepEqual(opt?.options.map(({ code }) => code).slice(0, 2), [3, 10], `type ${type}`);
  }
});

/** Names with 700 targets, with wildcards and a CNAME before them, so that all kinds of pointers are in them. */
function crowdedZone(): { zone: Zone; targets: string[] } {
  const places = ["", ".deep.tree", ".Mixed.Case", ".many", ".wild", ".other.example", ".x.wild"];
  const labels = Array.from({ length: 700 }, (_, i) => `target-number-${i}${places[i % places.length]}`);
  const lines = labels.map((label, i) =>
    `many MX ${i} ${label}\nmany PTR ${label}\nmany SRV 0 ${i} 53 ${label}\n` +
    `*.wild MX ${i} ${label}\n*.wild PTR ${label}\n*.wild SRV 0 ${i} 53 ${label}\n` +
    `${label} A ${addressOf(i)}\n`
  );
  const zone = zoneOf("z.test.", `${APEX}out CNAME Deep.Er.wild\n${lines.join("")}`);
  return { zone, targets: labels.map((label) => `${label}.z.test`) };
}

function addressOf(index: number): string {
  return `10.0.${index >> 8}.${index & 255}`;
}

/** TXT records at an owner with so many octets in a message, where their owner is a pointer. */
function texts(owner: string, octets: number): string {
  const lines: string[] = [];
  for (let left = octets, i = 0; left > 0; i++) {
    // A number, so that no two are equal, and filled up; the last two share what is left.
    const record = left > 13 + 255 + 40 ? 13 + 200 : left > 13 + 255 ? 13 + 100 : left;
    lines.push(`${owner} TXT "${`${i}`.padEnd(record - 13, "-")}"\n`);
    left -= record;
  }
  return lines.join("");
}

function textOctets(record: Answer): number {
  return record.type === "TXT" ? [record.data].flat().reduce((sum, part) => sum + part.length + 1, 0) : NaN;
}

function questionOctets(name: string): number {
  return 12 + nameOctets(nameFrom(`${name}.`)) + 4;
}

function queryFor(name: string, type: number, udpSize?: number, dnssecOk = false): Uint8Array {
  return buildQuery(0x0709, nameToWire(nameFrom(name === "" ? "." : `${name}.`)), type, udpSize, dnssecOk);
}

function answerOf(
  images: ImageSet,
  query: Uint8Array,
  transport: "udp" | "tcp",
  room = transport === "udp" ? 1232 : 65_535,
): Uint8Array {
  const out = new Uint8Array(room);
  const length = answerQuery(images, query, query.length, out, createAnswerContext(transport));
  ok(length > 0, `not answered: ${length}`);
  return out.slice(0, length);
}

type Packet = Pick<DecodedPacket, "flag_aa" | "flag_tc"> & {
  readonly octets: number;
  readonly rcode: number;
  readonly answers: Answer[];
  readonly authorities: Answer[];
  /** Without OPT. */
  readonly additionals: Answer[];
  readonly opt: Extract<Answer, { type: "OPT" }> | undefined;
};

/** The message as another implementation reads it, and whether it reads all of it. */
function read(message: Uint8Array): Packet {
  const packet = decode(Buffer.from(message));
  equal(decode.bytes, message.length, "octets behind the last record");
  const { flag_aa, flag_tc, answers = [], authorities = [], additionals = [] } = packet;
  return {
    ...{ flag_aa, flag_tc, answers, authorities },
    octets: message.length,
    rcode: message[3] & 15,
    additionals: additionals.filter(({ type }) => type !== "OPT"),
    opt: additionals.find((record) => record.type === "OPT"),
  };
}

/** The rdata of the records, all of which have this owner and type, in order. */
function rdatas(records: readonly Answer[], owner: string, type: string): string[] {
  const own = records.filter((record) => record.type === type);
  // A chain may lead to them.
  const name = records.find((record) => record.type === "CNAME" && record.name === owner);
  const expected = name === undefined ? owner : rdataOf(name);
  equal(own.length, records.length - (name === undefined ? 0 : 1));
  for (const record of own) equal(record.name, expected);
  return own.map(rdataOf).sort();
}

function rdataOf(record: Answer): string {
  switch (record.type) {
    case "MX":
      return `${record.data.preference} ${record.data.exchange}`;
    case "SRV":
      return `${record.data.priority} ${record.data.weight} ${record.data.port} ${record.data.target}`;
    case "A":
    case "AAAA":
    case "CNAME":
    case "DNAME":
    case "NS":
    case "PTR":
      return record.data;
    default:
      throw new Error(`${record.type} is not expected here`);
  }
}

/** Records by owner and type, signatures by what they cover. */
function rrsetsOf(records: readonly Answer[]): Map<string, Answer[]> {
  return Map.groupBy(
    records,
    (record) =>
      `${record.name} ${record.type === "RRSIG" ? `RRSIG ${record.data.typeCovered}` : record.type}`,
  );
}

async function overTcp(port: number, name: string, type: number): Promise<Packet> {
  return read(await askByTcp(port, queryFor(name, type)));
}

async function serving(
  zones: readonly Zone[],
  ffi: boolean,
  body: (port: number) => Promise<void>,
): Promise<void> {
  const server = await startDnsServer({
    listen: [{ host: "127.0.0.1", port: 0 }],
    workers: 1,
    board: createImageBoard(zones),
    respond: () => Promise.resolve(undefined),
    log: () => {},
    ffi,
  });
  if (!server.ok) throw new Error(server.error.message);
  try {
    await body(server.value.addresses[0].port);
    equal(server.value.counters().faults, 0);
  } finally {
    await server.value.stop();
  }
}
