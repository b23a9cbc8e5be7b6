import { deepEqual, equal, notDeepEqual, ok } from "node:assert/strict";
import fc from "fast-check";
import { buildMessage } from "../../dns/message/build.ts";
import { BADSIG, RCODE } from "../../dns/message/codes.ts";
import { parseMessage } from "../../dns/message/parse.ts";
import { bareReply } from "../../dns/message/reply.ts";
import { plainEdns, queryFor } from "../../dns/message/respond.ts";
import { nameFrom } from "../../dns/name.ts";
import { TSIG_ALGORITHMS } from "../../dns/tsig/hmac.ts";
import {
  generateTsigKey,
  keyFromDnskey,
  keyToDnskey,
  parseKeyArgument,
  parseKeyFile,
  parseKeyRecord,
  printKeyArgument,
  printKeyFile,
} from "../../dns/tsig/keys.ts";
import { splitTsig, withTsig } from "../../dns/tsig/record.ts";
import { covers, keyRight } from "../../dns/tsig/rights.ts";
import { signatureOctets, signContinuation, signRequest, signResponse } from "../../dns/tsig/sign.ts";
import { verifyContinuation, verifyRequest, verifyResponse } from "../../dns/tsig/verify.ts";
import type { TsigKey } from "../../dns/types.ts";
import { realTest, run } from "../tools/real.ts";

const NOW = 1_790_000_000;
const KEY: TsigKey = {
  name: nameFrom("client._update.example.test."),
  algorithm: "hmac-sha256",
  secret: Uint8Array.from({ length: 32 }, (_, i) => i),
};
const QUERY = buildMessage(
  queryFor({ name: nameFrom("a.example.test."), type: 1 }, { id: 77, edns: plainEdns() }),
);
const lookup = (name: string) => name === KEY.name ? KEY : undefined;

Deno.test("what is signed is verified, with every algorithm, and comes out as it went in", () => {
  for (const algorithm of TSIG_ALGORITHMS) {
    const key = { ...KEY, algorithm };
    const signed = signRequest(QUERY, key, { now: NOW });
    equal(signed.bytes.length, QUERY.length + signatureOctets(key));
    const verdict = verifyRequest(signed.bytes, () => key, NOW + 300);
    ok(verdict.kind === "valid");
    deepEqual([verdict.message, verdict.mac, verdict.timeSigned], [QUERY, signed.mac, NOW]);
    const bare = must(bareReply(QUERY, 0));
    const response = signResponse(bare, { key, requestMac: signed.mac }, NOW);
    const verified = verifyResponse(response.bytes, key, signed.mac, NOW);
    ok(verified.ok);
    deepEqual(verified.value.message, bare);
    const second = signContinuation(bare, { key, previousMac: response.mac }, NOW);
    ok(verifyContinuation(second.bytes, key, response.mac, NOW).ok);
    ok(!verifyContinuation(second.bytes, key, signed.mac, NOW).ok);
  }
});

Deno.test("a signature survives no change of any octet but those of the message's ID", () => {
  const { bytes } = signRequest(QUERY, KEY, { now: NOW });
  for (let at = 0; at < bytes.length; at++) {
    const changed = bytes.with(at, bytes[at] ^ 1);
    const verdict = verifyRequest(changed, lookup, NOW);
    if (at < 2) {
      // §5.2: a forwarder may change the ID, and the original one is restored.
      ok(verdict.kind === "valid");
      deepEqual(verdict.message, QUERY);
    } else {
      ok(verdict.kind !== "valid", `octet ${at}`);
    }
  }
});

Deno.test("an unsigned message is neither valid nor refused", () => {
  equal(verifyRequest(QUERY, lookup, NOW).kind, "unsigned");
});

Deno.test("a wrong key or signature is refused unsigned, with NOTAUTH", () => {
  const stranger = { ...KEY, name: nameFrom("stranger.") };
  const cases = [
    { signer: stranger, reason: "bad-key", error: RCODE.BADKEY },
    { signer: { ...KEY, algorithm: "hmac-sha512" } as const, reason: "bad-key", error: RCODE.BADKEY },
    { signer: { ...KEY, secret: new Uint8Array(32) }, reason: "bad-signature", error: BADSIG },
  ];
  for (const { signer, reason, error } of cases) {
    const verdict = verifyRequest(signRequest(QUERY, signer, { now: NOW }).bytes, lookup, NOW);
    ok(verdict.kind === "refused");
    equal(verdict.reason, reason);
    const reply = must(verdict.reply);
    const split = splitTsig(reply);
    ok(split.kind === "signed");
    deepEqual([split.record.error, split.record.mac.length], [error, 0]);
    equal(rcodeOf(reply), RCODE.NOTAUTH);
  }
});

