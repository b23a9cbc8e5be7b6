import { deepEqual, equal, ok } from "node:assert/strict";
import fc from "fast-check";
import { answerQuery } from "../../dns/answer/answer.ts";
import { createAnswerContext } from "../../dns/answer/context.ts";
import { createImageSet } from "../../dns/image/set.ts";
import { buildMessage } from "../../dns/message/build.ts";
import { EDE, OPCODE, RCODE } from "../../dns/message/codes.ts";
import { extendedErrorsOf } from "../../dns/message/edns.ts";
import { parseMessage } from "../../dns/message/parse.ts";
import { EMPTY_MESSAGE, plainEdns, queryFor } from "../../dns/message/respond.ts";
import { nameFrom } from "../../dns/name.ts";
import { RRTYPE } from "../../dns/rr/types.ts";
import { createResponder } from "../../dns/server/responder.ts";
import { printKeyArgument, printKeyFile } from "../../dns/tsig/keys.ts";
import { splitTsig } from "../../dns/tsig/record.ts";
import { signRequest } from "../../dns/tsig/sign.ts";
import { verifyResponse } from "../../dns/tsig/verify.ts";
import type { Message, TsigKey } from "../../dns/types.ts";
import { buildUpdate } from "../../dns/update/sections.ts";
import { compileZone } from "../../dns/zone/builder.ts";
import { realTest, run } from "../tools/real.ts";
import { overTcp, toyServer } from "./responder_server.ts";
import { at, ORIGIN, recordOf, toyZone } from "./update_zone.ts";

const KEY: TsigKey = {
  name: nameFrom("client._update.example.test."),
  algorithm: "hmac-sha256",
  secret: Uint8Array.from({ length: 32 }, (_, i) => i * 7),
};
const ZONE = ["@ 3600 SOA ns1 host 10 1 2 3 4", "@ 3600 NS ns1", "www 300 A 192.0.2.1"];
const TCP = { protocol: "tcp", peer: undefined } as const;
const UDP = { protocol: "udp", peer: undefined } as const;
const NOW = 1_790_000_000;
const now = () => NOW * 1000;

Deno.test("a signed query is answered from the zone, signed, under the ID that it came with", async () => {
  const { respond } = toyServer(toyZone(ZONE), [KEY], { now });
  const query = queryFor({ name: at("www"), type: RRTYPE.A }, { id: 9 });
  const signed = signRequest(buildMessage(query), KEY, { now: NOW });
  // A forwarder changed the ID.
  const response = must(await respond(signed.bytes.with(0, 1).with(1, 2), UDP));
  deepEqual([...response.subarray(0, 2)], [1, 2]);
  const verified = verifyResponse(response, KEY, signed.mac, NOW);
  ok(verified.ok);
  equal(parsed(verified.value.message).answers.length, 1);
});

Deno.test("a signed answer over UDP fits what the client takes, signature and all, or is cut", async () => {
  const zone = toyZone([...ZONE, ...Array.from({ length: 40 }, (_, i) => `big 300 A 192.0.2.${i}`)]);
  const { respond } = toyServer(zone, [KEY], { now });
  for (const [edns, limit] of [[undefined, 512], [plainEdns(700), 700], [plainEdns(4096), 1232]] as const) {
    const query = buildMessage(queryFor({ name: at("big"), type: RRTYPE.A }, { id: 1, edns }));
    const signed = signRequest(query, KEY, { now: NOW });
    const response = must(await respond(signed.bytes, UDP));
    ok(response.length <= limit);
    const verified = verifyResponse(response, KEY, signed.mac, NOW);
    ok(verified.ok);
    equal(parsed(verified.value.message).truncated, limit < 1232);
  }
});

