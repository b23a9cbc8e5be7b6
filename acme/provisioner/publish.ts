/** The record changes of the provisioner, each list to be applied as one. */
import { CLASS, type Name, type RRset, RRTYPE, type UpdateOperation } from "../../dns/mod.ts";
import { equalBytes } from "../record/bytes.ts";
import { type CertificateState, encodeState, STATE_TTL } from "../record/state.ts";
import { encodeTlsa, readTlsa, TLSA_TTL } from "../record/tlsa.ts";
import { encodeTxt } from "../record/txt.ts";
import type { Tokens } from "./job.ts";

/** Seconds; a token is looked up within minutes. */
const CHALLENGE_TTL = 60;

/** Old leafs and the CA certificates that are not needed any more go by value, the new ones come, the request stays. */
export function chainOperations(
  owner: Name,
  current: RRset | undefined,
  chain: readonly Uint8Array[],
): UpdateOperation[] {
  const { leafs, cas } = readTlsa(current);
  const [leaf, ...issuers] = chain;
  const has = (list: readonly Uint8Array[], der: Uint8Array) => list.some((each) => equalBytes(each, der));
  const remove = (kind: "leaf" | "ca", der: Uint8Array): UpdateOperation => ({
    kind: "delete-record",
    owner,
    type: RRTYPE.TLSA,
    rdata: encodeTlsa(kind, der),
  });
  const add = (kind: "leaf" | "ca", der: Uint8Array): UpdateOperation => ({
    kind: "add",
    record: { owner, type: RRTYPE.TLSA, class: CLASS.IN, ttl: TLSA_TTL, rdata: encodeTlsa(kind, der) },
  });
  return [
    ...leafs.filter((der) => leaf === undefined || !equalBytes(der, leaf)).map((der) => remove("leaf", der)),
    ...cas.filter((der) => !has(issuers, der)).map((der) => remove("ca", der)),
    ...(leaf === undefined || has(leafs, leaf) ? [] : [add("leaf", leaf)]),
    ...issuers.filter((der) => !has(cas, der)).map((der) => add("ca", der)),
  ];
}

/** Replaces what is said of a host; `undefined` takes it away. */
export function stateOperations(owner: Name, state: CertificateState | undefined): UpdateOperation[] {
  return [
    { kind: "delete-rrset", owner, type: RRTYPE.TXT },
    ...(state === undefined ? [] : encodeState(state)).map((rdata): UpdateOperation => ({
      kind: "add",
      record: { owner, type: RRTYPE.TXT, class: CLASS.IN, ttl: STATE_TTL, rdata },
    })),
  ];
}

export function presentOperations(tokens: Tokens): UpdateOperation[] {
  return tokens.map(({ owner, digest }) => ({
    kind: "add",
    record: { owner, type: RRTYPE.TXT, class: CLASS.IN, ttl: CHALLENGE_TTL, rdata: encodeTxt([digest]) },
  }));
}

export function removeOperations(tokens: Tokens): UpdateOperation[] {
  return tokens.map(({ owner, digest }) => ({
    kind: "delete-record",
    owner,
    type: RRTYPE.TXT,
    rdata: encodeTxt([digest]),
  }));
}
