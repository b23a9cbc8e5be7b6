import { deepEqual, equal, ok } from "node:assert/strict";
import { nameFrom } from "../../dns/name.ts";
import { canonicalRdata, recordToText } from "../../dns/rr/rdata.ts";
import { RRTYPE, typeName } from "../../dns/rr/types.ts";
import type { ResourceRecord } from "../../dns/types.ts";
import { parseZoneFile } from "../../dns/zonefile/parse.ts";
import { printZone } from "../../dns/zonefile/print.ts";
import { realTest, run } from "../tools/real.ts";

const origin = nameFrom("example.test.");

/** What all four readers understand, written as awkwardly as they allow. */
const COMMON = `$ORIGIN example.test.
$TTL 1h30m
@ IN SOA Ns1 host\\.master ( 2024010101 ; serial ( " )
     2h 15M
  2W
  5m ) ; end
@\t\tNS\tns1
   NS ns2.Example.TEST.
   MX 10 mail
   MX 20 .
   IN 7201 TXT "v=spf1 include:x.test ~all" "" "two;three" four
   CAA 0 issue "ca.test; validationmethods=dns-01"
   CAA 128 iodef "mailto:a@b.test"
ns1 A 192.0.2.1
ns1.example.test. AAAA 2001:DB8:0:0::1
ns2 300 IN A 192.0.2.2
ns2 AAAA ::ffff:192.0.2.2
mail A 192.0.2.3
MAIL A 192.0.2.4
*.wild TXT "star"
a\\.b TXT "escaped dot" "quote \\" and back\\\\slash" \\065\\066
\\097\\000\\255 TXT "\\000\\127\\255"
und_er-score CNAME WWW
www A 192.0.2.5
old DNAME new.example.test.
_sip._udp SRV 1 2 5060 mail
sip NAPTR 100 10 "S" "SIP+D2U" "!^.*$!sip:a\\\\.b@c!" _sip._udp
host SSHFP 4 2 (
       0123456789abcdef0123456789ABCDEF
       0123456789abcdef0123456789ABCDEF )
_443._tcp TLSA 3 1 1 0123456789abcdef0123456789ABCDEF0123456789abcdef 0123456789ABCDEF
_letsencrypt._tcp.host TLSA 3 255 0 3082
sub NS ns.sub
    DS 60485 13 2 ( 0123456789abcdef0123456789ABCDEF
       0123456789abcdef0123456789ABCDEF )
ns.sub A 192.0.2.6
key DNSKEY 257 3 15 ( l02Woi0iS8Aa25FQkUd9RMzZ
        HJpBoRQwAQEX1SxZJA4= )
here LOC 42 21 54 N 71 06 18 W -24m 30m
there LOC 0 S 0 E 10.5m 1m 2000m 3m
info HINFO "PDP 11" UNIX
person RP admin.mail txt.person
afs AFSDB 1 mail
kx KX 10 mail
uri URI 10 1 "https://example.test/a?b=\\"c\\""
mac EUI48 00-00-5E-00-53-2a
macs EUI64 00-00-5e-ef-10-00-00-2a
pgp OPENPGPKEY mDMEXEcE6RYJKwYBBAHaRw8BAQdA
smime SMIMEA 3 0 0 3082
svc HTTPS 1 . alpn="h2,h3" port=8443 ipv4hint=192.0.2.7,192.0.2.8 ipv6hint=2001:db8::7
alias HTTPS 0 svc
s1 SVCB 16 svc mandatory=port,alpn alpn=h2 port=53 key667="hello\\210qoo"
s2 SVCB 1 . ech="AEj+DQBE" no-default-alpn alpn=h3
csync CSYNC 66 3 A NS AAAA
cds CDS 0 0 0 00
cdnskey CDNSKEY 0 3 0 AA==
param NSEC3PARAM 1 0 0 -
unk TYPE65280 \\# 5 ab cd ef 01 (
   23 )
gen A \\# 4 C0000209
$ORIGIN deep.example.test.
@ TXT "apex of deep"
x CNAME @
`;

realTest("BIND reads the same records from a tricky zone file, and the same from ours of it", {
  needs: ["named-compilezone"],
}, async ({ dir }) => {
  const ours = parsed(COMMON);
  const theirs = await bind(dir, COMMON);
  deepEqual(canonical(parsed(theirs)), canonical(ours));
  equal(await bind(dir, printZone(origin, ours)), theirs);
});

realTest("ldns reads the same octets from a tricky zone file, and the same from ours of it", {
  needs: ["ldns-read-zone"],
}, async ({ dir }) => {
  // ldns wants the TTL before the class.
  const text = COMMON.replace("IN 7201 TXT", "7201 IN TXT");
  const ours = parsed(text);
  const types = [...new Set(ours.map((record) => typeName(record.type)))].filter((type) =>
    !type.startsWith("TYPE")
  );
  const theirs = await ldns(dir, text, types);
  // In the form of RFC 3597 the octets are ldns's own, not our reading of its text.
  ok(theirs.includes("\\# 4 c0000201"));
  deepEqual(canonical(parsed(theirs)), canonical(ours));
  deepEqual(canonical(parsed(await ldns(dir, printZone(origin, ours), types))), canonical(ours));
});

