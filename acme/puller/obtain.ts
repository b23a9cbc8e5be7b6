/**
 * How a service gets its certificate through DNS: the older stack's exchange, seen from the client. Keys never travel.
 */
import type { Result } from "../../conduit/mod.ts";
import {
  CLASS,
  type Message,
  type Name,
  type Prerequisite,
  type RRset,
  RRTYPE,
  type UpdateOperation,
} from "../../dns/mod.ts";
import type { Wait } from "../provisioner/interfaces.ts";
import { equalBytes } from "../record/bytes.ts";
import { type CertificateState, decodeState } from "../record/state.ts";
import { encodeTlsa, ownerOf, readTlsa, TLSA_TTL } from "../record/tlsa.ts";
import { type CertificateRequest, parseRequest } from "../request/parse.ts";
import { type Certificate, matches, messageOf, orderChain, parseCertificate } from "../x509/certificate.ts";
import { hostName, nameOf, sameNames } from "../x509/hostnames.ts";
import { fromPem, toPem } from "../x509/pem.ts";
import { generateKeyPem, generateRequest } from "./request.ts";

/** What went wrong between client and server; `code` is `rcode` where the server said no. */
export interface PullerClientError {
  readonly code: string;
  /** With what the server said besides (RFC 8914). */
  readonly message: string;
}

/** A DNS client of the primary, over TCP, that signs its updates: what `createDnsClient` of dns gives. */
export interface PullerClient {
  /** NXDOMAIN is an answer, every other refusal an error. */
  query(name: Name, type: number): Promise<Result<Message, PullerClientError>>;
  update(update: {
    readonly zone: Name;
    readonly prerequisites: readonly Prerequisite[];
    readonly operations: readonly UpdateOperation[];
  }): Promise<Result<Message, PullerClientError>>;
}

/** The folder that the files are in. Names have no path. */
export interface PullerFiles {
  /** `undefined` where there is no such file. */
  read(name: string): Promise<string | undefined>;
  /** Makes a file with that mode, whole or not at all; `false` where one is there already. */
  writeNew(name: string, content: string, mode: number): Promise<boolean>;
  /** Replaces a file whole or not at all. */
  replace(name: string, content: string, mode: number): Promise<void>;
}

export interface ObtainOptions {
  readonly host: string;
  readonly sans: readonly string[];
  /** The zone section of the update: where the key has its right, or the host. */
  readonly zone: Name;
  readonly client: PullerClient;
  readonly files: PullerFiles;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly wait: Wait;
  readonly signal: AbortSignal;
  /** For the whole exchange. Milliseconds. */
  readonly timeout: number;
  readonly progress: (line: string) => void;
}

export type ObtainOutcome =
  | {
    readonly kind: "issued" | "already-valid";
    readonly certificate: Certificate;
    readonly files: readonly string[];
  }
  | { readonly kind: "refused"; readonly reason: string; readonly next: number | undefined }
  | { readonly kind: "timeout"; readonly reason: string }
  | { readonly kind: "unreachable"; readonly reason: string }
  /** What was given cannot be used: a host name, a key file. */
  | { readonly kind: "unusable"; readonly reason: string };

