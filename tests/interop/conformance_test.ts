/**
 * What the RFCs ask of an authoritative server, octet by octet, from one running `serve`. Every query of the table goes
 * over UDP and over TCP; the section that asks for the answer stands beside it.
 */
import { deepEqual, equal, match, notEqual, ok } from "node:assert/strict";
import { Buffer } from "node:buffer";
import { decode } from "dns-packet";
import { nameFrom, parseKeyFile, signRequest, type TsigKey, verifyResponse } from "../../dns/mod.ts";
import { dig } from "../tools/dig.ts";
import { realTest, run } from "../tools/real.ts";
import { hostAndPort, runCommand, type RunningServer, serverIn } from "../tools/server.ts";

const LONG = "l".repeat(60);
const LABEL = "a".repeat(63);
/** 255 octets with `.c.test`: three labels of 63, one of 54. */
const LONGEST = `${LABEL}.${LABEL}.${LABEL}.${"b".repeat(54)}`;

const ZONES: Readonly<Record<string, string>> = {
  "c.test": `
$TTL 300
@ SOA ns1 hostmaster 1 3600 600 86400 60
@ NS ns1
@ NS ns.d.test.
@ A 192.0.2.1
ns1 A 192.0.2.2
ns1 AAAA 2001:db8::2
Mixed A 192.0.2.3
two A 192.0.2.4
two A 192.0.2.5
x.ent.deep A 192.0.2.6
opaque TYPE65280 \\# 4 01020304
lone TXT "lone"
${LONGEST} A 192.0.2.7
*.w A 192.0.2.10
*.w MX 5 mail.d.test.
exact.w A 192.0.2.11
a.exact.w TXT "below"
*.c CNAME two
alias CNAME two
far CNAME near.d.test.
gone CNAME missing.d.test.
out CNAME www.elsewhere.example.
loop1 CNAME loop2
loop2 CNAME loop1
cross CNAME back.d.test.
dn DNAME d.test.
dn TXT "beside"
tight DNAME ${LONG}.${LONG}.d.test.
selfd DNAME selfd
sub NS ns.sub
sub NS ns1
sub DS 12345 13 2 1F8188345F2B0D0A12EAEA95F2EF6DC66C1EA6F46A0DC4AE8E3D3E1E9B3F3A2C
ns.sub A 192.0.2.20
ns.sub AAAA 2001:db8::20
*.sub A 192.0.2.21
big NS ns.big
${Array.from({ length: 40 }, (_, i) => `ns.big AAAA 2001:db8:1::${i + 1}`).join("\n")}
small TXT "${"s".repeat(200)}" "${"t".repeat(200)}"
medium TXT "${"m".repeat(255)}" "${"n".repeat(255)}" "${"o".repeat(200)}"
${Array.from({ length: 30 }, (_, i) => `huge TXT "${String(i).padStart(100, "h")}"`).join("\n")}
`,
  "d.test": `
$TTL 300
@ SOA ns hostmaster 1 3600 600 86400 60
@ NS ns
@ TXT "d"
ns A 198.51.100.1
near A 198.51.100.2
mail A 198.51.100.3
www A 198.51.100.4
back CNAME cross.c.test.
`,
  // Signed elsewhere; nobody here looks at the signatures.
  "s.test": `
$TTL 300
@ SOA ns hostmaster 1 3600 600 86400 60
@ RRSIG SOA 13 2 300 20300101000000 20200101000000 7 s.test. AAAA
@ NS ns
@ RRSIG NS 13 2 300 20300101000000 20200101000000 7 s.test. AQEB
@ DNSKEY 257 3 13 AgIC
@ RRSIG DNSKEY 13 2 60 20300101000000 20200101000000 7 s.test. AwMD
@ NSEC ns.s.test. NS SOA RRSIG NSEC DNSKEY
ns A 198.51.100.9
ns NSEC s.test. A RRSIG NSEC
`,
};

const LONG_PREFIX = `${"p".repeat(60)}.${"q".repeat(60)}.${"r".repeat(20)}`;

interface Case {
  readonly what: string;
  readonly rfc: string;
  readonly ask: readonly [name: string, type: string | number, settings?: QuerySettings];
  readonly expect: Expectation;
}

/** Without OPT in the sections; TTL and class are left out where a case is not about them. */
interface Expectation {
  readonly rcode?: number;
  /** Of `aa tc rd ra ad cd`, those that are set. */
  readonly flags?: string;
  readonly answer?: readonly string[];
  readonly authority?: readonly string[];
  readonly additional?: readonly string[];
  readonly edns?: Partial<EdnsView> | "none";
  /** Only over this transport. */
  readonly only?: Transport;
}

const NOERROR = 0,
  FORMERR = 1,
  NXDOMAIN = 3,
  NOTIMP = 4,
  REFUSED = 5,
  YXDOMAIN = 6,
  NOTAUTH = 9,
  NOTZONE = 10;
const BADSIG = 16, BADKEY = 17, BADTIME = 18, BADVERS = 16;
const SOA = ["c.test SOA 60"];
const TWO = ["two.c.test A 192.0.2.4", "two.c.test A 192.0.2.5"];
const SUB = ["sub.c.test NS ns.sub.c.test", "sub.c.test NS ns1.c.test"];
const GLUE = [
  "ns.sub.c.test A 192.0.2.20",
  "ns.sub.c.test AAAA 2001:db8::20",
  "ns1.c.test A 192.0.2.2",
  "ns1.c.test AAAA 2001:db8::2",
];
const NS_ADDRESSES = ["ns1.c.test A 192.0.2.2", "ns1.c.test AAAA 2001:db8::2"];
const PLAIN_OPT = { version: 0, dnssecOk: false, udpSize: 1232 } as const;

