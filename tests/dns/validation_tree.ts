/** A signed tree from the root down: a zone for each way to deny, each with a secure and an insecure child. */
import type { Zone } from "../../dns/mod.ts";
import { zoneOf } from "./answer_zones.ts";
import { type Signing, signZones } from "./differential_signing.ts";

/** Zones with the same content, denied in three ways. */
export const SIGNED: Readonly<Record<string, Signing>> = {
  "nsec.test.": "nsec",
  "nsec3.test.": "nsec3",
  "opt-out.test.": "opt-out",
};

export interface SignedTree {
  readonly texts: Readonly<Record<string, string>>;
  readonly zones: readonly Zone[];
  readonly origins: readonly string[];
  /** DS records of the root zone's key: what a validator has to trust. */
  readonly anchor: string;
}

/** `dir` gets keys and files. */
export async function signedTree(dir: string): Promise<SignedTree> {
  const signed = Object.keys(SIGNED);
  const plain = signed.map((origin) => `plain.${origin}`);
  const secure = signed.map((origin) => `secure.${origin}`);
  const texts = await signZones(dir, {
    ".": { signing: "nsec", text: `${apex(".")}\ntest. 300 IN NS ns.test.\nns.test. 300 IN A 127.0.0.1\n` },
    "test.": { signing: "nsec", text: apex("test.") + signed.map(delegation).join("") },
    ...Object.fromEntries(
      signed.map((origin) => [origin, {
        signing: SIGNED[origin],
        text: apex(origin) + content(origin) + delegation(`plain.${origin}`) + delegation(`secure.${origin}`),
      }]),
    ),
    ...Object.fromEntries(secure.map((origin) => [origin, { signing: "nsec" as const, text: leaf(origin) }])),
  });
  for (const origin of plain) texts[origin] = leaf(origin);
  const zones = Object.entries(texts).map(([origin, text]) => zoneOf(origin, text));
  return { texts, zones, origins: Object.keys(texts), anchor: await Deno.readTextFile(`${dir}/dsset-.`) };
}

/** What a validator has to find, by the names of RFC 4035 §4.3. */
export type Security = "secure" | "insecure";

export interface Expectation {
  readonly what: string;
  readonly name: string;
  readonly type: string;
  readonly rcode: "NOERROR" | "NXDOMAIN";
  /** How many records the answer has besides signatures. */
  readonly answers: number;
  readonly security: Security;
}

/** Every kind of answer of a zone. */
export function expectations(origin: string): Expectation[] {
  // What an opt-out NSEC3 covers may exist unsigned, so its denial proves nothing (RFC 5155 §9.2).
  const covered: Security = SIGNED[origin] === "opt-out" ? "insecure" : "secure";
  const row = (
    what: string,
    label: string,
    type: string,
    answers: number,
    more: Partial<Expectation> = {},
  ): Expectation => ({
    what,
    name: label === "" ? origin : `${label}.${origin}`,
    type,
    answers,
    rcode: "NOERROR",
    security: "secure",
    ...more,
  });
  return [
    row("an address", "www", "A", 2),
    row("the keys", "", "DNSKEY", 1),
    row("the SOA", "", "SOA", 1),
    row("name servers", "", "NS", 1),
    row("mail servers", "", "MX", 1),
    row("an answer too large for UDP", "large", "TXT", 12),
    row("a CNAME", "alias", "A", 3),
    row("the CNAME itself", "alias2", "CNAME", 1),
    row("a CNAME to another zone", "abroad", "A", 2),
    row("a CNAME to nothing", "dangling", "A", 1, { rcode: "NXDOMAIN", security: covered }),
    row("a wildcard", "x.wild", "A", 1, { security: covered }),
    row("a wildcard, labels deep", "x.y.z.wild", "A", 1, { security: covered }),
    row("the wildcard itself", "*.wild", "A", 1),
    row("a name that hides the wildcard", "there.wild", "TXT", 1),
    row("a CNAME from a wildcard", "x.cwild", "A", 3, { security: covered }),
    row("a type that a wildcard has not", "x.wild", "MX", 0, { security: covered }),
    row("a type that is not there", "www", "MX", 0),
    row("a type that is not there at the apex", "", "TXT", 0),
    row("a DNAME", "x.dn", "A", 3),
    row("a DNAME, labels deep", "y.x.dn", "A", 2, { rcode: "NXDOMAIN", security: covered }),
    row("the DNAME itself", "dn", "DNAME", 1),
    row("an empty non-terminal", "ent", "A", 0),
    row("an empty non-terminal below another", "b.ent", "A", 0),
    row("no such name", "missing", "A", 0, { rcode: "NXDOMAIN", security: covered }),
    row("no such name, labels deep", "a.b.missing", "A", 0, { rcode: "NXDOMAIN", security: covered }),
    row("no such name below one with data", "x.www", "A", 0, { rcode: "NXDOMAIN", security: covered }),
    row("no such name below an empty non-terminal", "x.ent", "A", 0, {
      rcode: "NXDOMAIN",
      security: covered,
    }),
    row("the DS of a secure child", "secure", "DS", 1),
    row("a name of a secure child", "www.secure", "A", 1),
    row("no such name in a secure child", "missing.secure", "A", 0, { rcode: "NXDOMAIN" }),
    row("no DS of an insecure child", "plain", "DS", 0, { security: covered }),
    row("a name of an insecure child", "www.plain", "A", 1, { security: "insecure" }),
    row("no such name in an insecure child", "missing.plain", "A", 0, {
      rcode: "NXDOMAIN",
      security: "insecure",
    }),
  ];
}

function apex(origin: string): string {
  const suffix = origin === "." ? "" : origin;
  return `${origin} 300 IN SOA ns.${suffix} hostmaster.${suffix} 1 3600 600 86400 60
${origin} 300 IN NS ns.${suffix}
ns.${suffix} 300 IN A 127.0.0.1
`;
}

function delegation(origin: string): string {
  return `${origin} 300 IN NS ns.${origin}\nns.${origin} 300 IN A 127.0.0.1\n`;
}

function leaf(origin: string): string {
  return `${apex(origin)}www.${origin} 300 IN A 192.0.2.9\n`;
}

function content(origin: string): string {
  const large = Array.from({ length: 12 }, (_, i) => `large 300 IN TXT "${i} ${"x".repeat(200)}"`).join("\n");
  return `$ORIGIN ${origin}
@ 300 IN MX 10 www
www 300 IN A 192.0.2.1
www 300 IN A 192.0.2.2
alias 300 IN CNAME www
alias2 300 IN CNAME www
abroad 300 IN CNAME www.secure.nsec.test.
dangling 300 IN CNAME missing
*.wild 300 IN A 192.0.2.3
there.wild 300 IN TXT "there"
*.cwild 300 IN CNAME www
dn 300 IN DNAME target
x.target 300 IN A 192.0.2.4
a.b.ent 300 IN TXT "below empty non-terminals"
${large}
`;
}