/** Between two looks. Milliseconds; the last entry from then on. An embedded authority issues at once. */
const POLLS: readonly number[] = [250, 500, 1000, 2000];
export async function obtainCertificate(options: ObtainOptions): Promise<ObtainOutcome> {
  const prepared = await prepare(options);
  if (!prepared.ok) return prepared.error;
  const { request, host } = prepared.value;
  const owner = ownerOf(nameOf(host));
  const { client, progress, now } = options;
  const deadline = now() + options.timeout;

  const first = await lookUp(client, owner);
  if (!first.ok) return first.error;
  const present = await usable(first.value, request, now());
  if (present.chain !== undefined) return await store(options, host, present.chain);
  const stateBefore = await readState(client, owner);
  if (!stateBefore.ok) return stateBefore.error;

  const standing = readTlsa(first.value).requests;
  // A request that stands there already is waited for, not sent again: a second upload would bring nothing.
  if (standing.length !== 1 || !equalBytes(standing[0], request.der)) {
    progress(`asking for ${request.names.join(", ")} at ${owner}`);
    const refusal = await upload(options, owner, request);
    if (refusal !== undefined) return refusal;
  } else if (stateBefore.value?.state.state === "refused") {
    return refusedBy(stateBefore.value.state);
  }
  let said = "";
  let lost: ObtainOutcome | undefined;
  let reason = present.reason ?? "the provisioner has not answered";
  for (let attempt = 0;; attempt++) {
    const pause = POLLS[Math.min(attempt, POLLS.length - 1)];
    if (now() + pause > deadline) return lost ?? { kind: "timeout", reason };
    await options.wait(pause, options.signal);
    if (options.signal.aborted) return { kind: "timeout", reason: "stopped" };
    const polled = await lookUp(client, owner);
    // A server that is away for a moment is asked again, until the time is over.
    if (!polled.ok) {
      if (polled.error.kind !== "unreachable") return polled.error;
      lost = polled.error;
      continue;
    }
    const found = await usable(polled.value, request, now());
    if (found.chain !== undefined) return await store(options, host, found.chain);
    const state = await readState(client, owner);
    if (!state.ok) {
      if (state.error.kind !== "unreachable") return state.error;
      lost = state.error;
      continue;
    }
    lost = undefined;
    const { value } = state;
    // What was said before our request is not the answer to it.
    const news = value !== undefined && value.text !== stateBefore.value?.text;
    if (news && value.state.state === "refused") {
      return refusedBy(value.state);
    }
    reason = found.reason ?? (value === undefined ? reason : `state ${value.state.state}`);
    if (reason !== said) progress(reason);
    said = reason;
  }
}

function refusedBy(state: CertificateState): ObtainOutcome {
  return { kind: "refused", reason: state.reason ?? "no reason given", next: state.next };
}

interface Prepared {
  readonly host: string;
  readonly request: CertificateRequest;
}

/** The key and the request: what is there is used, what is missing is made. */
async function prepare(options: ObtainOptions): Promise<Result<Prepared, ObtainOutcome>> {
  const host = hostName(options.host.replace(/\.$/, ""));
  if (host === undefined || host.startsWith("*")) {
    return unusable(`"${options.host}" is not a host name; for a wildcard give its base and --san "*.BASE"`);
  }
  const sans: string[] = [];
  for (const text of options.sans) {
    const name = hostName(text.replace(/\.$/, ""));
    if (name === undefined) return unusable(`"${text}" is not a host name`);
    if (name !== host && !sans.includes(name)) sans.push(name);
  }
  try {
    if (await options.files.read(`${host}.key`) === undefined) {
      const made = await options.files.writeNew(`${host}.key`, await generateKeyPem(), 0o600);
      if (made) options.progress(`made a key: ${host}.key`);
    }
    const keyPem = await options.files.read(`${host}.key`) ?? "";
    const fresh = parseRequest(await generateRequest(keyPem, host, sans));
    if (!fresh.ok) return unusable(fresh.error.reason);
    // An earlier request for the same key and names is sent as it was: its bytes may stand in DNS.
    const [earlier] = fromPem("CERTIFICATE REQUEST", await options.files.read(`${host}.req`) ?? "");
    const kept = earlier === undefined ? undefined : parseRequest(earlier);
    if (
      kept?.ok && equalBytes(kept.value.publicKey, fresh.value.publicKey) &&
      sameNames(kept.value.names, fresh.value.names)
    ) {
      return { ok: true, value: { host, request: kept.value } };
    }
    await options.files.replace(`${host}.req`, toPem("CERTIFICATE REQUEST", fresh.value.der), 0o644);
    return { ok: true, value: { host, request: fresh.value } };
  } catch (error) {
    return unusable(messageOf(error));
  }
}

async function lookUp(client: PullerClient, owner: Name): Promise<Result<RRset | undefined, ObtainOutcome>> {
  return await records(client, owner, RRTYPE.TLSA);
}