const CASES: readonly Case[] = [
  // data
  {
    what: "an RRset is given whole",
    rfc: "RFC 2181 §5",
    ask: ["two.c.test", "A"],
    expect: { answer: TWO },
  },
  {
    what: "RD is copied, RA stays clear",
    rfc: "RFC 1035 §4.1.1",
    ask: ["two.c.test", "A", { flags: 0x0100 }],
    expect: { flags: "aa rd", answer: TWO },
  },
  {
    what: "AD and CD of a query are not reflected",
    rfc: "RFC 4035 §3.1.6, RFC 6840 §5.7",
    ask: ["two.c.test", "A", { flags: 0x0030 }],
    expect: { answer: TWO },
  },
  {
    what: "names match without case, and the question comes back in its case",
    rfc: "RFC 4343 §3, §4.1",
    ask: ["mIXED.C.tesT", "A"],
    expect: { answer: ["mixed.c.test A 192.0.2.3"] },
  },
  {
    what: "no data is NOERROR with the SOA, its TTL the negative one",
    rfc: "RFC 2308 §2.2, §3",
    ask: ["two.c.test", "AAAA"],
    expect: { authority: SOA },
  },
  {
    what: "CAA nowhere is no data",
    rfc: "RFC 8659 §4",
    ask: ["two.c.test", "CAA"],
    expect: { authority: SOA },
  },
  {
    what: "no such name",
    rfc: "RFC 2308 §2.1",
    ask: ["no.c.test", "A"],
    expect: { rcode: NXDOMAIN, authority: SOA },
  },
  {
    what: "nothing is below a name that is not a wildcard's",
    rfc: "RFC 8020 §2",
    ask: ["below.two.c.test", "A"],
    expect: { rcode: NXDOMAIN, authority: SOA },
  },
  {
    what: "an empty non-terminal exists",
    rfc: "RFC 4592 §2.2.2, RFC 8020 §2",
    ask: ["ent.deep.c.test", "A"],
    expect: { authority: SOA },
  },
  {
    what: "so does the one above it",
    rfc: "RFC 4592 §2.2.2",
    ask: ["deep.c.test", "TXT"],
    expect: { authority: SOA },
  },
  {
    what: "SOA asked for has its own TTL",
    rfc: "RFC 1034 §4.3.2",
    ask: ["c.test", "SOA"],
    expect: { answer: ["c.test SOA 300"] },
  },
  {
    what: "NS at the apex, with addresses of this zone's servers",
    rfc: "RFC 1034 §4.3.2 step 6",
    ask: ["c.test", "NS"],
    expect: { answer: ["c.test NS ns.d.test", "c.test NS ns1.c.test"], additional: NS_ADDRESSES },
  },
  {
    what: "unknown types are data like any",
    rfc: "RFC 3597 §3",
    ask: ["opaque.c.test", 65280],
    expect: { answer: ["opaque.c.test UNKNOWN_65280 01020304"] },
  },
  {
    what: "an unknown type that is not there is no data",
    rfc: "RFC 3597 §3",
    ask: ["two.c.test", 65280],
    expect: { authority: SOA },
  },
  {
    what: "type 0 is no data",
    rfc: "RFC 6895 §3.1",
    ask: ["two.c.test", 0],
    expect: { authority: SOA },
  },
  {
    what: "a name of 255 octets",
    rfc: "RFC 1035 §2.3.4",
    ask: [`${LONGEST}.c.test`, "A"],
    expect: { answer: [`${LONGEST}.c.test A 192.0.2.7`] },
  },
  {
    what: "ANY gets the least there is",
    rfc: "RFC 8482 §4.2",
    ask: ["two.c.test", "ANY"],
    expect: { answer: ["two.c.test HINFO RFC8482"] },
  },
  {
    what: "ANY at an alias gets the alias",
    rfc: "RFC 8482 §4.3",
    ask: ["alias.c.test", "ANY"],
    expect: { answer: ["alias.c.test CNAME two.c.test"] },
  },
  {
    what: "ANY at no name",
    rfc: "RFC 8482 §4",
    ask: ["no.c.test", "ANY"],
    expect: { rcode: NXDOMAIN, authority: SOA },
  },

  // wildcards
  {
    what: "a wildcard answers under the name asked for",
    rfc: "RFC 4592 §3.3.1",
    ask: ["any.w.c.test", "A"],
    expect: { answer: ["any.w.c.test A 192.0.2.10"] },
  },
  {
    what: "several labels deep too",
    rfc: "RFC 4592 §3.3.1",
    ask: ["a.b.w.c.test", "A"],
    expect: { answer: ["a.b.w.c.test A 192.0.2.10"] },
  },
  {
    what: "a wildcard without the type is no data",
    rfc: "RFC 4592 §2.2.1",
    ask: ["any.w.c.test", "TXT"],
    expect: { authority: SOA },
  },
  {
    what: "the wildcard asked for literally",
    rfc: "RFC 4592 §2.2.1",
    ask: ["*.w.c.test", "A"],
    expect: { answer: ["*.w.c.test A 192.0.2.10"] },
  },
  {
    what: "a name that exists is not the wildcard's",
    rfc: "RFC 4592 §2.2.1",
    ask: ["exact.w.c.test", "MX"],
    expect: { authority: SOA },
  },
  {
    what: "nor is what lies below it",
    rfc: "RFC 4592 §2.2.1",
    ask: ["z.exact.w.c.test", "A"],
    expect: { rcode: NXDOMAIN, authority: SOA },
  },
  {
    what: "the wildcard's parent is an empty non-terminal",
    rfc: "RFC 4592 §2.2.2",
    ask: ["w.c.test", "A"],
    expect: { authority: SOA },
  },
  {
    what: "a name below a literal asterisk does not match it",
    rfc: "RFC 4592 §2.3",
    ask: ["x.*.w.c.test", "A"],
    expect: { rcode: NXDOMAIN, authority: SOA },
  },
  {
    what: "a wildcard below a delegation is the child's",
    rfc: "RFC 4592 §4.2, RFC 1034 §4.3.2",
    ask: ["any.sub.c.test", "A"],
    expect: { flags: "", authority: SUB, additional: GLUE },
  },
  {
    what: "a wildcard CNAME is followed",
    rfc: "RFC 4592 §4.5",
    ask: ["any.c.c.test", "A"],
    expect: { answer: ["any.c.c.test CNAME two.c.test", ...TWO] },
  },

  // chains
  {
    what: "an alias and what it leads to",
    rfc: "RFC 1034 §3.6.2",
    ask: ["alias.c.test", "A"],
    expect: { answer: ["alias.c.test CNAME two.c.test", ...TWO] },
  },
  {
    what: "an alias asked for is not followed",
    rfc: "RFC 1034 §3.6.2",
    ask: ["alias.c.test", "CNAME"],
    expect: { answer: ["alias.c.test CNAME two.c.test"] },
  },
  {
    what: "no data behind an alias",
    rfc: "RFC 2308 §2.2",
    ask: ["alias.c.test", "TXT"],
    expect: { answer: ["alias.c.test CNAME two.c.test"], authority: SOA },
  },
  {
    what: "an alias into another served zone is followed",
    rfc: "RFC 1034 §4.3.2 step 3a",
    ask: ["far.c.test", "A"],
    expect: { answer: ["far.c.test CNAME near.d.test", "near.d.test A 198.51.100.2"] },
  },
  {
    what: "the response code is that of the chain's end",
    rfc: "RFC 6604 §3",
    ask: ["gone.c.test", "A"],
    expect: { rcode: NXDOMAIN, answer: ["gone.c.test CNAME missing.d.test"], authority: ["d.test SOA 60"] },
  },
  {
    what: "an alias to a name of others ends the answer",
    rfc: "RFC 1034 §4.3.2",
    ask: ["out.c.test", "A"],
    expect: { answer: ["out.c.test CNAME www.elsewhere.example"] },
  },
  {
    what: "a loop of aliases ends",
    rfc: "RFC 1034 §3.6.2",
    ask: ["loop1.c.test", "A"],
    expect: { answer: ["loop1.c.test CNAME loop2.c.test", "loop2.c.test CNAME loop1.c.test"] },
  },
  {
    what: "a loop across zones ends",
    rfc: "RFC 1034 §3.6.2",
    ask: ["cross.c.test", "A"],
    expect: { answer: ["back.d.test CNAME cross.c.test", "cross.c.test CNAME back.d.test"] },
  },
  {
    what: "a DNAME stands for a CNAME with its TTL",
    rfc: "RFC 6672 §3.1",
    ask: ["WWW.dn.c.test", "A"],
    expect: {
      answer: ["dn.c.test DNAME d.test", "www.d.test A 198.51.100.4", "www.dn.c.test CNAME www.d.test"],
    },
  },
  {
    what: "the CNAME it stands for may be asked for",
    rfc: "RFC 6672 §3.1",
    ask: ["www.dn.c.test", "CNAME"],
    expect: { answer: ["dn.c.test DNAME d.test", "www.dn.c.test CNAME www.d.test"] },
  },
  {
    what: "the owner of a DNAME is not redirected",
    rfc: "RFC 6672 §2.3",
    ask: ["dn.c.test", "TXT"],
    expect: { answer: ["dn.c.test TXT beside"] },
  },
  {
    what: "DNAME asked for",
    rfc: "RFC 6672 §2.3",
    ask: ["dn.c.test", "DNAME"],
    expect: { answer: ["dn.c.test DNAME d.test"] },
  },
  {
    what: "a name that a DNAME makes too long",
    rfc: "RFC 6672 §2.2",
    ask: [`${LONG_PREFIX}.tight.c.test`, "A"],
    expect: { rcode: YXDOMAIN, answer: [`tight.c.test DNAME ${LONG}.${LONG}.d.test`] },
  },
  {
    what: "a DNAME that leads to itself ends",
    rfc: "RFC 6672 §2.2",
    ask: ["x.selfd.c.test", "A"],
    expect: { answer: ["selfd.c.test DNAME selfd.c.test", "x.selfd.c.test CNAME x.selfd.c.test"] },
  },

  // delegations
  {
    what: "a referral has no AA, the NS, and the glue",
    rfc: "RFC 1034 §4.3.2 step 3b, RFC 9471 §3.1",
    ask: ["www.sub.c.test", "A"],
    expect: { flags: "", authority: SUB, additional: GLUE },
  },
  {
    what: "so has the cut itself",
    rfc: "RFC 1034 §4.2.1",
    ask: ["sub.c.test", "NS"],
    expect: { flags: "", authority: SUB, additional: GLUE },
  },
  {
    what: "glue is not data",
    rfc: "RFC 2181 §5.4.1",
    ask: ["ns.sub.c.test", "A"],
    expect: { flags: "", authority: SUB, additional: GLUE },
  },
  {
    what: "DS at the cut is ours",
    rfc: "RFC 4035 §3.1.4.1",
    ask: ["sub.c.test", "DS"],
    expect: {
      answer: [
        "sub.c.test DS 12345 13 2 1f8188345f2b0d0a12eaea95f2ef6dc66c1ea6f46a0dc4ae8e3d3e1e9b3f3a2c",
      ],
    },
  },
  {
    what: "DS below the cut is not",
    rfc: "RFC 4035 §3.1.4.1",
    ask: ["x.sub.c.test", "DS"],
    expect: { flags: "", authority: SUB, additional: GLUE },
  },
  {
    what: "DS at our apex without the parent is no data",
    rfc: "RFC 4035 §3.1.4.1",
    ask: ["c.test", "DS"],
    expect: { authority: SOA },
  },
  {
    what: "glue without room sets TC",
    rfc: "RFC 9471 §3.1",
    ask: ["x.big.c.test", "A"],
    expect: { flags: "tc", authority: ["big.c.test NS ns.big.c.test"], only: "udp" },
  },

  // zones signed elsewhere
  {
    what: "DNSKEY asked for",
    rfc: "RFC 4034 §2",
    ask: ["s.test", "DNSKEY"],
    expect: { answer: ["s.test DNSKEY 257 13 020202"] },
  },
  {
    what: "NSEC asked for",
    rfc: "RFC 4035 §2.3",
    ask: ["ns.s.test", "NSEC"],
    expect: { answer: ["ns.s.test NSEC s.test a rrsig nsec"] },
  },
  {
    what: "RRSIG asked for, each with the TTL of what it covers",
    rfc: "RFC 4034 §3",
    ask: ["s.test", "RRSIG"],
    expect: {
      answer: ["s.test RRSIG 300 ns 010101", "s.test RRSIG 300 soa 000000", "s.test RRSIG 60 dnskey 030303"],
    },
  },
  {
    what: "no data and no name, without DO as in any zone",
    rfc: "RFC 4035 §3.1",
    ask: ["no.s.test", "A"],
    expect: { rcode: NXDOMAIN, authority: ["s.test SOA 60"] },
  },

  // whose zones
  {
    what: "a name of no zone here",
    rfc: "RFC 1035 §4.1.1",
    ask: ["www.elsewhere.example", "A"],
    expect: { rcode: REFUSED, flags: "" },
  },
  { what: "the root", rfc: "RFC 1035 §4.1.1", ask: [".", "NS"], expect: { rcode: REFUSED, flags: "" } },
  {
    what: "the parent of a zone here",
    rfc: "RFC 1035 §4.1.1",
    ask: ["test", "SOA"],
    expect: { rcode: REFUSED, flags: "" },
  },
  {
    what: "class CH",
    rfc: "RFC 1035 §3.2.4",
    ask: ["version.bind", "TXT", { class: 3 }],
    expect: { rcode: REFUSED, flags: "" },
  },
  {
    what: "class ANY is answered, never with authority",
    rfc: "RFC 1034 §3.7.1",
    ask: ["two.c.test", "A", { class: 255 }],
    expect: { rcode: NOERROR, flags: "", answer: TWO },
  },
  {
    what: "class NONE",
    rfc: "RFC 2136 §2.4",
    ask: ["two.c.test", "A", { class: 254 }],
    expect: { rcode: REFUSED, flags: "" },
  },
  {
    what: "transfers without a key",
    rfc: "RFC 5936 §2.2.1",
    ask: ["c.test", "AXFR"],
    expect: { rcode: REFUSED, flags: "" },
  },
  {
    what: "incremental ones too",
    rfc: "RFC 1995 §2",
    ask: ["c.test", "IXFR"],
    expect: { rcode: REFUSED, flags: "" },
  },

  // EDNS
  {
    what: "OPT is answered with ours, DO clear",
    rfc: "RFC 6891 §6.1.1, §7",
    ask: ["two.c.test", "A", { edns: {} }],
    expect: { answer: TWO, edns: PLAIN_OPT },
  },
  {
    what: "without OPT there is none",
    rfc: "RFC 6891 §7",
    ask: ["two.c.test", "A"],
    expect: { answer: TWO, edns: "none" },
  },
  {
    what: "DO is copied",
    rfc: "RFC 3225 §3",
    ask: ["two.c.test", "A", { edns: { flags: 0x8000 } }],
    expect: { answer: TWO, edns: { ...PLAIN_OPT, dnssecOk: true } },
  },
  {
    what: "other flags of OPT are ignored and clear",
    rfc: "RFC 6891 §6.1.4",
    ask: ["two.c.test", "A", { edns: { flags: 0x7fff } }],
    expect: { answer: TWO, edns: { ...PLAIN_OPT, flags: 0 } },
  },
  {
    what: "version 1 is BADVERS, with OPT of version 0 and nothing answered",
    rfc: "RFC 6891 §6.1.3",
    ask: ["two.c.test", "A", { edns: { version: 1 } }],
    expect: { rcode: BADVERS, flags: "", edns: PLAIN_OPT },
  },
  {
    what: "version 255 too, with options nobody knows",
    rfc: "RFC 6891 §6.1.3",
    ask: ["two.c.test", "A", { edns: { version: 255, options: [[65001, [1, 2, 3]]] } }],
    expect: { rcode: BADVERS, flags: "", edns: PLAIN_OPT },
  },
  {
    what: "unknown options are ignored",
    rfc: "RFC 6891 §6.1.2",
    ask: ["two.c.test", "A", { edns: { options: [[65001, [1, 2, 3]], [65002, []]] } }],
    expect: { answer: TWO, edns: { ...PLAIN_OPT, options: [] } },
  },
  {
    what: "a cookie is no offence",
    rfc: "RFC 7873 §5.2",
    ask: ["two.c.test", "A", { edns: { options: [[10, [1, 2, 3, 4, 5, 6, 7, 8]]] } }],
    expect: { answer: TWO },
  },
  {
    what: "an option longer than its OPT",
    rfc: "RFC 6891 §6.1.2",
    ask: ["two.c.test", "A", { edns: { raw: [0xfd, 0xe9, 0, 9, 1] } }],
    expect: { rcode: FORMERR, flags: "" },
  },
  {
    what: "two OPT records",
    rfc: "RFC 6891 §6.1.1",
    ask: ["two.c.test", "A", { edns: { copies: 2 } }],
    expect: { rcode: FORMERR, flags: "" },
  },
  {
    what: "OPT not at the root",
    rfc: "RFC 6891 §6.1.2",
    ask: ["two.c.test", "A", { edns: { owner: "x" } }],
    expect: { rcode: FORMERR, flags: "" },
  },
  {
    what: "no name, with EDNS",
    rfc: "RFC 6891 §7",
    ask: ["no.c.test", "A", { edns: {} }],
    expect: { rcode: NXDOMAIN, authority: SOA, edns: PLAIN_OPT },
  },
  {
    what: "REFUSED keeps OPT",
    rfc: "RFC 6891 §7",
    ask: ["www.elsewhere.example", "A", { edns: {} }],
    expect: { rcode: REFUSED, flags: "", edns: PLAIN_OPT },
  },

  // size
  {
    what: "without EDNS 512 octets, and TC over them",
    rfc: "RFC 1035 §4.2.1, RFC 2181 §9",
    ask: ["medium.c.test", "TXT"],
    expect: { flags: "aa tc", only: "udp" },
  },
  {
    what: "what fits in 512 octets is whole",
    rfc: "RFC 1035 §4.2.1",
    ask: ["small.c.test", "TXT"],
    expect: { answer: [`small.c.test TXT ${"s".repeat(200)}${"t".repeat(200)}`] },
  },
  {
    what: "an offer under 512 counts as 512",
    rfc: "RFC 6891 §6.2.5",
    ask: ["small.c.test", "TXT", { edns: { udpSize: 100 } }],
    expect: { answer: [`small.c.test TXT ${"s".repeat(200)}${"t".repeat(200)}`] },
  },
  {
    what: "with EDNS as much as was offered",
    rfc: "RFC 6891 §6.2.3",
    ask: ["medium.c.test", "TXT", { edns: { udpSize: 1232 } }],
    expect: { answer: [`medium.c.test TXT ${"m".repeat(255)}${"n".repeat(255)}${"o".repeat(200)}`] },
  },
  {
    what: "never over 1232, whatever is offered",
    rfc: "RFC 6891 §6.2.5, RFC 9715 §3.2",
    ask: ["huge.c.test", "TXT", { edns: { udpSize: 65_535 } }],
    expect: { flags: "aa tc", only: "udp" },
  },
  {
    what: "over TCP all of it",
    rfc: "RFC 7766 §5",
    ask: ["huge.c.test", "TXT"],
    expect: {
      answer: Array.from({ length: 30 }, (_, i) => `huge.c.test TXT ${String(i).padStart(100, "h")}`).sort(),
      only: "tcp",
    },
  },

  // what is no query
  {
    what: "no question",
    rfc: "RFC 9619 §4",
    ask: ["two.c.test", "A", { questions: 0 }],
    expect: { rcode: FORMERR, flags: "" },
  },
  {
    what: "two questions",
    rfc: "RFC 9619 §4",
    ask: ["two.c.test", "A", { questions: 2 }],
    expect: { rcode: FORMERR, flags: "" },
  },
  {
    what: "more records announced than are there",
    rfc: "RFC 1035 §4.1.1",
    ask: ["two.c.test", "A", { additionals: 1 }],
    expect: { rcode: FORMERR, flags: "" },
  },
  {
    what: "octets behind the message",
    rfc: "RFC 1035 §4.1",
    ask: ["two.c.test", "A", { trailer: [0] }],
    expect: { rcode: FORMERR, flags: "" },
  },
  {
    what: "IQUERY",
    rfc: "RFC 3425 §3",
    ask: ["two.c.test", "A", { flags: 1 << 11 }],
    expect: { rcode: NOTIMP, flags: "" },
  },
  {
    what: "STATUS",
    rfc: "RFC 1035 §4.1.1",
    ask: ["two.c.test", "A", { flags: 2 << 11 }],
    expect: { rcode: NOTIMP, flags: "" },
  },
  {
    what: "an opcode that is none",
    rfc: "RFC 6895 §2.2",
    ask: ["two.c.test", "A", { flags: 15 << 11 }],
    expect: { rcode: NOTIMP, flags: "" },
  },
  {
    what: "stateful operations",
    rfc: "RFC 8490 §5.1.1",
    ask: [".", 0, { flags: 6 << 11, questions: 0 }],
    expect: { rcode: NOTIMP, flags: "" },
  },
  {
    what: "NOTIFY to a primary",
    rfc: "RFC 1996 §3.10",
    ask: ["c.test", "SOA", { flags: 4 << 11 | 0x0400 }],
    expect: { rcode: NOTIMP, flags: "" },
  },
  {
    what: "UPDATE without a signature",
    rfc: "RFC 2136 §3.3.2",
    ask: ["c.test", "SOA", { flags: 5 << 11 }],
    expect: { rcode: REFUSED, flags: "" },
  },
];

