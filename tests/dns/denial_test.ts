/** Signed zones, made by the signers that people use; the answers' proofs are judged as a validating resolver would. */
import { deepEqual, equal, ok } from "node:assert/strict";
import {
  answerQuery,
  createAnswerContext,
  createImageSet,
  type ImageSet,
  type Message,
  nameFrom,
  nameToWire,
  parseMessage,
  RRTYPE,
  typeName,
} from "../../dns/mod.ts";
import { allZones, questionNames, zoneOf, ZONES } from "./answer_zones.ts";
import { faultsOf, labelsOfName } from "./denial_verifier.ts";

const SIGNERS: Readonly<Record<string, readonly string[]>> = {
  "NSEC, by BIND": ["bind"],
  "NSEC3 without salt or iterations, by BIND": ["bind", "-3", "-", "-H", "0"],
  "NSEC3 with both, by BIND": ["bind", "-3", "aabbcc", "-H", "5"],
  "NSEC3 with opt-out, by BIND": ["bind", "-3", "-", "-H", "0", "-A"],
  "NSEC, by ldns": ["ldns"],
  "NSEC3, by ldns": ["ldns", "-n", "-t", "2", "-s", "1234"],
  "NSEC3 with opt-out, by ldns": ["ldns", "-n", "-p", "-t", "0"],
};

const TYPES = [
  "A",
  "NS",
  "CNAME",
  "SOA",
  "MX",
  "TXT",
  "DS",
  "DNSKEY",
  "RRSIG",
  "NSEC",
  "NSEC3",
  "HTTPS",
] as const;

/** What signers would not take as it is, or takes away a name: data below a DNAME. */
const UNFIT = /^(below\.dn|x\.dn) .*\n/gm;

for (const [title, args] of Object.entries(SIGNERS)) {
  Deno.test(`answers of a signed zone prove what they say: ${title}`, async () => {
    const zones = [];
    for (const [origin, text] of Object.entries(ZONES)) {
      zones.push(zoneOf(origin, await sign(origin, text.replace(UNFIT, ""), args)));
    }
    const set = createImageSet(zones.map(({ image }) => image));
    const apexes = zones.map(({ origin }) => labelsOfName(origin));
    const apexOf = (name: readonly string[]) =>
      apexes.find((apex) => apex.every((label, i) => label === name[i]));
    const wrong: string[] = [];
    let asked = 0;
    for (const name of questionNames(allZones())) {
      for (const type of TYPES) {
        const response = ask(set, name, RRTYPE[type]);
        asked++;
        if (response.rcode === 5) continue;
        for (const fault of faultsOf(response, apexOf)) wrong.push(`${name} ${type}: ${fault}`);
      }
    }
    ok(asked > 3000);
    deepEqual(wrong, []);
  });
}

Deno.test("an answer in a signed zone has neither signatures nor proofs for who does not ask for them", async () => {
  const text = await sign(
    "example.test.",
    ZONES["example.test."].replace(UNFIT, ""),
    SIGNERS["NSEC, by BIND"],
  );
  const set = createImageSet([zoneOf("example.test.", text).image]);
  for (const name of ["multi", "x.wild", "nothing", "sub", "toent"]) {
    const response = ask(set, `${name}.example.test.`, RRTYPE.TXT, { dnssec: false });
    const records = [...response.answers, ...response.authorities, ...response.additionals];
    const types = new Set(records.map(({ type }) => typeName(type)));
    for (const type of ["RRSIG", "NSEC", "DS"]) ok(!types.has(type), `${name}: ${type}`);
  }
});

Deno.test("a proof that does not fit sets TC", async () => {
  const text = await sign(
    "example.test.",
    ZONES["example.test."].replace(UNFIT, ""),
    SIGNERS["NSEC, by BIND"],
  );
  const set = createImageSet([zoneOf("example.test.", text).image]);
  const cut = ask(set, "not.there.example.test.", RRTYPE.A, { transport: "udp", size: 512 });
  equal(cut.truncated, true);
  equal(ask(set, "not.there.example.test.", RRTYPE.A, { transport: "udp", size: 1232 }).truncated, false);
});

Deno.test("an owner of NSEC3 is no name that can be asked for (RFC 5155 §7.2.8)", async () => {
  const text = await sign(
    "example.test.",
    ZONES["example.test."].replace(UNFIT, ""),
    SIGNERS["NSEC3 with both, by BIND"],
  );
  const set = createImageSet([zoneOf("example.test.", text).image]);
  const owner = ask(set, "nothing.example.test.", RRTYPE.A).authorities.find(({ type }) =>
    type === RRTYPE.NSEC3
  )?.owner;
  ok(owner !== undefined);
  for (const type of [RRTYPE.NSEC3, RRTYPE.A]) equal(ask(set, owner, type).rcode, 3);
});

/** The zone's text, signed with a new key. */
async function sign(origin: string, text: string, [signer, ...args]: readonly string[]): Promise<string> {
  const folder = await Deno.makeTempDir();
  try {
    const file = `${folder}/zone`;
    await Deno.writeTextFile(file, `$ORIGIN ${origin}\n${text}`);
    if (signer === "bind") {
      await run(folder, "dnssec-keygen", ["-q", "-a", "ECDSAP256SHA256", "-f", "KSK", origin]);
      await run(folder, "dnssec-keygen", ["-q", "-a", "ECDSAP256SHA256", origin]);
      await run(folder, "dnssec-signzone", ["-q", "-S", "-o", origin, "-f", "signed", ...args, "zone"]);
    } else {
      const key = (await run(folder, "ldns-keygen", ["-a", "ECDSAP256SHA256", origin])).trim();
      await run(folder, "ldns-signzone", ["-o", origin, "-f", "signed", ...args, "zone", key]);
    }
    return await Deno.readTextFile(`${folder}/signed`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function run(cwd: string, command: string, args: readonly string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, { args: [...args], cwd }).output();
  if (!success) throw new Error(`${command}: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}

interface Asking {
  readonly transport?: "udp" | "tcp";
  readonly size?: number;
  readonly dnssec?: boolean;
}

function ask(set: ImageSet, name: string, type: number, asking: Asking = {}): Message {
  const { transport = "tcp", size = 1232, dnssec = true } = asking;
  const wire = nameToWire(nameFrom(name));
  const query = Uint8Array.of(
    ...[0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, ...wire, type >>> 8, type & 255, 0, 1],
    ...[0, 0, 41, size >>> 8, size & 255, 0, 0, dnssec ? 0x80 : 0, 0, 0, 0],
  );
  const out = new Uint8Array(transport === "udp" ? 1232 : 65_535);
  const length = answerQuery(set, query, query.length, out, createAnswerContext(transport));
  ok(length > 0, `${name}: not answered`);
  const parsed = parseMessage(out.subarray(0, length));
  if (!parsed.ok) throw new Error(`${name}: ${parsed.error.message}`);
  return parsed.value;
}
