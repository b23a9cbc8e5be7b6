/** The provisioner killed at every single call it makes, before and after the call took effect, and started again. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { nameFrom, RRTYPE } from "../../dns/mod.ts";
import {
  type CertificateAuthority,
  type CertificatePrimary,
  createProvisioner,
  decodeState,
  generateLocalRoot,
  type Ledger,
  loadLocalRoot,
  localAuthority,
  ownerOf,
  readTlsa,
  requestOperations,
} from "../../acme/mod.ts";
import { decodeTxt } from "../../acme/record/txt.ts";
import { generateKeyPem, generateRequest } from "../../acme/puller/request.ts";
import { fakeClock, fakeLedger, fakePrimary, settle } from "./world.ts";

const random = (octets: number) => crypto.getRandomValues(new Uint8Array(octets));
const OWNER = ownerOf(nameFrom("x.example.test"));
const MINUTE = 60_000;

const root = await loadLocalRoot(await generateLocalRoot({ now: Date.now(), random, label: "test" }));
const request = await generateRequest(await generateKeyPem(), "x.example.test", ["*.x.example.test"]);

/** Goes off at the n-th call; from then on nothing that the provisioner calls does or answers anything. */
function powerSwitch(at: number, moment: "before" | "after") {
  let calls = 0;
  let off = false;
  const dead = () => new Promise<never>(() => {});
  const sync = <A extends unknown[], T>(body: (...args: A) => T) => (...args: A): T => {
    if (off) throw new Error("the power is off");
    const now = ++calls === at;
    if (now && moment === "before") off = true;
    if (off) throw new Error("the power is off");
    const value = body(...args);
    if (now) off = true;
    if (off) throw new Error("the power is off");
    return value;
  };
  const async =
    <A extends unknown[], T>(body: (...args: A) => Promise<T>) => async (...args: A): Promise<T> => {
      if (off) return await dead();
      const now = ++calls === at;
      if (now) off = true;
      if (now && moment === "before") return await dead();
      const value = await body(...args);
      return off ? await dead() : value;
    };
  return { sync, async, fired: () => off };
}

async function lifeAfterKill(at: number, moment: "before" | "after") {
  const clock = fakeClock(Date.now());
  const primary = fakePrimary("example.test");
  const ledger = fakeLedger();
  const remote = fakeLedger();
  const begun: string[] = [];
  const validations: string[] = [];
  const authority = localAuthority({
    root,
    ledger: remote,
    now: clock.now,
    random,
    lookupTxt: (name) => {
      validations.push(name);
      return Promise.resolve(
        (primary.rrset(nameFrom(name), RRTYPE.TXT)?.rdatas ?? []).map((rdata) =>
          (decodeTxt(rdata) ?? []).join("")
        ),
      );
    },
  });
  const log = { info: () => {}, warn: () => {} };
  primary.apply(requestOperations(OWNER, request));

  const power = powerSwitch(at, moment);
  const cutLedger: Ledger = {
    get: ledger.get,
    list: ledger.list,
    put: power.sync(ledger.put),
    delete: power.sync(ledger.delete),
  };
  const cutPrimary: CertificatePrimary = {
    ...primary,
    change: power.async(primary.change),
    everywhere: power.async(primary.everywhere),
  };
  const cutAuthority: CertificateAuthority = {
    id: authority.id,
    newOrder: power.async(authority.newOrder),
    authorizations: power.async(authority.authorizations),
    begin: power.async((challenge, signal) => {
      begun.push(challenge.url);
      return authority.begin(challenge, signal);
    }),
    poll: power.async(authority.poll),
    finalize: power.async(authority.finalize),
    download: power.async(authority.download),
    revoke: authority.revoke,
  };
  const first = createProvisioner({
    primary: cutPrimary,
    authority: cutAuthority,
    ledger: cutLedger,
    now: clock.now,
    wait: clock.wait,
    log,
  });
  await first.start();
  for (let turn = 0; turn < 40 && !power.fired(); turn++) await clock.advance(250);
  await settle();
  const fired = power.fired();

  const second = createProvisioner({
    primary,
    authority: {
      ...authority,
      begin: (challenge, signal) => (begun.push(challenge.url), authority.begin(challenge, signal)),
    },
    ledger,
    now: clock.now,
    wait: clock.wait,
    log,
  });
  await second.start();
  const settled = () =>
    primary.names().length === 1 && readTlsa(primary.rrset(OWNER, RRTYPE.TLSA)).leafs.length > 0;
  for (let turn = 0; turn < 60 && !settled(); turn++) await clock.advance(1000);
  // Time for a second order, if one were to follow.
  await clock.advance(2 * MINUTE);
  await second.stop();
  return { fired, primary, ledger, orders: remote.list("local-order/").length, begun, validations };
}

for (const moment of ["before", "after"] as const) {
  Deno.test(`killed ${moment} any call: one order, one valid leaf, each challenge begun once, no token left`, async () => {
    let kills = 0;
    for (let at = 1;; at++) {
      const { fired, primary, ledger, orders, begun } = await lifeAfterKill(at, moment);
      const where = `killed ${moment} call ${at}`;
      equal(orders, 1, where);
      equal(readTlsa(primary.rrset(OWNER, RRTYPE.TLSA)).leafs.length, 1, where);
      equal(decodeState(primary.rrset(OWNER, RRTYPE.TXT)?.rdatas ?? [])?.state, "issued", where);
      deepEqual(primary.names(), [OWNER], where);
      deepEqual(ledger.list("presented/"), [], where);
      equal(new Set(begun).size, begun.length, where);
      if (!fired) break;
      kills++;
    }
    // Fewer would mean that the switch does not sit where the work is done.
    ok(kills >= 20, `${kills} kills`);
  });
}