Deno.test("the image's answers are cut to what leaves room for the longest signature", async () => {
  const records = [...ZONE, ...Array.from({ length: 60 }, (_, i) => `big 300 A 192.0.2.${i}`)].map(recordOf);
  const images = createImageSet([value(compileZone(ORIGIN, records)).image]);
  const long = nameFrom(`${"k".repeat(60)}.`.repeat(3) + `${"k".repeat(34)}._update.example.test.`);
  const key: TsigKey = { ...KEY, name: long, algorithm: "hmac-sha512" };
  const respond = createResponder({
    answer: (query, out, { protocol }) =>
      answerQuery(images, query, query.length, out, createAnswerContext(protocol)),
    lookupKey: (name) => name === long ? key : undefined,
    update: () => Promise.resolve({ rcode: RCODE.NOERROR }),
    now,
    log: () => {},
  });
  for (const transport of [UDP, TCP]) {
    for (const edns of [undefined, plainEdns(600), plainEdns(1232)]) {
      const query = buildMessage(queryFor({ name: at("big"), type: RRTYPE.A }, { id: 1, edns }));
      const signed = signRequest(query, key, { now: NOW });
      const response = must(await respond(signed.bytes, transport));
      const verified = value(verifyResponse(response, key, signed.mac, NOW));
      const message = parsed(verified.message);
      equal(message.rcode, RCODE.NOERROR);
      equal(message.truncated, transport === UDP);
      equal(message.answers.length, transport === TCP ? 60 : message.answers.length);
      ok(transport === TCP || response.length <= (edns?.udpSize ?? 512), `${response.length}`);
    }
  }
});

Deno.test("an update is applied once, however often its octets come, and also while it is at work", async () => {
  let running = 0;
  const gate = Promise.withResolvers<void>();
  const { respond } = toyServer(toyZone(ZONE), [KEY], {
    now,
    update: async () => {
      running++;
      await gate.promise;
      return { rcode: RCODE.NOERROR };
    },
  });
  const { bytes } = signedUpdate("www 60 A 192.0.2.9", NOW);
  const first = respond(bytes, TCP);
  const second = respond(bytes, UDP);
  gate.resolve();
  deepEqual(await first, await second);
  deepEqual(await respond(bytes, TCP), await first);
  // another ID in the header is the same signature still
  equal(rcodeOf(must(await respond(bytes.with(0, 99), TCP))), RCODE.NOERROR);
  equal(running, 1);
  // the same content signed at another time is another update
  await respond(signedUpdate("www 60 A 192.0.2.9", NOW + 1).bytes, TCP);
  equal(running, 2);
});

Deno.test("where memory is full, the oldest is forgotten and what is as old is refused for its time", async () => {
  const server = toyServer(toyZone(ZONE), [KEY], { now, rememberedUpdates: 2 });
  const old = signedUpdate("a 60 A 192.0.2.1", NOW - 10);
  await server.respond(old.bytes, TCP);
  for (const n of [2, 3]) await server.respond(signedUpdate(`a 60 A 192.0.2.${n}`, NOW).bytes, TCP);
  equal(server.applied(), 3);
  const replayed = must(await server.respond(old.bytes, TCP));
  const split = splitTsig(replayed);
  ok(split.kind === "signed" && split.record.error === RCODE.BADTIME);
  await server.respond(signedUpdate("a 60 A 192.0.2.4", NOW - 10).bytes, TCP);
  equal(server.applied(), 3);
  await server.respond(signedUpdate("a 60 A 192.0.2.4", NOW - 9).bytes, TCP);
  equal(server.applied(), 4);
});

Deno.test("an update without a signature or without the right is refused, with the reason where OPT came", async () => {
  const other = { ...KEY, name: nameFrom("client._update.other.test.") };
  const reader = { ...KEY, name: nameFrom("client._transfer.example.test.") };
  const nothing = { ...KEY, name: nameFrom("client.example.test.") };
  const server = toyServer(toyZone(ZONE), [KEY, other, reader, nothing], { now });
  const update = updateOf("www 60 A 192.0.2.9");
  equal(rcodeOf(must(await server.respond(update, TCP))), RCODE.REFUSED);
  for (const key of [other, reader, nothing]) {
    const signed = signRequest(withEdns(update), key, { now: NOW });
    const verified = verifyResponse(must(await server.respond(signed.bytes, TCP)), key, signed.mac, NOW);
    ok(verified.ok);
    const message = parsed(verified.value.message);
    equal(message.rcode, RCODE.REFUSED);
    const [ede] = extendedErrorsOf(message);
    equal(ede.code, EDE.PROHIBITED);
    ok(ede.text.includes(key.name));
  }
  equal(parsed(must(await server.respond(update, TCP))).edns, undefined);
  equal(server.applied(), 0);
  equal(server.events.length, 5);
});