realTest("Knot accepts a zone that we print", { needs: ["kzonecheck"] }, async ({ dir }) => {
  const file = `${dir}/example.test.zone`;
  await Deno.writeTextFile(file, printZone(origin, parsed(COMMON)));
  const { stdout, stderr } = await run("kzonecheck", ["-o", "example.test", file], { check: false });
  // What it says about the zone's sense is not what we ask; a parse error names a line.
  ok(!/line \d+|syntax|parse/i.test(stdout + stderr), stdout + stderr);
});

for (
  const [what, line] of [
    ["an address of three numbers", "x A 192.0.2"],
    ["a preference over the limit", "x MX 65536 y"],
    ["a string of 256 octets", `x TXT ${"a".repeat(256)}`],
    ["an empty label", "a..b A 192.0.2.1"],
    ["a label of 64 octets", `${"a".repeat(64)} A 192.0.2.1`],
    ["an unknown type", "x NOPE y"],
    ["a TTL over the limit", "x 4294967296 A 192.0.2.1"],
    ["a quote left open", 'x TXT "abc'],
    ["a parenthesis left open", "x TXT ( abc"],
    ["generic data with a wrong length", "x A \\# 5 c0000201"],
    ["octets that are no address", "x A \\# 3 c00002"],
    ["parameters that are there twice", "x SVCB 1 . port=1 port=2"],
    ["a missing mandatory parameter", "x SVCB 1 . mandatory=port alpn=h2"],
    ["data without an end in base64", "x DNSKEY 257 3 15 AAA"],
    ["a digest of the wrong length", "x DS 1 8 2 00"],
    ["a day that does not exist", "x RRSIG A 8 2 300 20230230000000 20230101000000 1 @ YQ=="],
    ["a latitude over 90 degrees", "x LOC 91 0 0 N 0 0 0 E 0m"],
    ["text after the data", "x A 192.0.2.1 y"],
  ] as const
) {
  realTest(`BIND and we both refuse ${what}`, { needs: ["named-compilezone"] }, async ({ dir }) => {
    const head = "$TTL 60\n@ SOA ns1 h 1 2 3 4 5\n@ NS ns1\nns1 A 192.0.2.1\n";
    const file = `${dir}/zone`;
    await Deno.writeTextFile(file, `${head}${line}\n`);
    const outcome = await run("named-compilezone", [...BIND_FLAGS, "-o", "-", "example.test", file], {
      check: false,
    });
    ok(outcome.code !== 0, outcome.stdout);
    const faults = parseZoneFile(
      { file: "zone", bytes: await Deno.readFile(file), origin },
      () => {},
    );
    equal(faults.length, 1, JSON.stringify(faults));
    equal(faults[0].position.line, 5);
  });
}

/** Checks about the zone's sense are off: only its reading is compared. */
const BIND_FLAGS = [
  "-q",
  "-i",
  "none",
  "-k",
  "ignore",
  "-m",
  "ignore",
  "-n",
  "ignore",
  "-r",
  "ignore",
  "-T",
  "ignore",
];

async function bind(dir: string, text: string): Promise<string> {
  await Deno.writeTextFile(`${dir}/zone`, text);
  const args = [
    ...BIND_FLAGS,
    "-f",
    "text",
    "-F",
    "text",
    "-s",
    "full",
    "-o",
    "-",
    "example.test",
    `${dir}/zone`,
  ];
  return (await run("named-compilezone", args)).stdout;
}

async function ldns(dir: string, text: string, types: readonly string[]): Promise<string> {
  await Deno.writeTextFile(`${dir}/zone`, text);
  return (await run("ldns-read-zone", [...types.flatMap((type) => ["-u", type]), `${dir}/zone`])).stdout;
}

function parsed(text: string): ResourceRecord[] {
  const records: ResourceRecord[] = [];
  const faults = parseZoneFile({ file: "zone", bytes: new TextEncoder().encode(text), origin }, (record) => {
    records.push(record);
  });
  deepEqual(faults, []);
  return records;
}

/** Lines in one order; the case of names is not compared, since peers fold it differently. */
function canonical(records: readonly ResourceRecord[]): string[] {
  return records.map((record) => recordToText({ ...record, rdata: folded(record) })).sort();
}

function folded({ type, rdata }: ResourceRecord): Uint8Array {
  // A target of SVCB keeps its case in canonical form; there is none in upper case here.
  return type === RRTYPE.TXT ? rdata : canonicalRdata(type, rdata);
}