realTest("a server of the DNS by its RFCs, over UDP and TCP", {
  needs: ["dig", "kdig", "nsupdate", "openssl"],
}, async ({ dir, step }) => {
  for (const [origin, text] of Object.entries(ZONES)) {
    await Deno.mkdir(`${dir}/zones`, { recursive: true });
    await Deno.writeTextFile(`${dir}/zones/${origin}.zone`, text);
  }
  equal((await runCommand(dir, "key", ["add", "web._update.web.c.test"])).code, 0);
  const server = await serverIn(dir, ["--zones", `${dir}/zones`]);
  const keyFile = `${dir}/.bailiwick/keys/admin.key`;
  const key = keyIn(await Deno.readTextFile(keyFile));
  try {
    for (const transport of ["udp", "tcp"] as const) {
      for (const { what, rfc, ask: [name, type, settings], expect } of CASES) {
        if ((expect.only ?? transport) !== transport) continue;
        await step(`${what} (${rfc}, ${transport})`, async () => {
          const query = buildQuery(name, type, settings);
          const reply = await exchange(server, transport, query);
          ok(reply, "no answer");
          checkEcho(query, reply);
          ok(transport === "tcp" || reply.length <= 1232);
          const seen = view(reply);
          deepEqual({ ...seen, edns: undefined }, {
            rcode: expect.rcode ?? NOERROR,
            flags: expect.flags ?? "aa",
            answer: expect.answer ?? [],
            authority: expect.authority ?? [],
            additional: expect.additional ?? [],
            edns: undefined,
          });
          if (expect.edns === "none") equal(seen.edns, undefined);
          else {for (const [field, value] of Object.entries(expect.edns ?? {})) {
              deepEqual(seen.edns?.[field as keyof EdnsView], value, field);
            }}
        });
      }
    }
    for (const [title, part] of SCENES) await step(title, () => part({ server, dir, key, keyFile }));
    ok(!/TypeError|RangeError|fault while|\bat .*\.ts:\d+/.test(server.log()), server.log());
  } finally {
    equal(await server.stop(), 0);
  }
});