Deno.test("other opcodes and transfers are declined, responses and scraps are not answered", async () => {
  const { respond } = toyServer(toyZone(ZONE), [], { now });
  for (const opcode of [OPCODE.IQUERY, OPCODE.STATUS, OPCODE.NOTIFY, 15]) {
    const query = buildMessage({
      ...EMPTY_MESSAGE,
      opcode,
      questions: [{ name: ORIGIN, type: 6, class: 1 }],
    });
    equal(rcodeOf(must(await respond(query, UDP))), RCODE.NOTIMP);
    equal(await respond(query.with(2, query[2] | 0x80), UDP), undefined);
  }
  for (const type of [RRTYPE.AXFR, RRTYPE.IXFR]) {
    const query = buildMessage(queryFor({ name: ORIGIN, type }, { id: 1, edns: plainEdns() }));
    const message = parsed(must(await respond(query, TCP)));
    equal(message.rcode, RCODE.REFUSED);
    equal(extendedErrorsOf(message)[0].text, "zone transfers are not offered by this version");
  }
  equal(await respond(new Uint8Array(11), UDP), undefined);
});

Deno.test("a fault behind the responder is SERVFAIL to the client and an event to the log", async () => {
  const server = toyServer(toyZone(ZONE), [KEY], { now, update: () => Promise.reject(new Error("disk")) });
  const { bytes, mac } = signedUpdate("www 60 A 192.0.2.9", NOW);
  const response = must(await server.respond(bytes, TCP));
  ok(verifyResponse(response, KEY, mac, NOW).ok);
  equal(rcodeOf(response), RCODE.SERVFAIL);
  ok(server.events.some((event) => event.kind === "failed"));
});

Deno.test("no bytes make the responder fail, and what it answers is a message", async () => {
  const server = toyServer(toyZone(ZONE), [KEY], { now });
  const signed = signedUpdate("www 60 A 192.0.2.9", NOW).bytes;
  const damaged = fc.tuple(fc.nat(signed.length - 1), fc.nat(255), fc.integer({ min: 1, max: signed.length }))
    .map(([place, value, end]) => signed.with(place, value).subarray(0, end));
  await fc.assert(
    fc.asyncProperty(fc.oneof(damaged, fc.uint8Array({ maxLength: 100 })), async (bytes) => {
      const response = await server.respond(bytes, UDP);
      if (response !== undefined) ok(parseMessage(response).ok);
    }),
    { numRuns: 500 },
  );
  ok(server.events.every((event) => event.kind !== "failed"));
});