Deno.test("a request out of its time is refused with the server's time, signed", () => {
  for (const now of [NOW - 301, NOW + 301]) {
    const signed = signRequest(QUERY, KEY, { now: NOW });
    const verdict = verifyRequest(signed.bytes, lookup, now);
    ok(verdict.kind === "refused" && verdict.reason === "bad-time");
    const reply = must(verdict.reply);
    const split = splitTsig(reply);
    ok(split.kind === "signed");
    equal(split.record.error, RCODE.BADTIME);
    equal(split.record.timeSigned, NOW);
    equal(split.record.other.reduce((value, octet) => value * 256 + octet, 0), now);
    const seen = verifyResponse(reply, KEY, signed.mac, NOW);
    ok(!seen.ok && seen.error.code === "refused-by-peer");
    equal(seen.error.tsigError, RCODE.BADTIME);
  }
});

Deno.test("a truncated MAC is refused: signed where its octets are right, as malformed where it is too short", () => {
  const signed = signRequest(QUERY, KEY, { now: NOW });
  const truncated = (octets: number) => {
    const split = splitTsig(signed.bytes);
    ok(split.kind === "signed");
    return withTsig(split.message, { ...split.record, mac: split.record.mac.slice(0, octets) });
  };
  const half = verifyRequest(truncated(16), lookup, NOW);
  ok(half.kind === "refused" && half.reason === "bad-truncation");
  const split = splitTsig(must(half.reply));
  ok(split.kind === "signed" && split.record.error === RCODE.BADTRUNC && split.record.mac.length === 32);
  const short = verifyRequest(truncated(15), lookup, NOW);
  ok(short.kind === "refused" && short.reason === "malformed");
  equal(rcodeOf(must(short.reply)), RCODE.FORMERR);
  equal(verifyRequest(truncated(0), lookup, NOW).kind, "refused");
});

Deno.test("TSIG anywhere but last is malformed, and a signed response is never answered", () => {
  const once = signRequest(QUERY, KEY, { now: NOW }).bytes;
  const twice = verifyRequest(signRequest(once, KEY, { now: NOW }).bytes, lookup, NOW);
  ok(twice.kind === "refused" && twice.reason === "malformed");
  const response =
    signRequest(must(bareReply(QUERY, 0)), { ...KEY, name: nameFrom("x.") }, { now: NOW }).bytes;
  const verdict = verifyRequest(response, lookup, NOW);
  ok(verdict.kind === "refused");
  equal(verdict.reply, undefined);
});

Deno.test("no bytes make verification throw", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
    verifyRequest(bytes, () => KEY, NOW);
    verifyResponse(bytes, KEY, new Uint8Array(32), NOW);
  }));
  const { bytes } = signRequest(QUERY, KEY, { now: NOW });
  fc.assert(fc.property(fc.nat(bytes.length - 1), fc.nat(255), fc.nat(bytes.length), (at, value, end) => {
    verifyRequest(bytes.with(at, value).subarray(0, end), () => KEY, NOW);
  }));
});

Deno.test("a key's name gives its right: the rightmost operation wins and reaches down from the zone", () => {
  const right = (text: string) => keyRight(nameFrom(text));
  deepEqual(right("client._update.example.test."), { operation: "update", zone: "example.test." });
  deepEqual(right("10.0.0.1.10.0.0.2._transfer.example.test."), {
    operation: "transfer",
    zone: "example.test.",
  });
  deepEqual(right("a._transfer.b._update.example.test."), { operation: "update", zone: "example.test." });
  deepEqual(right("a._update.b._notify.example.test."), { operation: "notify", zone: "example.test." });
  deepEqual(right("admin._update."), { operation: "update", zone: "." });
  equal(right("client.example.test."), undefined);
  equal(right("."), undefined);

  const update = must(right("client._update.example.test."));
  ok(covers(update, "update", nameFrom("example.test.")));
  ok(covers(update, "notify", nameFrom("a.b.example.test.")));
  ok(!covers(update, "update", nameFrom("test.")));
  ok(!covers(update, "update", nameFrom("badexample.test.")));
  const transfer = must(right("client._transfer.example.test."));
  ok(
    covers(transfer, "transfer", nameFrom("example.test.")) &&
      covers(transfer, "notify", nameFrom("example.test.")),
  );
  ok(!covers(transfer, "update", nameFrom("example.test.")));
  ok(covers(must(right("admin._update.")), "update", nameFrom(".")));
});

