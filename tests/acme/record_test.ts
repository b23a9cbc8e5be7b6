/** The records octet by octet. */
import { deepEqual, equal } from "node:assert/strict";
import fc from "fast-check";
import { CLASS, nameFrom, RRTYPE } from "../../dns/mod.ts";
import { decodeState, encodeState } from "../../acme/mod.ts";
import { requestOperations } from "../../acme/mod.ts";
import { chainOperations } from "../../acme/provisioner/publish.ts";
import { decodeTlsa, encodeTlsa, ownerOf } from "../../acme/record/tlsa.ts";
import { decodeTxt } from "../../acme/record/txt.ts";

const OWNER = ownerOf(nameFrom("x.example.test"));
const TLSA = RRTYPE.TLSA;

Deno.test("the older stack's exchange, octet by octet", () => {
  const request = Uint8Array.of(0x30, 0x01, 0xaa);
  deepEqual(requestOperations(OWNER, request), [
    { kind: "delete-rrset", owner: "_letsencrypt._tcp.x.example.test.", type: 52 },
    {
      kind: "add",
      record: {
        owner: "_letsencrypt._tcp.x.example.test.",
        type: 52,
        class: CLASS.IN,
        ttl: 3600,
        rdata: Uint8Array.of(3, 255, 0, 0x30, 0x01, 0xaa),
      },
    },
  ]);
  const rrset = {
    owner: OWNER,
    type: TLSA,
    ttl: 3600,
    rdatas: [
      Uint8Array.of(0, 0, 0, 0xc1),
      Uint8Array.of(0, 0, 0, 0xc2),
      Uint8Array.of(3, 0, 0, 0x01),
      Uint8Array.of(3, 255, 0, 0x30, 0x01, 0xaa),
    ],
  };
  const chain = [Uint8Array.of(0x02), Uint8Array.of(0xc2), Uint8Array.of(0xc3)];
  const add = (...rdata: number[]) => ({
    kind: "add",
    record: { owner: OWNER, type: TLSA, class: CLASS.IN, ttl: 3600, rdata: Uint8Array.from(rdata) },
  });
  const remove = (...rdata: number[]) => ({
    kind: "delete-record",
    owner: OWNER,
    type: TLSA,
    rdata: Uint8Array.from(rdata),
  });
  deepEqual(chainOperations(OWNER, rrset, chain), [
    remove(3, 0, 0, 0x01),
    remove(0, 0, 0, 0xc1),
    add(3, 0, 0, 0x02),
    add(0, 0, 0, 0xc3),
  ]);
});

Deno.test("a state is one record of facts and one a certificate, its index in front", () => {
  const rdatas = encodeState({
    state: "issued",
    chain: [new Uint8Array(300).fill(1), Uint8Array.of(2)],
    notAfter: Date.UTC(2027, 0, 2, 3, 4, 5, 678),
    next: Date.UTC(2026, 11, 1),
  });
  deepEqual(decodeTxt(rdatas[0]), [
    "v=bailiwick1 state=issued chain=2 not-after=2027-01-02T03:04:05Z next=2026-12-01T00:00:00Z",
  ]);
  const [index, first, second] = decodeTxt(rdatas[1]) ?? [];
  equal(index, "1/2");
  equal(first.length, 255);
  equal(first + second, "AQEB".repeat(100));
  deepEqual(decodeTxt(rdatas[2]), ["2/2", "Ag=="]);
});

Deno.test("what is encoded is decoded, in whatever order the records come", () => {
  const instant = fc.integer({ min: 0, max: 4_000_000_000 }).map((seconds) => seconds * 1000);
  fc.assert(fc.property(
    fc.record({
      state: fc.constantFrom("pending" as const, "refused" as const, "issued" as const),
      chain: fc.array(fc.uint8Array({ minLength: 1, maxLength: 900 }), { maxLength: 5 }),
      notAfter: fc.option(instant, { nil: undefined }),
      next: fc.option(instant, { nil: undefined }),
      reason: fc.option(fc.constantFrom("rejected: a b", "x=y z"), { nil: undefined }),
    }),
    (state) => {
      const rdatas = encodeState(state).reverse();
      deepEqual(decodeState(rdatas), { ...state, chain: state.chain.map((der) => Uint8Array.from(der)) });
      // An incomplete chain is none.
      if (state.chain.length > 0) equal(decodeState(rdatas.slice(1)), undefined);
    },
  ));
});

Deno.test("a reason cannot smuggle other octets or another record", () => {
  const [facts, ...rest] = encodeState({
    state: "refused",
    chain: [],
    reason: "über\n v=bailiwick1 " + "x".repeat(400),
  });
  equal(rest.length, 0);
  const strings = decodeTxt(facts) ?? [];
  equal(strings.length, 1);
  equal(/^[\x20-\x7e]{255}$/.test(strings[0]), true);
});

Deno.test("TLSA and state records of any octets are read without an exception", () => {
  fc.assert(fc.property(fc.array(fc.uint8Array({ maxLength: 80 }), { maxLength: 6 }), (rdatas) => {
    decodeState(rdatas);
    for (const rdata of rdatas) decodeTlsa(rdata);
  }));
  deepEqual(decodeTlsa(encodeTlsa("leaf", Uint8Array.of(7))), {
    ok: true,
    value: { kind: "leaf", der: Uint8Array.of(7) },
  });
});