interface Scene {
  readonly server: RunningServer;
  readonly dir: string;
  readonly key: TsigKey;
  readonly keyFile: string;
}

/** What takes more than one query and one answer. */
const SCENES: readonly [string, (scene: Scene) => Promise<void>][] = [
  [
    "responses and stumps are not answered over UDP, and what follows them is (RFC 1035 §7.3)",
    async ({ server }) => {
      const response = buildQuery("two.c.test", "A", { flags: 0x8000 });
      for (const bytes of [response, response.subarray(0, 11), new Uint8Array(1)]) {
        await silently(server, bytes);
      }
    },
  ],
  ["queries over 4096 octets are FORMERR over UDP and answered over TCP", async ({ server }) => {
    const query = buildQuery("two.c.test", "A", { edns: { options: [[65001, Array(5000).fill(7)]] } });
    const cut = await exchange(server, "udp", query);
    equal(cut && view(cut).rcode, FORMERR);
    const whole = await exchange(server, "tcp", query);
    deepEqual(whole && view(whole).answer, TWO);
  }],
  ["dig retries a truncated answer over TCP by itself (RFC 7766 §5)", async ({ server }) => {
    const out = await dig(server.dns, ["huge.c.test", "TXT"]);
    match(out, /Truncated, retrying in TCP/);
    match(out, /ANSWER: 30,/);
  }],
  ["dig and kdig find nothing to complain about", async ({ server }) => {
    const { host, port } = hostAndPort(server.dns);
    const questions = CASES.filter(({ ask }) =>
      ask[2] === undefined && typeof ask[1] === "string" &&
      !["AXFR", "IXFR"].includes(ask[1])
    );
    for (const { ask: [name, type] } of questions) {
      const seen = await dig(server.dns, ["+noidnin", "+norec", "-q", name, "-t", `${type}`]);
      ok(!/WARNING|extra bytes|parse|bad|Warning/i.test(seen), seen);
    }
    for (const { ask: [name, type] } of questions.slice(0, 20)) {
      const seen = await run("kdig", [`@${host}`, "-p", port, "+tcp", "+norec", name, `${type}`]);
      ok(!/WARNING|(?<!NO)ERROR|malformed/i.test(seen.stdout + seen.stderr), seen.stdout + seen.stderr);
    }
  }],
  ["pipelined queries are all answered, whole (RFC 7766 §6.2.1.1)", async ({ server }) => {
    const ids = Array.from({ length: 200 }, (_, i) => i + 1);
    using connection = await connect(server);
    const queries = ids.map((id) =>
      framed(buildQuery(id % 2 === 0 ? "huge.c.test" : "two.c.test", "TXT", { id }))
    );
    const [, replies] = await Promise.all([
      writeAll(connection, concat(queries)),
      readFrames(connection, ids.length),
    ]);
    deepEqual(replies.map((reply) => reply[0] << 8 | reply[1]).sort((a, b) => a - b), ids);
  }],
  [
    "a signed query is answered out of turn or in turn, but answered (RFC 7766 §6.2.1.1)",
    async ({ server, key }) => {
      using connection = await connect(server);
      const signed = signRequest(buildQuery("two.c.test", "A", { id: 1 }), key, { now: now() });
      await writeAll(
        connection,
        concat([framed(signed.bytes), framed(buildQuery("two.c.test", "A", { id: 2 }))]),
      );
      const replies = await readFrames(connection, 2);
      const first = replies.find((reply) => reply[1] === 1);
      ok(first);
      const verified = verifyResponse(first, key, signed.mac, now());
      ok(verified.ok);
    },
  ],
  ["octets that come one by one make a query (RFC 7766 §8)", async ({ server }) => {
    using connection = await connect(server);
    connection.setNoDelay(true);
    for (const octet of framed(buildQuery("two.c.test", "A"))) {
      await writeAll(connection, Uint8Array.of(octet));
    }
    const [reply] = await readFrames(connection, 1);
    deepEqual(view(reply).answer, TWO);
  }],
  ["a client that has sent all it will still gets its answers (RFC 7766 §6.2.4)", async ({ server }) => {
    using connection = await connect(server);
    await writeAll(connection, framed(buildQuery("huge.c.test", "TXT")));
    await connection.closeWrite();
    const [reply] = await readFrames(connection, 1);
    equal(view(reply).answer.length, 30);
    equal(await connection.read(new Uint8Array(1)), null);
  }],
  [
    "an empty frame, a stump and a response get nothing, and do not end the connection",
    async ({ server }) => {
      using connection = await connect(server);
      const query = buildQuery("two.c.test", "A", { id: 77 });
      await writeAll(
        connection,
        concat([
          framed(new Uint8Array(0)),
          framed(query.subarray(0, 5)),
          framed(buildQuery("two.c.test", "A", { flags: 0x8000 })),
          framed(query),
        ]),
      );
      const [reply] = await readFrames(connection, 1);
      equal(reply[1], 77);
    },
  ],
  ["a client that goes away in the middle of a message harms nobody", async ({ server }) => {
    for (let i = 0; i < 20; i++) {
      const connection = await connect(server);
      await writeAll(connection, framed(buildQuery("huge.c.test", "TXT")).subarray(0, i + 1));
      connection.close();
    }
    equal(await dig(server.dns, ["+tcp", "+short", "mixed.c.test"]), "192.0.2.3");
  }],
  [
    "updates over UDP as over TCP, seen at once over both (RFC 2136 §2, §6.2)",
    async ({ server, dir, keyFile }) => {
      for (const [index, way] of [[], ["-v"]].entries()) {
        const name = `_acme-challenge.up${index}.c.test`;
        const done = await nsupdate(
          server,
          dir,
          keyFile,
          "c.test",
          [`add ${name} 60 TXT "value ${index}"`],
          way,
        );
        equal(done.code, 0, done.stderr);
        for (const transport of ["+notcp", "+tcp"]) {
          equal(await dig(server.dns, ["+short", transport, name, "TXT"]), `"value ${index}"`);
        }
        const gone = await nsupdate(server, dir, keyFile, "c.test", [`del ${name} TXT`], way);
        equal(gone.code, 0, gone.stderr);
        match(await dig(server.dns, [name, "TXT"]), /status: NXDOMAIN/);
      }
    },
  ],
  ["a question whose name is no plain name is FORMERR (RFC 1035 §4.1.2, RFC 6891 §5)", async ({ server }) => {
    const good = buildQuery("two.c.test", "A");
    const changes: readonly (readonly [at: number, octets: readonly number[]])[] = [
      [12, [0xc0, 12]],
      [12, [0x41]],
      [12, [0x80]],
      [12, [64]],
      [16, [63]],
    ];
    for (const transport of ["udp", "tcp"] as const) {
      for (const [at, octets] of changes) {
        const query = Uint8Array.from(good);
        query.set(octets, at);
        const reply = await exchange(server, transport, query);
        equal(reply && reply[3], FORMERR);
      }
    }
  }],
  ["an update of a zone signed elsewhere is REFUSED with the reason", async ({ server, key }) => {
    const update = { owner: "x.s.test", type: 1, rdata: Uint8Array.of(192, 0, 2, 99), edns: true };
    const refused = await signedUpdate(server, "udp", key, "s.test", update);
    equal(refused.rcode, REFUSED);
    match(reasonOf(refused.edns), /pre-signed/);
    match(await dig(server.dns, ["x.s.test"]), /status: NXDOMAIN/);
  }],
  [
    "names outside the zone section are NOTZONE, zones that are not here NOTAUTH (RFC 2136 §3.1.2, §3.4.1.3)",
    async ({ server, key }) => {
      for (const transport of ["udp", "tcp"] as const) {
        const outside = await signedUpdate(server, transport, key, "c.test", "x.d.test");
        equal(outside.rcode, NOTZONE);
        const foreign = await signedUpdate(
          server,
          transport,
          key,
          "elsewhere.example",
          "x.elsewhere.example",
        );
        equal(foreign.rcode, NOTAUTH);
      }
    },
  ],
  ["a key nobody knows is BADKEY, unsigned (RFC 8945 §5.2.1)", async ({ server, key }) => {
    for (const transport of ["udp", "tcp"] as const) {
      const stranger = { ...key, name: nameFrom("stranger._update.") };
      const tsig = await tsigError(server, transport, stranger, now());
      deepEqual(tsig, { rcode: NOTAUTH, error: BADKEY, macOctets: 0 });
    }
  }],
  ["a wrong secret is BADSIG, unsigned (RFC 8945 §5.2.2)", async ({ server, key }) => {
    for (const transport of ["udp", "tcp"] as const) {
      const wrong = { ...key, secret: key.secret.map((octet) => octet ^ 1) };
      deepEqual(await tsigError(server, transport, wrong, now()), {
        rcode: NOTAUTH,
        error: BADSIG,
        macOctets: 0,
      });
    }
  }],
  ["another time is BADTIME, signed (RFC 8945 §5.2.3)", async ({ server, key }) => {
    for (const transport of ["udp", "tcp"] as const) {
      const seen = await tsigError(server, transport, key, now() - 4000);
      deepEqual(seen, { rcode: NOTAUTH, error: BADTIME, macOctets: 32 });
    }
  }],
  ["nsupdate names what is wrong with a key", async ({ server, dir, keyFile }) => {
    const text = await Deno.readTextFile(keyFile);
    await Deno.writeTextFile(`${dir}/stranger.key`, text.replace("admin._update", "stranger._update"));
    const add = ["add _acme-challenge.k.c.test 60 TXT k"];
    const unknown = await nsupdate(server, dir, `${dir}/stranger.key`, "c.test", add);
    notEqual(unknown.code, 0);
    match(unknown.stderr, /BADKEY/);
    const secret = /secret "([^"]+)"/.exec(text)?.[1] ?? "";
    await Deno.writeTextFile(`${dir}/wrong.key`, text.replace(secret, btoa("z".repeat(32))));
    const wrong = await nsupdate(server, dir, `${dir}/wrong.key`, "c.test", add);
    notEqual(wrong.code, 0);
    match(wrong.stderr, /BADSIG|NOTAUTH|REFUSED/);
  }],
  [
    "a request for names outside the key's scope is REFUSED with the reason, over UDP and TCP (RFC 8914 §4.19)",
    async ({ server, dir }) => {
      const web = keyIn(await Deno.readTextFile(`${dir}/.bailiwick/keys/tsig/web._update.web.c.test.key`));
      const der = await request(dir, "web.c.test", ["web.c.test", "mail.c.test"]);
      const rdata = concat([Uint8Array.of(3, 255, 0), der]);
      for (const transport of ["udp", "tcp"] as const) {
        const owner = "_letsencrypt._tcp.web.c.test";
        const update = { owner, type: 52, rdata, edns: true };
        const refused = await signedUpdate(server, transport, web, "web.c.test", update);
        equal(refused.rcode, REFUSED);
        match(reasonOf(refused.edns), /mail\.c\.test/);
        equal(await dig(server.dns, ["+short", owner, "TLSA"]), "");
      }
      const foreign = await signedUpdate(server, "udp", web, "c.test", "x.c.test");
      equal(foreign.rcode, REFUSED);
    },
  ],
];