Deno.test("a key survives each of its forms", () => {
  for (const algorithm of TSIG_ALGORITHMS) {
    const key = { ...KEY, algorithm };
    deepEqual(value(parseKeyFile(printKeyFile(key))), [key]);
    deepEqual(value(parseKeyArgument(printKeyArgument(key))), key);
    deepEqual(value(keyFromDnskey(key.name, keyToDnskey(key))), key);
  }
  equal(printKeyArgument(KEY).split(":").slice(0, 2).join(":"), "client._update.example.test:SHA256");
  const base64 = printKeyArgument(KEY).split(":")[2];
  deepEqual(value(parseKeyRecord(`client._update.example.test. DNSKEY 0 3 163 ${base64}`)), KEY);
  deepEqual(value(parseKeyRecord(`client._update.example.test. 3600 IN DNSKEY 0 3 163 ${base64}`)), KEY);
});

Deno.test("a key file may hold several keys and comments, and is refused with its line", () => {
  const text = `# one\nkey "a." { algorithm hmac-sha256; secret "AAAA"; }; // two\n/* three\n */ key b {\n` +
    `  secret AAAA;\n  algorithm HMAC-SHA512;\n};\n`;
  deepEqual(value(parseKeyFile(text)).map(({ name, algorithm }) => [name, algorithm]), [
    ["a.", "hmac-sha256"],
    ["b.", "hmac-sha512"],
  ]);
  const line = (bad: string) => {
    const outcome = parseKeyFile(bad);
    return outcome.ok ? undefined : outcome.error.line;
  };
  equal(line(""), 1);
  equal(line(`\nkey "a" { algorithm hmac-md5; secret "AAAA"; };`), 2);
  equal(line(`\n\nkey "a" { algorithm hmac-sha256; secret "A!AA"; };`), 3);
  equal(line(`key "a" { algorithm hmac-sha256; secret "AAAA"; }`), 1);
  equal(line(`key "a" {\nalgorithm hmac-sha256;\nalgorithm hmac-sha256; };`), 3);
  equal(line(`key "a`), 1);
  const secret = parseKeyFile(`key "a" { algorithm hmac-sha256; secret "c2VjcmV0=="; };`);
  ok(!secret.ok && !secret.error.message.includes("c2VjcmV0"));
});

Deno.test("a generated key takes its secret from the source it is given", () => {
  const random = (octets: number) => new Uint8Array(octets).fill(octets);
  const key = generateTsigKey(KEY.name, random);
  deepEqual([key.algorithm, key.secret], ["hmac-sha256", new Uint8Array(32).fill(32)]);
  notDeepEqual(key.secret, generateTsigKey(KEY.name, (octets) => new Uint8Array(octets)).secret);
});

realTest(
  "a key file that tsig-keygen writes is read, and printed as it was",
  { needs: ["tsig-keygen"] },
  async () => {
    for (const algorithm of TSIG_ALGORITHMS) {
      const { stdout } = await run("tsig-keygen", ["-a", algorithm, "client._update.example.test"]);
      const [key] = value(parseKeyFile(stdout));
      deepEqual([key.name, key.algorithm], [KEY.name, algorithm]);
      equal(printKeyFile(key), stdout);
    }
  },
);

function rcodeOf(bytes: Uint8Array): number {
  return value(parseMessage(bytes)).rcode;
}

function must<T>(found: T | undefined): T {
  if (found === undefined) throw new Error("nothing there");
  return found;
}

function value<T>(outcome: { ok: true; value: T } | { ok: false; error: { message: string } }): T {
  if (!outcome.ok) throw new Error(outcome.error.message);
  return outcome.value;
}
