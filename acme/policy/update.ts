/**
 * What a dynamic update may do to certificates, requests and challenges. The primary asks this before it applies an
 * update, beside the rights of the key; everything else in the update passes untouched.
 */
import { isAtOrBelow, labelsOf, type Name, type RRset, RRTYPE, type UpdateOperation } from "../../dns/mod.ts";
import { equalBytes } from "../record/bytes.ts";
import { decodeTlsa, hostOf } from "../record/tlsa.ts";
import { judgeRequest } from "../request/judge.ts";

/** The key that signed the update; its right holds for `zone` and everything below. */
export interface UpdatingKey {
  readonly name: Name;
  readonly right: { readonly operation: string; readonly zone: Name };
}

export interface UpdateJudgeOptions {
  /** Keys that may write leafs, CA certificates, states and challenges as the provisioner itself does. */
  readonly provisioners: readonly Name[];
  /** Whether our own provisioner put that challenge record there. */
  readonly presented?: (owner: Name, rdata: Uint8Array) => boolean;
  /** Explicit permissions for names outside a key's scope. */
  readonly permits?: (key: Name, name: Name) => boolean;
}

export type UpdateJudgement =
  /** What to apply instead of what was sent; may be empty. */
  | { readonly ok: true; readonly operations: UpdateOperation[] }
  /** `reason` is for the updater (extended error), `log` for the operator. Nothing is to be applied. */
  | { readonly ok: false; readonly rcode: number; readonly reason: string; readonly log: string };

export type UpdateView = (owner: Name, type: number) => RRset | undefined;

export type UpdateJudge = (
  operations: readonly UpdateOperation[],
  key: UpdatingKey,
  view: UpdateView,
) => UpdateJudgement;

/** RFC 1035 §4.1.1. */
const REFUSED = 5;
/** Where values are tokens that several programs put side by side: RFC 8555 §8.4 and draft-ietf-acme-dns-persist. */
const CHALLENGE_LABELS: readonly string[] = ["_acme-challenge", "_validation-persist"];

export function createUpdateJudge(options: UpdateJudgeOptions): UpdateJudge {
  const provisioners = new Set(options.provisioners);
  return (operations, key, view) => {
    if (provisioners.has(key.name)) return { ok: true, operations: [...operations] };
    const rewritten: UpdateOperation[] = [];
    // What stands at each owner as the update goes on, one operation after the other (RFC 2136 §3.4.2).
    const standing = new Map<string, Uint8Array[]>();
    const at = (owner: Name, type: number) => {
      const place = `${owner} ${type}`;
      const known = standing.get(place) ?? [...view(owner, type)?.rdatas ?? []];
      standing.set(place, known);
      return known;
    };
    const touched = new Set<Name>();
    for (const operation of operations) {
      const owner = operation.kind === "add" ? operation.record.owner : operation.owner;
      const host = hostOf(owner);
      let refusal: string | undefined;
      if (host !== undefined) {
        touched.add(owner);
        refusal = judgeAtHost(operation, host, key, options, at, rewritten);
      } else if (CHALLENGE_LABELS.includes(labelsOf(owner)[0] ?? "")) {
        refusal = judgeChallenge(operation, options, at, rewritten);
      } else {
        rewritten.push(operation);
      }
      if (refusal !== undefined) return refused(refusal, owner, key);
    }
    for (const owner of touched) {
      const requests = at(owner, RRTYPE.TLSA).filter(isRequest);
      if (requests.length > 1) {
        return refused(
          "a host has one request: delete the one that stands there in the same update",
          owner,
          key,
        );
      }
    }
    return { ok: true, operations: rewritten };
  };
}

type Standing = (owner: Name, type: number) => Uint8Array[];