type Transport = "udp" | "tcp";

interface QuerySettings {
  readonly id?: number;
  /** The header's second word. */
  readonly flags?: number;
  readonly class?: number;
  /** How many times the question stands there. */
  readonly questions?: number;
  /** ARCOUNT, where it is to differ from what is there. */
  readonly additionals?: number;
  readonly trailer?: readonly number[];
  readonly edns?: {
    readonly version?: number;
    readonly flags?: number;
    readonly udpSize?: number;
    readonly options?: readonly (readonly [code: number, data: readonly number[]])[];
    readonly raw?: readonly number[];
    readonly copies?: number;
    readonly owner?: string;
  };
}

const TYPES: Readonly<Record<string, number>> = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  MX: 15,
  TXT: 16,
  AAAA: 28,
  DNAME: 39,
  DS: 43,
  RRSIG: 46,
  NSEC: 47,
  DNSKEY: 48,
  IXFR: 251,
  AXFR: 252,
  ANY: 255,
  CAA: 257,
};

function buildQuery(
  name: string,
  type: string | number,
  settings: QuerySettings = {},
): Uint8Array<ArrayBuffer> {
  const { id = 0x1234, flags = 0, questions = 1, edns } = settings;
  const number = typeof type === "number" ? type : TYPES[type];
  const question = [...wireName(name), ...word(number), ...word(settings.class ?? 1)];
  const rdata = edns?.raw ??
    (edns?.options ?? []).flatMap(([code, data]) => [...word(code), ...word(data.length), ...data]);
  const opt = edns === undefined ? [] : [
    ...wireName(edns.owner ?? "."),
    ...word(41),
    ...word(edns.udpSize ?? 1232),
    0,
    edns.version ?? 0,
    ...word(edns.flags ?? 0),
    ...word(rdata.length),
    ...rdata,
  ];
  const copies = edns === undefined ? 0 : edns.copies ?? 1;
  return Uint8Array.from([
    ...word(id),
    ...word(flags),
    ...word(questions),
    ...[0, 0, 0, 0],
    ...word(settings.additionals ?? copies),
    ...Array(questions).fill(question).flat(),
    ...Array(copies).fill(opt).flat(),
    ...settings.trailer ?? [],
  ]);
}