async function readState(client: PullerClient, owner: Name) {
  const found = await records(client, owner, RRTYPE.TXT);
  if (!found.ok) return found;
  const rdatas = found.value?.rdatas ?? [];
  const state = decodeState(rdatas);
  const value = state === undefined
    ? undefined
    : { state, text: rdatas.map((rdata) => rdata.join()).join(";") };
  return { ok: true, value } as const;
}

async function records(
  client: PullerClient,
  owner: Name,
  type: number,
): Promise<Result<RRset | undefined, ObtainOutcome>> {
  const answer = await client.query(owner, type);
  if (!answer.ok) return { ok: false, error: outcomeOf(answer.error) };
  const { answers } = answer.value;
  const found = answers.filter((record) => record.type === type);
  const [head] = found;
  return {
    ok: true,
    value: head && { owner: head.owner, type, ttl: head.ttl, rdatas: found.map((record) => record.rdata) },
  };
}

/** [delete the TLSA RRset, add the request]; gives the outcome when it was not taken. */
async function upload(
  options: ObtainOptions,
  owner: Name,
  request: CertificateRequest,
): Promise<ObtainOutcome | undefined> {
  const answer = await options.client.update({
    zone: options.zone,
    prerequisites: [],
    operations: requestOperations(owner, request.der),
  });
  // After a lost answer it is open whether the update was carried out; the look that follows tells.
  if (answer.ok || answer.error.code === "lost" || answer.error.code === "timeout") return undefined;
  return outcomeOf(answer.error);
}

/** The update section of the older stack's client. */
export function requestOperations(owner: Name, der: Uint8Array): UpdateOperation[] {
  return [
    { kind: "delete-rrset", owner, type: RRTYPE.TLSA },
    {
      kind: "add",
      record: { owner, type: RRTYPE.TLSA, class: CLASS.IN, ttl: TLSA_TTL, rdata: encodeTlsa("request", der) },
    },
  ];
}

/** The chain of the first leaf that fits the request, verified; else why none is usable. */
async function usable(
  rrset: RRset | undefined,
  request: CertificateRequest,
  now: number,
): Promise<{ readonly chain?: Certificate[]; readonly reason?: string }> {
  const { leafs, cas } = readTlsa(rrset);
  const issuers = parsedOf(cas);
  const fitting = parsedOf(leafs).filter((leaf) => matches(leaf, request, now))
    .sort((a, b) => b.notAfter - a.notAfter);
  let reason: string | undefined;
  for (const leaf of fitting) {
    const ordered = await orderChain(leaf, issuers);
    if (!ordered.ok) {
      reason = ordered.error.reason;
      continue;
    }
    const late = ordered.value.find((each) => now < each.notBefore || now >= each.notAfter);
    if (late === undefined) return { chain: ordered.value };
    reason = `"${late.subject}" of the chain is not valid now`;
  }
  return reason === undefined ? {} : { reason };
}

async function store(
  options: ObtainOptions,
  host: string,
  chain: readonly Certificate[],
): Promise<ObtainOutcome> {
  const files = [`${host}.key`, `${host}.req`, `${host}.pem`];
  const pem = chain.map((each) => toPem("CERTIFICATE", each.der)).join("");
  const [certificate] = chain;
  try {
    if (await options.files.read(`${host}.pem`) === pem) return { kind: "already-valid", certificate, files };
    await options.files.replace(`${host}.pem`, pem, 0o644);
  } catch (error) {
    return { kind: "unusable", reason: messageOf(error) };
  }
  return { kind: "issued", certificate, files };
}

function parsedOf(ders: readonly Uint8Array[]): Certificate[] {
  return ders.flatMap((der) => {
    const parsed = parseCertificate(der);
    return parsed.ok ? [parsed.value] : [];
  });
}

function outcomeOf(error: PullerClientError): ObtainOutcome {
  if (error.code !== "rcode" && error.code !== "untrusted") {
    return { kind: "unreachable", reason: error.message };
  }
  return { kind: "refused", reason: error.message, next: undefined };
}

function unusable(reason: string): { ok: false; error: ObtainOutcome } {
  return { ok: false, error: { kind: "unusable", reason } };
}