/** At `_letsencrypt._tcp.HOST`: a requester writes its request and nothing else. Gives the refusal. */
function judgeAtHost(
  operation: UpdateOperation,
  host: Name,
  key: UpdatingKey,
  options: UpdateJudgeOptions,
  at: Standing,
  rewritten: UpdateOperation[],
): string | undefined {
  switch (operation.kind) {
    case "add": {
      const { record } = operation;
      if (record.type === RRTYPE.TXT) return "the state of a certificate is written by the provisioner";
      if (record.type !== RRTYPE.TLSA) break;
      const decoded = decodeTlsa(record.rdata);
      if (!decoded.ok || decoded.value.kind === "other") {
        return "TLSA records here are requests: usage 3, selector 255, matching type 0";
      }
      if (decoded.value.kind !== "request") return "certificates are written by the provisioner";
      if (!isAtOrBelow(host, key.right.zone)) return `${host} is outside the scope of the key`;
      const judged = judgeRequest({
        host,
        der: decoded.value.der,
        keyScope: key.right.zone,
        permits: (name) => options.permits?.(key.name, name) === true,
      });
      if (!judged.ok) return judged.error.reason;
      const records = at(record.owner, RRTYPE.TLSA);
      if (!records.some((rdata) => equalBytes(rdata, record.rdata))) records.push(record.rdata);
      break;
    }
    case "delete-record":
      if (operation.type === RRTYPE.TXT) return "the state of a certificate is written by the provisioner";
      if (operation.type !== RRTYPE.TLSA) break;
      if (!isRequest(operation.rdata)) return "certificates are taken away by the provisioner";
      drop(at(operation.owner, RRTYPE.TLSA), operation.rdata);
      break;
    case "delete-rrset":
      if (operation.type === RRTYPE.TXT) return "the state of a certificate is written by the provisioner";
      if (operation.type !== RRTYPE.TLSA) break;
      deleteByValue(operation.owner, RRTYPE.TLSA, isRequest, at, rewritten);
      return undefined;
    case "delete-name":
      deleteByValue(operation.owner, RRTYPE.TLSA, isRequest, at, rewritten);
      return undefined;
  }
  rewritten.push(operation);
  return undefined;
}

/** At `_acme-challenge.HOST`: values of others, our own provisioner's above all, stay. */
function judgeChallenge(
  operation: UpdateOperation,
  options: UpdateJudgeOptions,
  at: Standing,
  rewritten: UpdateOperation[],
): string | undefined {
  const ours = (owner: Name, rdata: Uint8Array) => options.presented?.(owner, rdata) === true;
  switch (operation.kind) {
    case "add":
      if (operation.record.type === RRTYPE.TXT) {
        at(operation.record.owner, RRTYPE.TXT).push(operation.record.rdata);
      }
      break;
    case "delete-record":
      if (operation.type !== RRTYPE.TXT) break;
      if (ours(operation.owner, operation.rdata)) return "this challenge is taken away by the provisioner";
      drop(at(operation.owner, RRTYPE.TXT), operation.rdata);
      break;
    case "delete-rrset":
    case "delete-name": {
      const { owner } = operation;
      if (operation.kind === "delete-rrset" && operation.type !== RRTYPE.TXT) break;
      if (!at(owner, RRTYPE.TXT).some((rdata) => ours(owner, rdata))) {
        at(owner, RRTYPE.TXT).length = 0;
        break;
      }
      deleteByValue(owner, RRTYPE.TXT, (rdata) => !ours(owner, rdata), at, rewritten);
      return undefined;
    }
  }
  rewritten.push(operation);
  return undefined;
}

/** Puts the deletion of each fitting record in place of the deletion of all. */
function deleteByValue(
  owner: Name,
  type: number,
  fits: (rdata: Uint8Array) => boolean,
  at: Standing,
  rewritten: UpdateOperation[],
): void {
  for (const rdata of at(owner, type).filter(fits)) {
    rewritten.push({ kind: "delete-record", owner, type, rdata });
    drop(at(owner, type), rdata);
  }
}

function drop(records: Uint8Array[], rdata: Uint8Array): void {
  for (let index = records.length - 1; index >= 0; index--) {
    if (equalBytes(records[index], rdata)) records.splice(index, 1);
  }
}

function isRequest(rdata: Uint8Array): boolean {
  const decoded = decodeTlsa(rdata);
  return decoded.ok && decoded.value.kind === "request";
}

function refused(reason: string, owner: Name, key: UpdatingKey): UpdateJudgement {
  return { ok: false, rcode: REFUSED, reason, log: `update by ${key.name} refused at ${owner}: ${reason}` };
}
