/** The whole way with the embedded authority: certify's exchange, the provisioner, the chain, openssl's judgement. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { nameFrom, RRTYPE } from "../../dns/mod.ts";
import {
  createProvisioner,
  createUpdateJudge,
  decodeState,
  generateLocalRoot,
  loadLocalRoot,
  localAuthority,
  obtainCertificate,
  ownerOf,
  readTlsa,
} from "../../acme/mod.ts";
import { decodeTxt } from "../../acme/record/txt.ts";
import { realTest, run } from "../tools/real.ts";
import { directClient, fakeClock, fakeLedger, fakePrimary, settle } from "./world.ts";
import { memoryFiles } from "./files.ts";

const random = (octets: number) => crypto.getRandomValues(new Uint8Array(octets));
const OWNER = ownerOf(nameFrom("x.example.test"));
const DAY = 86_400_000;

async function world() {
  const clock = fakeClock(Date.now());
  const primary = fakePrimary("example.test");
  const ledger = fakeLedger();
  const files = await generateLocalRoot({ now: clock.now(), random, label: "test" });
  const authority = localAuthority({
    root: await loadLocalRoot(files),
    ledger,
    now: clock.now,
    random,
    lookupTxt: (name) =>
      Promise.resolve(
        (primary.rrset(nameFrom(name), RRTYPE.TXT)?.rdatas ?? []).map((rdata) =>
          (decodeTxt(rdata) ?? []).join("")
        ),
      ),
  });
  const lines: string[] = [];
  const log = { info: () => {}, warn: (line: string) => void lines.push(line) };
  const provisioner = createProvisioner({
    primary,
    authority,
    ledger,
    now: clock.now,
    wait: clock.wait,
    log,
  });
  const judge = createUpdateJudge({ provisioners: [], presented: provisioner.presented });
  const key = {
    name: nameFrom("c._update.example.test"),
    right: { operation: "update", zone: nameFrom("example.test") },
  };
  const client = directClient(primary, judge, key);
  const folder = memoryFiles();
  const obtain = async (host: string, sans: string[]) => {
    const pending = obtainCertificate({
      host,
      sans,
      zone: nameFrom("example.test"),
      client,
      files: folder,
      now: clock.now,
      wait: clock.wait,
      signal: new AbortController().signal,
      timeout: 60_000,
      progress: () => {},
    });
    let done = false;
    pending.finally(() => done = true);
    for (let turn = 0; turn < 200 && !done; turn++) await clock.advance(500);
    return await pending;
  };
  return { clock, primary, ledger, files, provisioner, folder, obtain, lines };
}

realTest(
  "apex and wildcard are issued, published, pulled and verified by openssl; a second run has nothing to do",
  {
    needs: ["openssl"],
  },
  async ({ dir }) => {
    const { primary, files, provisioner, folder, obtain, ledger, clock, lines } = await world();
    await provisioner.start();
    const outcome = await obtain("x.example.test", ["*.x.example.test"]);
    equal(outcome.kind, "issued", JSON.stringify(outcome) + lines.join());

    // All tokens in one change, one removal afterwards, nothing left.
    const [present] = primary.changes.filter((change) => change.message.startsWith("challenges for"));
    equal(
      present.operations.filter((each) => each.kind === "add" && each.record.owner.startsWith("_acme-"))
        .length,
      2,
    );
    deepEqual(primary.names(), [OWNER]);
    deepEqual(ledger.list("presented/"), []);

    const state = decodeState(primary.rrset(OWNER, RRTYPE.TXT)?.rdatas ?? []);
    const tlsa = readTlsa(primary.rrset(OWNER, RRTYPE.TLSA));
    equal(state?.state, "issued");
    deepEqual(state?.chain.map((der) => [...der]), [...tlsa.leafs, ...tlsa.cas].map((der) => [...der]));
    equal(tlsa.requests.length, 1);

    await Deno.writeTextFile(`${dir}/root.pem`, files.rootCertificate);
    await Deno.writeTextFile(`${dir}/chain.pem`, folder.text("x.example.test.pem"));
    await Deno.writeTextFile(`${dir}/key.pem`, folder.text("x.example.test.key"));
    const verified = await run("openssl", [
      "verify",
      "-x509_strict",
      "-purpose",
      "sslserver",
      "-verify_hostname",
      "a.x.example.test",
      "-CAfile",
      `${dir}/root.pem`,
      "-untrusted",
      `${dir}/chain.pem`,
      `${dir}/chain.pem`,
    ]);
    ok(verified.stdout.endsWith(": OK\n"), verified.stdout);
    const key = await run("openssl", ["pkey", "-in", `${dir}/key.pem`, "-pubout"]);
    const leaf = await run("openssl", ["x509", "-in", `${dir}/chain.pem`, "-noout", "-pubkey"]);
    equal(key.stdout, leaf.stdout);
    equal(folder.mode("x.example.test.key"), 0o600);

    const before = folder.text("x.example.test.key");
    equal((await obtain("x.example.test", ["*.x.example.test"])).kind, "already-valid");
    equal(folder.text("x.example.test.key"), before);

    // At two thirds of its life it is renewed, with no moment without a valid leaf.
    const first = tlsa.leafs[0];
    await clock.advance(61 * DAY);
    const [second, ...more] = readTlsa(primary.rrset(OWNER, RRTYPE.TLSA)).leafs;
    equal(more.length, 0);
    ok(second !== undefined && second.join() !== first.join());
    await provisioner.stop();
  },
);

Deno.test("a refusal by policy reaches the requester with its reason and stores nothing", async () => {
  const { primary, provisioner, obtain } = await world();
  await provisioner.start();
  const outcome = await obtain("x.example.test", ["www.other.test"]);
  equal(outcome.kind, "refused");
  ok(outcome.kind === "refused" && outcome.reason.includes("outside the scope"));
  deepEqual(primary.names(), []);
  await provisioner.stop();
});

Deno.test("a lagging name server holds the challenge back, is named, and the order goes on when it follows", async () => {
  const { primary, provisioner, obtain, clock, ledger, lines } = await world();
  await provisioner.start();
  primary.laggard = "ns2.example.test";
  const outcome = await obtain("x.example.test", []);
  equal(outcome.kind, "refused");
  ok(outcome.kind === "refused" && outcome.reason.includes("ns2.example.test"));
  const orders = ledger.list("local-order/");
  equal(orders.length, 1);
  primary.laggard = undefined;
  await clock.advance(61_000);
  equal(decodeState(primary.rrset(OWNER, RRTYPE.TXT)?.rdatas ?? [])?.state, "issued", lines.join());
  deepEqual(ledger.list("local-order/"), orders);
  await provisioner.stop();
});

Deno.test("a withdrawn request keeps its chain until the leaf ends and is not renewed", async () => {
  const { primary, provisioner, obtain, clock } = await world();
  await provisioner.start();
  equal((await obtain("x.example.test", [])).kind, "issued");
  const [request] = primary.rrset(OWNER, RRTYPE.TLSA)?.rdatas.filter((rdata) => rdata[1] === 255) ?? [];
  primary.apply([{ kind: "delete-record", owner: OWNER, type: RRTYPE.TLSA, rdata: request }]);
  await clock.advance(89 * DAY);
  equal(readTlsa(primary.rrset(OWNER, RRTYPE.TLSA)).leafs.length, 1);
  await clock.advance(2 * DAY);
  await settle();
  deepEqual(primary.names(), []);
  await provisioner.stop();
});
