import { equal, ok } from "node:assert/strict";
import fc from "fast-check";
import { type AnswerSettings, createAnswerContext, DEFAULT_SETTINGS } from "../../dns/answer/context.ts";
import { COOKIE, judgeCookie, makeCookie } from "../../dns/edns/cookie.ts";
import { createQueryExtra, putOpt, readExtra } from "../../dns/edns/options.ts";
import { sipHash24 } from "../../dns/edns/siphash.ts";
import { findProgram, realTest } from "../tools/real.ts";
import { ask, freePort } from "./answer_servers.ts";

const hex = Uint8Array.fromHex;

// RFC 9018 appendix A.
const SECRET = hex("e5e973e5a6b2a43f48e7dc849e37bfcf");
const OLD_SECRET = hex("dd3bdf9344b678b185a6f5cb60fca715");
const NEW_SECRET = hex("445536bcd2513298075a5d379663c962");
const IPV6 = hex("20010db802200001" + "59ded0f4876982b8");

function made(client: string, address: Uint8Array, secret: Uint8Array, now: number): string {
  const out = new Uint8Array(20);
  makeCookie(hex(client), 0, address, address.length, secret, now, out, 2);
  return out.subarray(2, 18).toHex();
}

function judged(cookie: string, address: Uint8Array, secrets: readonly Uint8Array[], now: number): number {
  const bytes = hex(cookie);
  return judgeCookie(bytes, 0, bytes.length - 8, address, address.length, secrets, now);
}

Deno.test("SipHash-2-4 gives what its authors' vectors say, whatever the length", () => {
  // The first, some in the middle and the last of the 64 vectors of the reference implementation.
  const vectors: readonly [number, string][] = [
    [0, "310e0edd47db6f72"],
    [1, "fd67dc93c539f874"],
    [7, "37d1018bf50002ab"],
    [8, "6224939a79f5f593"],
    [15, "e545be4961ca29a1"],
    [63, "724506eb4c328a95"],
  ];
  const key = Uint8Array.from({ length: 16 }, (_, i) => i);
  const data = Uint8Array.from({ length: 64 }, (_, i) => i);
  const out = new Uint8Array(8);
  for (const [length, expected] of vectors) {
    sipHash24(key, data, length, out, 0);
    equal(out.toHex(), expected, `${length} octets`);
  }
});

Deno.test("cookies are those of RFC 9018, appendix A", () => {
  const a = Uint8Array.of(198, 51, 100, 100);
  const b = Uint8Array.of(203, 0, 113, 203);
  equal(made("2464c4abcf10c957", a, SECRET, 1559731985), "010000005cf79f111f8130c3eee29480");
  equal(made("2464c4abcf10c957", a, SECRET, 1559734385), "010000005cf7a871d4a564a1442aca77");
  equal(made("fc93fc62807ddb86", b, SECRET, 1559734700), "010000005cf7a9acf73a7810aca2381e");
  equal(made("22681ab97d52c298", IPV6, NEW_SECRET, 1559741961), "010000005cf7c609a6bb79d16625507a");

  // A.2: forty minutes old, valid and to be renewed.
  const first = "2464c4abcf10c957010000005cf79f111f8130c3eee29480";
  equal(judged(first, a, [SECRET], 1559734385), COOKIE.renew);
  // A.3: the reserved octets count as they came.
  const reserved = "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5";
  equal(judged(reserved, b, [SECRET], 1559727985), COOKIE.valid);
  // A.4: a cookie of the secret before.
  const old = "22681ab97d52c298010000005cf7c57926556bd0934c72f8";
  equal(judged(old, IPV6, [NEW_SECRET, OLD_SECRET], 1559741961), COOKIE.renew);
  equal(judged(old, IPV6, [NEW_SECRET], 1559741961), COOKIE.invalid);
});