function wireName(name: string): number[] {
  const labels = name === "." ? [] : name.split(".");
  return [...labels.flatMap((label) => [label.length, ...new TextEncoder().encode(label)]), 0];
}

function word(value: number): [number, number] {
  return [value >>> 8, value & 0xff];
}

/** The same ID, opcode and question; QR set, RA, AD, CD and Z clear. */
function checkEcho(query: Uint8Array, reply: Uint8Array): void {
  deepEqual(reply.subarray(0, 2), query.subarray(0, 2));
  equal(reply[2] & 0xf9, query[2] & 0x79 | 0x80);
  equal(reply[3] & 0xf0, 0);
  if ((reply[4] << 8 | reply[5]) === 0) return;
  const end = 12 + wireLength(query, 12) + 4;
  deepEqual(reply.subarray(12, end), query.subarray(12, end));
}

function wireLength(bytes: Uint8Array, from: number): number {
  let at = from;
  while (bytes[at] !== 0) at += 1 + bytes[at];
  return at + 1 - from;
}

interface EdnsView {
  readonly version: number;
  readonly dnssecOk: boolean;
  readonly flags: number;
  readonly udpSize: number;
  readonly options: readonly (readonly [number, readonly number[]])[];
}

/** A message as dns-packet reads it, sorted, names without case. */
function view(message: Uint8Array) {
  const packet = decode(Buffer.from(message));
  const bits = message[2] << 8 | message[3];
  const flags =
    ([["aa", 0x400], ["tc", 0x200], ["rd", 0x100], ["ra", 0x80], ["ad", 0x20], ["cd", 0x10]] as const)
      .filter(([, bit]) => (bits & bit) !== 0).map(([name]) => name).join(" ");
  const opt = (packet.additionals ?? []).find((record) => record.type === "OPT") as OptRecord | undefined;
  const section = (records: readonly object[] | undefined) =>
    (records ?? []).map(recordText).filter((text) => text !== undefined).sort();
  return {
    rcode: (opt?.extendedRcode ?? 0) << 4 | message[3] & 0x0f,
    flags,
    answer: section(packet.answers),
    authority: section(packet.authorities),
    additional: section(packet.additionals),
    edns: opt === undefined ? undefined : {
      version: opt.ednsVersion,
      dnssecOk: (opt.flags & 0x8000) !== 0,
      flags: opt.flags,
      udpSize: opt.udpPayloadSize,
      options: opt.options.map(({ code, data }) => [code, [...data]] as const),
    } satisfies EdnsView,
  };
}

