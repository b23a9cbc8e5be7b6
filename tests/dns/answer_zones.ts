/** Zones that hold every case of the answer algorithm, for the comparison with other servers. */
import {
  compileZone,
  createImageSet,
  type ImageSet,
  nameFrom,
  parseZoneFile,
  type ResourceRecord,
  type Zone,
} from "../../dns/mod.ts";

export const ZONES: Readonly<Record<string, string>> = {
  "example.test.": `
$TTL 3600
@ SOA ns1 Admin.Example.TEST. 7 3600 600 86400 120
@ NS ns1
@ NS ns.other.test.
@ MX 10 mail
@ MX 20 mail.other.test.
@ TXT "apex"
ns1 A 192.0.2.1
ns1 AAAA 2001:db8::1
mail A 192.0.2.2
Mixed.Case A 192.0.2.3
multi A 192.0.2.4
multi A 192.0.2.5
multi AAAA 2001:db8::4
multi TXT "a b" "c\\"d"
ent.deep.tree A 192.0.2.6
_sip._tcp SRV 0 5 5060 multi
_sip._tcp SRV 0 5 5061 multi
_sip._tcp SRV 1 5 5060 sip.other.test.
svc HTTPS 1 multi alpn=h2
own HTTPS 1 . alpn=h2
own A 192.0.2.33
unknown TYPE65534 \\# 4 0a0b0c0d
esc\\.aped A 192.0.2.7
sp\\032ace A 192.0.2.8
\\000nul A 192.0.2.9
alias CNAME multi
alias2 CNAME alias
outalias CNAME www.other.test.
nowhere CNAME missing
gone CNAME missing.other.test.
away CNAME www.elsewhere.invalid.
todelegated CNAME host.sub
tochild CNAME www.served
toent CNAME tree
loop1 CNAME loop2
loop2 CNAME loop1
self CNAME self
*.wild A 192.0.2.10
*.wild TXT "wild"
*.wild MX 5 mail
exact.wild A 192.0.2.11
below.exact.wild TXT "below"
*.cwild CNAME multi
*.loopwild CNAME x.loopwild
a.*.star A 192.0.2.12
*.entwild.star2 A 192.0.2.13
*.dwild CNAME host.sub
sub NS ns.sub
sub NS ns1
sub NS ns.sibling
sub DS 12345 13 2 1F8188345F2B0D0A12EAEA95F2EF6DC66C1EA6F46A0DC4AE8E3D3E1E9B3F3A2C
ns.sub A 192.0.2.20
ns.sub AAAA 2001:db8::20
host.sub A 192.0.2.21
*.sub A 192.0.2.22
deeper.sub NS ns.deeper.sub
ns.deeper.sub A 192.0.2.23
sibling NS ns.sibling
ns.sibling A 192.0.2.24
served NS ns.served
ns.served A 192.0.2.25
dn DNAME target.other.test.
dn TXT "beside"
below.dn A 192.0.2.30
dnin DNAME multi2
x.multi2 A 192.0.2.31
chain DNAME dnin
droot DNAME .
long DNAME aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb.cccccccccccccccccccccccccccccccccccccccccccccc.test.
dloop DNAME dloop
ptr PTR multi
mx MX 0 ns.sub
mx MX 5 alias
mx MX 6 *.wild
caa CAA 0 issue "ca.test"
`,
  "other.test.": `
$TTL 600
@ SOA ns hostmaster 1 3600 600 86400 900
@ NS ns
ns A 198.51.100.1
www CNAME www2
www2 A 198.51.100.2
mail A 198.51.100.3
sip A 198.51.100.4
x.target A 198.51.100.5
back CNAME alias.example.test.
*.target2 TXT "t"
y.target CNAME x.multi2.example.test.
`,
  "served.example.test.": `
$TTL 600
@ SOA ns hostmaster 1 3600 600 86400 900
@ NS ns
ns A 192.0.2.25
www A 192.0.2.40
up CNAME multi.example.test.
other CNAME www
`,
};

/** The records of a zone file. */
export function recordsOf(origin: string, text: string): ResourceRecord[] {
  const records: ResourceRecord[] = [];
  const faults = parseZoneFile(
    { file: origin, bytes: new TextEncoder().encode(text), origin: nameFrom(origin) },
    (record) => void records.push(record),
  );
  if (faults.length > 0) throw new Error(faults.map((fault) => fault.message).join("\n"));
  return records;
}

export function zoneOf(origin: string, text: string): Zone {
  const zone = compileZone(nameFrom(origin), recordsOf(origin, text));
  if (!zone.ok) throw new Error(zone.error.message);
  return zone.value;
}

export function allZones(): Zone[] {
  return Object.entries(ZONES).map(([origin, text]) => zoneOf(origin, text));
}

export function allImages(): ImageSet {
  return createImageSet(allZones().map((zone) => zone.image));
}

/** Names that exist, names beside them, above and below. */
export function questionNames(zones: readonly Zone[]): string[] {
  const names = new Set<string>(["test.", ".", "elsewhere.invalid.", "sub.x.elsewhere."]);
  for (const zone of zones) {
    for (const { owner } of zone.records()) {
      for (let name: string = owner; name !== "." && name.length > 0;) {
        for (const variant of [name, `x.${name}`, `X.y.${name}`, `*.${name}`]) names.add(variant);
        if (name === zone.origin || name.includes("\\")) break;
        name = name.slice(name.indexOf(".") + 1);
      }
    }
  }
  return [...names];
}