Deno.test("a cookie is worth something for an hour, to its client, at its address", () => {
  const address = Uint8Array.of(192, 0, 2, 1);
  const client = "0102030405060708";
  const at = 1_700_000_000;
  const cookie = client + made(client, address, SECRET, at);
  const verdicts: readonly [number, number][] = [
    [-301, COOKIE.invalid],
    [-300, COOKIE.valid],
    [0, COOKIE.valid],
    [1800, COOKIE.valid],
    [1801, COOKIE.renew],
    [3600, COOKIE.renew],
    [3601, COOKIE.invalid],
    [2 ** 31 - 1, COOKIE.invalid],
  ];
  for (const [age, verdict] of verdicts) {
    equal(judged(cookie, address, [SECRET], at + age), verdict, `after ${age} s`);
  }
  equal(judged(cookie, Uint8Array.of(192, 0, 2, 2), [SECRET], at), COOKIE.invalid);
  equal(judged("ff" + cookie.slice(2), address, [SECRET], at), COOKIE.invalid);
  equal(judged(cookie, address, [], at), COOKIE.invalid);
  equal(judged(cookie + "00", address, [SECRET], at), COOKIE.invalid);
  equal(judged(cookie.slice(0, 32), address, [SECRET], at), COOKIE.invalid);
});

Deno.test("the age of a cookie is right where its 32 bits wrap", () => {
  const address = Uint8Array.of(192, 0, 2, 1);
  const client = "0102030405060708";
  const cookie = client + made(client, address, SECRET, 2 ** 32 - 10);
  equal(judged(cookie, address, [SECRET], 2 ** 32 + 20), COOKIE.valid);
  equal(judged(cookie, address, [SECRET], 2 ** 32 + 3600), COOKIE.invalid);
});

Deno.test("any change of an octet makes a cookie worthless", () => {
  const address = Uint8Array.of(192, 0, 2, 1);
  const cookie = hex("0102030405060708" + made("0102030405060708", address, SECRET, 1_700_000_000));
  fc.assert(fc.property(fc.nat(23), fc.integer({ min: 1, max: 255 }), (index, change) => {
    const changed = Uint8Array.from(cookie);
    changed[index] ^= change;
    equal(judgeCookie(changed, 0, 16, address, 4, [SECRET], 1_700_000_000), COOKIE.invalid);
  }));
});

Deno.test("a young cookie comes back as it is, an old or wrong one as a new one", () => {
  const client = "0102030405060708";
  const address = Uint8Array.of(127, 0, 0, 1);
  const at = 1_700_000_000;
  const young = client + made(client, address, SECRET, at);
  equal(exchange(young, [SECRET], at + 60).cookie, young);
  equal(exchange(young, [SECRET], at + 60).valid, true);
  const renewed = exchange(young, [SECRET], at + 2000);
  equal(renewed.valid, true);
  equal(renewed.cookie, client + made(client, address, SECRET, at + 2000));
  const rolled = exchange(young, [NEW_SECRET, SECRET], at + 60);
  equal(rolled.valid, true);
  equal(rolled.cookie, client + made(client, address, NEW_SECRET, at + 60));
  const wrong = exchange(young, [NEW_SECRET], at + 60);
  equal(wrong.valid, false);
  equal(wrong.cookie, client + made(client, address, NEW_SECRET, at + 60));
  equal(exchange(client, [SECRET], at).cookie, young);
  equal(exchange(client, [SECRET], at).valid, false);
  equal(exchange(client, [], at).cookie, undefined);
});

/** What our code answers to a query with that cookie from 127.0.0.1. */
function exchange(cookie: string, secrets: readonly Uint8Array[], now: number) {
  const settings: AnswerSettings = { ...DEFAULT_SETTINGS, cookieSecrets: secrets };
  const context = createAnswerContext("udp", settings);
  context.address.set([127, 0, 0, 1]);
  context.addressOctets = 4;
  context.now = now;
  const extra = createQueryExtra();
  const query = queryWith(cookie);
  ok(readExtra(extra, query, QUESTION_END, query.length, context));
  const out = new Uint8Array(512);
  const facts = { rcode: 0, serial: -1, expire: -1, zoneLabels: -1, ede: -1 };
  const end = putOpt(out, 0, extra, context, facts);
  return { valid: context.cookieValid, cookie: end === 11 ? undefined : out.subarray(15, end).toHex() };
}

/** `a.test` SOA with the cookie. */
function queryWith(cookie: string): Uint8Array {
  const octets = cookie.length / 2;
  const length = (value: number) => value.toString(16).padStart(4, "0");
  return hex(
    "beef00000001000000000001" + "0161047465737400" + "00060001" +
      `00002904d000000000${length(octets + 4)}000a${length(octets)}${cookie}`,
  );
}

