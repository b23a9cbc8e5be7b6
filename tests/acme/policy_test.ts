/** Who may write what at `_letsencrypt._tcp.HOST` and `_acme-challenge.HOST` by UPDATE. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { CLASS, type Name, nameFrom, type RRset, RRTYPE, type UpdateOperation } from "../../dns/mod.ts";
import { createUpdateJudge, hostOf, ownerOf, requestOperations } from "../../acme/mod.ts";
import { encodeTlsa } from "../../acme/record/tlsa.ts";
import { encodeTxt } from "../../acme/record/txt.ts";
import { equalBytes } from "../../acme/record/bytes.ts";
import { generateKeyPem, generateRequest } from "../../acme/puller/request.ts";

const OWNER = nameFrom("_letsencrypt._tcp.x.a.test");
const CHALLENGE = nameFrom("_acme-challenge.x.a.test");
const key = await generateKeyPem();
const request = await generateRequest(key, "x.a.test", []);
const other = await generateRequest(await generateKeyPem(), "x.a.test", []);
const foreign = await generateRequest(key, "x.a.test", ["x.b.test"]);
const ours = encodeTxt(["ours"]);
const theirs = encodeTxt(["theirs"]);
const leaf = encodeTlsa("leaf", Uint8Array.of(1));
const ca = encodeTlsa("ca", Uint8Array.of(2));

const judge = createUpdateJudge({
  provisioners: [nameFrom("p._update.test")],
  presented: (owner, rdata) => owner === CHALLENGE && equalBytes(rdata, ours),
  permits: (name, wanted) => name === nameFrom("friend._update.a.test") && wanted === nameFrom("x.b.test"),
});
const keyOf = (name: string, zone: string) => ({
  name: nameFrom(name),
  right: { operation: "update", zone: nameFrom(zone) },
});
const CLIENT = keyOf("c._update.a.test", "a.test");

const add = (owner: Name, type: number, rdata: Uint8Array): UpdateOperation => ({
  kind: "add",
  record: { owner, type, class: CLASS.IN, ttl: 60, rdata },
});
const remove = (owner: Name, type: number, rdata: Uint8Array): UpdateOperation => ({
  kind: "delete-record",
  owner,
  type,
  rdata,
});
const empty = () => undefined;
const standing = (owner: Name, type: number): RRset | undefined => {
  if (owner === OWNER && type === RRTYPE.TLSA) {
    return { owner, type, ttl: 3600, rdatas: [encodeTlsa("request", request), leaf, ca] };
  }
  if (owner === CHALLENGE && type === RRTYPE.TXT) return { owner, type, ttl: 60, rdatas: [ours, theirs] };
  return undefined;
};

Deno.test("an upload is applied as sent where nothing stands", () => {
  const sent = requestOperations(OWNER, request);
  const judged = judge(sent, CLIENT, empty);
  deepEqual(judged, { ok: true, operations: [sent[1]] });
});

Deno.test("an upload over a chain takes the old request away and leaves leaf and CA", () => {
  const sent = requestOperations(OWNER, other);
  const judged = judge(sent, CLIENT, standing);
  deepEqual(judged, {
    ok: true,
    operations: [remove(OWNER, RRTYPE.TLSA, encodeTlsa("request", request)), sent[1]],
  });
});

Deno.test("a requester's deletion of the RRset or of the name removes its request alone", () => {
  const expected = { ok: true, operations: [remove(OWNER, RRTYPE.TLSA, encodeTlsa("request", request))] };
  deepEqual(judge([{ kind: "delete-rrset", owner: OWNER, type: RRTYPE.TLSA }], CLIENT, standing), expected);
  deepEqual(judge([{ kind: "delete-name", owner: OWNER }], CLIENT, standing), expected);
  deepEqual(judge([{ kind: "delete-name", owner: OWNER }], CLIENT, empty), { ok: true, operations: [] });
});

const REFUSALS: readonly [title: string, operations: readonly UpdateOperation[], reason: RegExp][] = [
  ["a leaf", [add(OWNER, RRTYPE.TLSA, leaf)], /provisioner/],
  ["a CA certificate", [add(OWNER, RRTYPE.TLSA, ca)], /provisioner/],
  ["a state", [add(OWNER, RRTYPE.TXT, encodeTxt(["v=bailiwick1 state=issued"]))], /provisioner/],
  ["the deletion of a leaf by value", [remove(OWNER, RRTYPE.TLSA, leaf)], /provisioner/],
  ["the deletion of the state", [{ kind: "delete-rrset", owner: OWNER, type: RRTYPE.TXT }], /provisioner/],
  ["a TLSA record of another meaning", [add(OWNER, RRTYPE.TLSA, Uint8Array.of(3, 1, 1, 9))], /usage 3/],
  ["a TLSA record that is cut", [add(OWNER, RRTYPE.TLSA, Uint8Array.of(3))], /usage 3/],
  ["a second request", [add(OWNER, RRTYPE.TLSA, encodeTlsa("request", other))], /one request/],
  [
    "two requests at once",
    [...requestOperations(OWNER, request), add(OWNER, RRTYPE.TLSA, encodeTlsa("request", other))],
    /one request/,
  ],
  ["names outside the scope", requestOperations(OWNER, foreign), /outside the scope/],
  ["a request that is none", requestOperations(OWNER, Uint8Array.of(1, 2, 3)), /PKCS#10/],
  [
    "a request for another host",
    requestOperations(nameFrom("_letsencrypt._tcp.y.a.test"), request),
    /y\.a\.test/,
  ],
  ["the deletion of our challenge", [remove(CHALLENGE, RRTYPE.TXT, ours)], /provisioner/],
];

for (const [title, operations, reason] of REFUSALS) {
  Deno.test(`a requester is refused ${title}`, () => {
    const judged = judge(operations, CLIENT, standing);
    ok(!judged.ok);
    equal(judged.rcode, 5);
    ok(reason.test(judged.reason), judged.reason);
    ok(judged.log.includes(CLIENT.name));
  });
}

Deno.test("a key for one zone cannot ask for names of another; a permission or a wider key can", () => {
  const sent = requestOperations(OWNER, foreign);
  equal(judge(sent, keyOf("c._update.b.test", "b.test"), empty).ok, false);
  equal(judge(sent, CLIENT, empty).ok, false);
  equal(judge(sent, keyOf("friend._update.a.test", "a.test"), empty).ok, true);
  equal(judge(sent, keyOf("admin._update", "."), empty).ok, true);
});

Deno.test("a listed provisioner replaces a chain as the older stack's does, untouched", () => {
  const sent = [
    remove(OWNER, RRTYPE.TLSA, leaf),
    add(OWNER, RRTYPE.TLSA, leaf),
    remove(CHALLENGE, RRTYPE.TXT, ours),
  ];
  deepEqual(judge(sent, keyOf("p._update.test", "test"), standing), { ok: true, operations: sent });
});

Deno.test("challenges of others come and go by value, ours stays", () => {
  const sent = [add(CHALLENGE, RRTYPE.TXT, encodeTxt(["new"])), remove(CHALLENGE, RRTYPE.TXT, theirs)];
  deepEqual(judge(sent, CLIENT, standing), { ok: true, operations: sent });
  const all = judge([{ kind: "delete-rrset", owner: CHALLENGE, type: RRTYPE.TXT }], CLIENT, standing);
  deepEqual(all, { ok: true, operations: [remove(CHALLENGE, RRTYPE.TXT, theirs)] });
});

Deno.test("everything elsewhere passes untouched and in order", () => {
  const sent: UpdateOperation[] = [
    add(nameFrom("www.a.test"), RRTYPE.TXT, theirs),
    { kind: "delete-name", owner: nameFrom("x.a.test") },
  ];
  deepEqual(judge(sent, CLIENT, standing), { ok: true, operations: sent });
});

Deno.test("owner and host are each other's inverse; other names have no host", () => {
  equal(ownerOf(nameFrom("x.a.test")), OWNER);
  equal(hostOf(OWNER), nameFrom("x.a.test"));
  for (const name of ["_letsencrypt._tcp", "_letsencrypt._udp.x.test", "a._letsencrypt._tcp.x", "."]) {
    equal(hostOf(nameFrom(name)), undefined);
  }
});