realTest("nsupdate adds, deletes and tests prerequisites with each form of its key", {
  needs: ["nsupdate"],
}, async ({ dir }) => {
  const zone = toyZone(ZONE);
  const server = toyServer(zone, [KEY]);
  await Deno.writeTextFile(`${dir}/key`, printKeyFile(KEY));
  const [name, , secret] = printKeyArgument(KEY).split(":");
  await overTcp(server, async ({ host, port }) => {
    const nsupdate = (args: string[], commands: string[]) =>
      run("nsupdate", ["-v", ...args], {
        stdin: `server ${host} ${port}\nzone example.test\n${commands.join("\n")}\nsend\n`,
        check: false,
      });
    const added = await nsupdate(["-k", `${dir}/key`], [
      "prereq nxdomain new.example.test",
      "update add new.example.test 60 A 192.0.2.5",
      'update add new.example.test 60 TXT "a b"',
    ]);
    equal(added.code, 0, added.stderr);
    equal(zone.rrset(at("new"), RRTYPE.A)?.ttl, 60);
    const again = await nsupdate(["-y", `hmac-sha256:${name}:${secret}`], [
      "prereq nxdomain new.example.test",
      "update delete new.example.test",
    ]);
    equal(again.code, 2);
    ok(again.stderr.includes("YXDOMAIN"), again.stderr);
    const deleted = await nsupdate(["-y", `hmac-sha256:${name}:${secret}`], [
      "prereq yxrrset new.example.test A 192.0.2.5",
      "update delete new.example.test A 192.0.2.5",
      "update delete new.example.test TXT",
    ]);
    equal(deleted.code, 0, deleted.stderr);
    deepEqual(zone.rrsets(at("new")), []);
    const unsigned = await nsupdate([], ["update delete www.example.test"]);
    ok(unsigned.stderr.includes("REFUSED"), unsigned.stderr);
    const wrong = await nsupdate(["-y", `hmac-sha256:${name}:${btoa("wrong")}`], [
      "update delete www.example.test",
    ]);
    ok(/BADSIG|NOTAUTH/.test(wrong.stderr), wrong.stderr);
    const unknown = await nsupdate(["-y", `hmac-sha256:nobody:${secret}`], [
      "update delete www.example.test",
    ]);
    ok(/BADKEY|NOTAUTH/.test(unknown.stderr), unknown.stderr);
    equal(server.applied(), 3);
    ok(zone.rrset(at("www"), RRTYPE.A) !== undefined);
  });
});

realTest(
  "dig and kdig verify our signatures, with every algorithm, and see an error where the key is wrong",
  {
    needs: ["dig", "kdig"],
  },
  async () => {
    const algorithms = ["hmac-sha1", "hmac-sha224", "hmac-sha256", "hmac-sha384", "hmac-sha512"] as const;
    const keys = algorithms.map((algorithm): TsigKey => ({
      name: nameFrom(`${algorithm}._update.example.test.`),
      algorithm,
      secret: crypto.getRandomValues(new Uint8Array(20)),
    }));
    await overTcp(toyServer(toyZone(ZONE), keys), async ({ host, port }) => {
      for (const key of keys) {
        const secret = printKeyArgument(key).split(":")[2];
        const args = [`@${host}`, "-p", String(port), "+tcp", "+norec", "www.example.test", "A", "-y"];
        for (const program of ["dig", "kdig"]) {
          const right = await run(program, [...args, `${key.algorithm}:${key.name}:${secret}`]);
          ok(right.stdout.includes("192.0.2.1"), right.stdout);
          ok(
            !/could|couldn't|fail|bad|warning/i.test(right.stdout + right.stderr),
            right.stdout + right.stderr,
          );
          ok(right.stdout.includes("TSIG"), right.stdout);
          const wrong = await run(program, [...args, `${key.algorithm}:${key.name}:${btoa("other")}`], {
            check: false,
          });
          ok(
            /BADSIG/.test(wrong.stdout + wrong.stderr),
            wrong.stdout + wrong.stderr,
          );
        }
      }
    });
  },
);

function signedUpdate(line: string, at: number) {
  return signRequest(updateOf(line), KEY, { now: at });
}

function updateOf(line: string): Uint8Array {
  const operations = [{ kind: "add", record: recordOf(line) }] as const;
  return buildUpdate({ id: 7, zone: ORIGIN, prerequisites: [], operations });
}

function withEdns(update: Uint8Array): Uint8Array {
  return buildMessage({ ...parsed(update), edns: plainEdns() });
}

function rcodeOf(bytes: Uint8Array): number {
  return parsed(bytes).rcode;
}

function parsed(bytes: Uint8Array): Message {
  const outcome = parseMessage(bytes);
  if (!outcome.ok) throw new Error(outcome.error.message);
  return outcome.value;
}

function value<T>(outcome: { ok: true; value: T } | { ok: false; error: { message: string } }): T {
  if (!outcome.ok) throw new Error(outcome.error.message);
  return outcome.value;
}

function must<T>(found: T | undefined): T {
  if (found === undefined) throw new Error("nothing there");
  return found;
}