const QUESTION_END = 12 + 8 + 4;

/** RCODE with its upper bits, and the cookie in the OPT, which is the last record of what these servers send. */
function reading(reply: Uint8Array): { rcode: number; cookie: string } {
  const text = reply.toHex();
  const match = /000029....(..)......(?:....)(?:000a0018(.{48}))$/.exec(text);
  ok(match !== null, `no cookie in ${text}`);
  return { rcode: parseInt(match[1], 16) << 4 | reply[3] & 0x0f, cookie: match[2] };
}

const ZONE =
  "a.test. 3600 IN SOA ns.a.test. h.a.test. 1 2 3 4 5\na.test. 3600 IN NS ns.a.test.\nns.a.test. 3600 IN A 192.0.2.1\n";
const BADCOOKIE = 23;

const SERVERS = {
  named: (dir: string, port: number, secret: string) => ({
    args: ["-g", "-n", "1", "-c", `${dir}/config`],
    config: `options { directory "${dir}"; listen-on port ${port} { 127.0.0.1; }; listen-on-v6 { none; };
      recursion no; dnssec-validation no; pid-file none; session-keyfile none; notify no;
      answer-cookie yes; cookie-algorithm siphash24; cookie-secret "${secret}"; require-server-cookie yes; };
      controls { }; zone "a.test" { type primary; file "${dir}/a.test"; };`,
  }),
  knotd: (dir: string, port: number, secret: string) => ({
    args: ["-c", `${dir}/config`],
    config: `server:\n    rundir: ${dir}\n    listen: 127.0.0.1@${port}\ndatabase:\n    storage: ${dir}\n` +
      `mod-cookies:\n  - id: shared\n    secret: 0x${secret}\n    badcookie-slip: 1\n` +
      `template:\n  - id: default\n    storage: ${dir}\n    global-module: mod-cookies/shared\n` +
      `zone:\n  - domain: a.test\n    file: ${dir}/a.test\n    zonefile-load: whole\n`,
  }),
} as const;

for (const kind of ["named", "knotd"] as const) {
  realTest(
    `cookies of ${kind} are ours and ours are its, with the same secret`,
    { needs: [kind] },
    async ({ dir }) => {
      const port = freePort();
      const { args, config } = SERVERS[kind](dir, port, SECRET.toHex());
      await Deno.writeTextFile(`${dir}/a.test`, ZONE);
      await Deno.writeTextFile(`${dir}/config`, config);
      const command = new Deno.Command(findProgram(kind) ?? kind, { args, stdout: "null", stderr: "piped" });
      const child = command.spawn();
      const errors = new Response(child.stderr).text();
      const seconds = () => Math.floor(Date.now() / 1000);
      const client = "a1a2a3a4a5a6a7a8";
      try {
        let first: Uint8Array | undefined;
        for (let attempt = 0; attempt < 100 && first === undefined; attempt++) {
          first = await ask(port, queryWith(client), 100).catch(() => undefined);
          // A port that nobody listens on yet refuses at once.
          if (first === undefined) await new Promise((resolve) => setTimeout(resolve, 50));
        }
        ok(first !== undefined, `${kind} does not answer`);
        const theirs = reading(first);
        equal(theirs.rcode, BADCOOKIE, "a client cookie alone does not do there");
        const here = exchange(theirs.cookie, [SECRET], seconds());
        equal(here.valid, true, "their cookie is accepted here");
        equal(here.cookie, theirs.cookie, "and sent back as it is");
        equal(exchange(theirs.cookie, [NEW_SECRET], seconds()).valid, false);

        const ours = exchange(client, [SECRET], seconds()).cookie ?? "";
        const accepted = await ask(port, queryWith(ours), 2000);
        ok(accepted !== undefined);
        equal(reading(accepted).rcode, 0, "our cookie is accepted there");
        const forged = await ask(
          port,
          queryWith(exchange(client, [NEW_SECRET], seconds()).cookie ?? ""),
          2000,
        );
        ok(forged !== undefined);
        equal(reading(forged).rcode, BADCOOKIE);
      } catch (error) {
        child.kill("SIGTERM");
        throw new Error(`${kind} said: ${await errors}`, { cause: error });
      }
      child.kill("SIGTERM");
      await child.status;
      await errors;
    },
  );
}