/** The text of the extended error (RFC 8914 §2). */
function reasonOf(edns: EdnsView | undefined): string {
  const [option] = edns?.options ?? [];
  equal(option?.[0], 15);
  return new TextDecoder().decode(Uint8Array.from(option?.[1] ?? []).subarray(2));
}

interface OptRecord {
  readonly extendedRcode: number;
  readonly ednsVersion: number;
  readonly flags: number;
  readonly udpPayloadSize: number;
  readonly options: readonly { readonly code: number; readonly data: Uint8Array }[];
}

/** `owner TYPE data`; of SOA the TTL is what matters. */
function recordText(record: object): string | undefined {
  const { name, type, ttl, data } = record as { name: string; type: string; ttl: number; data: unknown };
  if (type === "OPT" || type === "TSIG") return undefined;
  const owner = name.toLowerCase();
  if (type === "RRSIG") {
    const { typeCovered, signature } = data as { typeCovered: string; signature: Uint8Array };
    return `${owner} RRSIG ${ttl} ${typeCovered.toLowerCase()} ${Uint8Array.from(signature).toHex()}`;
  }
  if (type === "SOA") return `${owner} SOA ${ttl}`;
  return `${owner} ${type} ${dataText(type, data)}`;
}

function dataText(type: string, data: unknown): string {
  if (typeof data === "string") return data.toLowerCase();
  if (type === "TXT") return (data as Uint8Array[]).map((part) => new TextDecoder().decode(part)).join("");
  if (type === "DNSKEY") {
    const key = data as { flags: number; algorithm: number; key: Uint8Array };
    return `${key.flags} ${key.algorithm} ${Uint8Array.from(key.key).toHex()}`;
  }
  if (type === "NSEC") {
    const { nextDomain, rrtypes } = data as { nextDomain: string; rrtypes: string[] };
    return [nextDomain, ...rrtypes].join(" ").toLowerCase();
  }
  if (type === "HINFO") return (data as { cpu: string }).cpu;
  if (type === "DS") {
    const ds = data as { keyTag: number; algorithm: number; digestType: number; digest: Uint8Array };
    return `${ds.keyTag} ${ds.algorithm} ${ds.digestType} ${ds.digest.toHex()}`;
  }
  if (data instanceof Uint8Array) return Uint8Array.from(data).toHex();
  return JSON.stringify(data);
}

