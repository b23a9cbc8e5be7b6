/** What a requester is told when things do not go their way. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { type DnsClient, nameFrom, RRTYPE } from "../../dns/mod.ts";
import {
  createUpdateJudge,
  encodeState,
  obtainCertificate,
  type ObtainOutcome,
  ownerOf,
  type PullerClient,
  type PullerFiles,
} from "../../acme/mod.ts";
import { encodeTlsa } from "../../acme/record/tlsa.ts";
import { generateLocalRoot, issueLeaf, loadLocalRoot } from "../../acme/authority/root.ts";
import { parseRequest } from "../../acme/request/parse.ts";
import { fromPem } from "../../acme/x509/pem.ts";
import { memoryFiles } from "./files.ts";
import { directClient, fakeClock, fakePrimary } from "./world.ts";

const ZONE = nameFrom("example.test");
const OWNER = ownerOf(nameFrom("x.example.test"));
const judge = createUpdateJudge({ provisioners: [] });
const key = { name: nameFrom("c._update.example.test"), right: { operation: "update", zone: ZONE } };
const random = (octets: number) => crypto.getRandomValues(new Uint8Array(octets));

/** The client of dns is one that the puller takes: a check of types. */
export const fits = (client: DnsClient): PullerClient => client;

async function obtain(
  client: PullerClient,
  files: PullerFiles,
  host = "x.example.test",
): Promise<ObtainOutcome> {
  const clock = fakeClock(Date.now());
  let done = false;
  const pending = obtainCertificate({
    host,
    sans: [],
    zone: ZONE,
    client,
    files,
    now: clock.now,
    wait: clock.wait,
    signal: new AbortController().signal,
    timeout: 20_000,
    progress: () => {},
  }).finally(() => done = true);
  for (let turn = 0; turn < 60 && !done; turn++) await clock.advance(500);
  return await pending;
}

Deno.test("no provisioner: the time is over, key and request are kept and used again", async () => {
  const primary = fakePrimary("example.test");
  const files = memoryFiles();
  const client = directClient(primary, judge, key);
  equal((await obtain(client, files)).kind, "timeout");
  const [made, standing] = [files.text("x.example.test.key"), primary.rrset(OWNER, RRTYPE.TLSA)?.rdatas];
  equal(standing?.length, 1);
  equal((await obtain(client, files)).kind, "timeout");
  equal(files.text("x.example.test.key"), made);
  deepEqual(primary.rrset(OWNER, RRTYPE.TLSA)?.rdatas, standing);
});

Deno.test("a server that is away is told so, and a refusal that stands is read from the state", async () => {
  const away: PullerClient = {
    query: () =>
      Promise.resolve({ ok: false, error: { code: "unreachable", message: "192.0.2.1:53: refused" } }),
    update: () =>
      Promise.resolve({ ok: false, error: { code: "unreachable", message: "192.0.2.1:53: refused" } }),
  };
  deepEqual(await obtain(away, memoryFiles()), { kind: "unreachable", reason: "192.0.2.1:53: refused" });

  const primary = fakePrimary("example.test");
  const files = memoryFiles();
  const client = directClient(primary, judge, key);
  await obtain(client, files);
  for (const rdata of encodeState({ state: "refused", chain: [], reason: "caa: forbidden" })) {
    primary.apply([{ kind: "add", record: { owner: OWNER, type: RRTYPE.TXT, class: 1, ttl: 60, rdata } }]);
  }
  deepEqual(await obtain(client, files), { kind: "refused", reason: "caa: forbidden", next: undefined });
});

Deno.test("a key file that is none, and a host that is none, are named; the file stays", async () => {
  const files = memoryFiles();
  await files.writeNew("x.example.test.key", "my notes", 0o644);
  const client = directClient(fakePrimary("example.test"), judge, key);
  equal((await obtain(client, files)).kind, "unusable");
  equal(files.text("x.example.test.key"), "my notes");
  for (const host of ["*.example.test", "localhost", "a..b", "../x.test", "a b.test"]) {
    equal((await obtain(client, files, host)).kind, "unusable", host);
  }
});

Deno.test("a leaf of our key and names with a chain that did not sign it is not taken", async () => {
  const primary = fakePrimary("example.test");
  const files = memoryFiles();
  const client = directClient(primary, judge, key);
  await obtain(client, files);
  const [der] = fromPem("CERTIFICATE REQUEST", files.text("x.example.test.req"));
  const request = parseRequest(der);
  ok(request.ok);
  const now = Date.now();
  const chainOf = async (label: string) =>
    await issueLeaf(await loadLocalRoot(await generateLocalRoot({ now, random, label })), {
      names: request.value.names,
      publicKey: request.value.publicKey,
      serial: random(16),
      now,
      lifetime: 86_400_000,
    });
  // Same label, so same subject and issuer; different keys.
  const [leaf, right] = await chainOf("one");
  const [, wrong] = await chainOf("one");
  const put = (kind: "leaf" | "ca", content: Uint8Array) =>
    primary.apply([{
      kind: "add",
      record: { owner: OWNER, type: RRTYPE.TLSA, class: 1, ttl: 3600, rdata: encodeTlsa(kind, content) },
    }]);
  put("leaf", leaf);
  put("ca", wrong);
  const outcome = await obtain(client, files);
  equal(outcome.kind, "timeout");
  ok(outcome.kind === "timeout" && outcome.reason.includes("not signed"), JSON.stringify(outcome));
  equal(files.text("x.example.test.pem"), "");
  put("ca", right);
  equal((await obtain(client, files)).kind, "issued");
  equal(fromPem("CERTIFICATE", files.text("x.example.test.pem")).length, 2);
});