async function exchange(
  server: RunningServer,
  transport: Transport,
  query: Uint8Array<ArrayBuffer>,
): Promise<Uint8Array | undefined> {
  if (transport === "tcp") {
    using connection = await connect(server);
    await writeAll(connection, framed(query));
    return (await readFrames(connection, 1))[0];
  }
  const { host, port } = hostAndPort(server.dns);
  const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  try {
    await socket.send(query, { transport: "udp", hostname: host, port: Number(port) });
    return (await socket.receive(new Uint8Array(65_535)))[0];
  } finally {
    socket.close();
  }
}

/** Sends what must not be answered, and a query behind it: the first datagram to come back is the query's. */
async function silently(server: RunningServer, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  const { host, port } = hostAndPort(server.dns);
  const to = { transport: "udp", hostname: host, port: Number(port) } as const;
  const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  await socket.send(bytes, to);
  await socket.send(buildQuery("two.c.test", "A", { id: 0x4321 }), to);
  const [reply] = await socket.receive();
  socket.close();
  deepEqual([...reply.subarray(0, 2)], [0x43, 0x21]);
}

function connect(server: RunningServer): Promise<Deno.TcpConn> {
  const { host, port } = hostAndPort(server.dns);
  return Deno.connect({ hostname: host, port: Number(port) });
}

function framed(message: Uint8Array): Uint8Array<ArrayBuffer> {
  return concat([Uint8Array.from(word(message.length)), message]);
}

async function writeAll(connection: Deno.TcpConn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
}

async function readFrames(connection: Deno.TcpConn, count: number): Promise<Uint8Array[]> {
  const frames: Uint8Array[] = [];
  const exactly = async (length: number) => {
    const bytes = new Uint8Array(length);
    for (let at = 0; at < length;) {
      const read = await connection.read(bytes.subarray(at));
      if (read === null) throw new Error(`the server ended the connection after ${frames.length} messages`);
      at += read;
    }
    return bytes;
  };
  while (frames.length < count) {
    const [high, low] = await exactly(2);
    frames.push(await exactly(high << 8 | low));
  }
  return frames;
}

/** An UPDATE that adds one record: an A record at the name, or what is given. */
async function signedUpdate(
  server: RunningServer,
  transport: Transport,
  key: TsigKey,
  zone: string,
  what: string | { owner: string; type: number; rdata: Uint8Array; edns: boolean },
) {
  const { owner, type, rdata, edns } = typeof what === "string"
    ? { owner: what, type: 1, rdata: Uint8Array.of(192, 0, 2, 99), edns: false }
    : what;
  const unsigned = Uint8Array.from([
    ...word(0x5555),
    ...word(5 << 11),
    ...[0, 1, 0, 0, 0, 1, 0, edns ? 1 : 0],
    ...[...wireName(zone), 0, 6, 0, 1],
    ...[...wireName(owner), ...word(type), 0, 1, 0, 0, 0, 60, ...word(rdata.length), ...rdata],
    ...edns ? [0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0] : [],
  ]);
  const signed = signRequest(unsigned, key, { now: now() });
  const reply = await exchange(server, transport, Uint8Array.from(signed.bytes));
  ok(reply);
  ok(verifyResponse(reply, key, signed.mac, now()).ok, "the response is signed");
  return view(reply);
}

/** What the server says about a signature: the error in the TSIG record (RFC 8945 §4.2) and the length of its MAC. */
async function tsigError(server: RunningServer, transport: Transport, key: TsigKey, signedAt: number) {
  const signed = signRequest(buildQuery("two.c.test", "A"), key, { now: signedAt });
  const reply = await exchange(server, transport, Uint8Array.from(signed.bytes));
  ok(reply);
  equal(reply[11], 1, "one record, TSIG");
  let at = 12 + wireLength(reply, 12) + 4;
  at += wireLength(reply, at) + 10;
  at += wireLength(reply, at) + 8;
  const macOctets = reply[at] << 8 | reply[at + 1];
  const error = reply[at + macOctets + 4] << 8 | reply[at + macOctets + 5];
  return { rcode: reply[3] & 0x0f, error, macOctets };
}

function keyIn(text: string): TsigKey {
  const parsed = parseKeyFile(text);
  ok(parsed.ok);
  return parsed.value[0];
}

async function request(dir: string, subject: string, names: readonly string[]): Promise<Uint8Array> {
  const out = `${dir}/request.der`;
  await run("openssl", [
    ...["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
    ...["-keyout", `${dir}/request.key`, "-subj", `/CN=${subject}`],
    ...["-addext", `subjectAltName=${names.map((name) => `DNS:${name}`).join(",")}`],
    ...["-outform", "DER", "-out", out],
  ]);
  return await Deno.readFile(out);
}

async function nsupdate(
  server: RunningServer,
  dir: string,
  keyFile: string,
  zone: string,
  lines: readonly string[],
  flags: readonly string[] = [],
) {
  const { host, port } = hostAndPort(server.dns);
  const updates = lines.map((line) => `update ${line}`);
  const script = [`server ${host} ${port}`, `zone ${zone}`, ...updates, "send", ""].join("\n");
  return await run("nsupdate", [...flags, "-k", keyFile], { cwd: dir, stdin: script, check: false });
}

function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function now(): number {
  return Math.floor(Date.now() / 1000);
}
