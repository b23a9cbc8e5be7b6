/** The provisioner against Pebble, which refuses every fifth nonce. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { nameFrom, RRTYPE } from "../../dns/mod.ts";
import {
  type Account,
  acmeAuthority,
  createProvisioner,
  decodeState,
  ownerOf,
  readTlsa,
  requestOperations,
} from "../../acme/mod.ts";
import { decodeTxt } from "../../acme/record/txt.ts";
import { generateKeyPem, generateRequest } from "../../acme/puller/request.ts";
import { toPem } from "../../acme/x509/pem.ts";
import { realTest, run } from "../tools/real.ts";
import { type Pebble, startPebble } from "../tools/pebble.ts";
import { startResponder } from "./responder.ts";
import { fakeLedger, type FakePrimary, fakePrimary } from "./world.ts";

const NEEDS = { needs: ["pebble", "openssl"] };
const OWNER = ownerOf(nameFrom("x.example.test"));
const quiet = { info: () => {}, warn: () => {} };

realTest(
  "Pebble issues apex and wildcard; a finalization that it refuses is told and cleaned up",
  NEEDS,
  async ({ dir }) => {
    await withPebble(dir, async ({ pebble, primary, asked, account }) => {
      const authority = authorityOf(pebble, account);
      const ledger = fakeLedger();
      const provisioner = createProvisioner({ primary, authority, ledger, now: Date.now, wait, log: quiet });
      await provisioner.start();
      const single = ownerOf(nameFrom("y.example.test"));
      const key = await generateKeyPem();
      primary.apply(
        requestOperations(OWNER, await generateRequest(key, "x.example.test", ["*.x.example.test"])),
      );
      primary.apply(
        requestOperations(single, await generateRequest(await generateKeyPem(), "y.example.test", [])),
      );
      const state = await settled(primary, OWNER);
      equal(state?.state, "issued", `${state?.reason}\n${pebble.log()}`);
      // Pebble, unlike Let's Encrypt, reads names from the SAN extension alone.
      const refused = await settled(primary, single);
      equal(refused?.state, "refused");
      ok(refused?.reason?.includes("CSR"), refused?.reason);
      await provisioner.stop();

      const { leafs, cas } = readTlsa(primary.rrset(OWNER, RRTYPE.TLSA));
      equal(leafs.length, 1);
      await Deno.writeTextFile(`${dir}/leaf.pem`, toPem("CERTIFICATE", leafs[0]));
      await Deno.writeTextFile(`${dir}/cas.pem`, cas.map((der) => toPem("CERTIFICATE", der)).join(""));
      await Deno.writeTextFile(`${dir}/root.pem`, await pebble.issuingRoot());
      for (const name of ["x.example.test", "any.x.example.test"]) {
        await run("openssl", [
          "verify",
          "-verify_hostname",
          name,
          "-CAfile",
          `${dir}/root.pem`,
          "-untrusted",
          `${dir}/cas.pem`,
          `${dir}/leaf.pem`,
        ]);
      }
      ok(asked.some((line) => line.toLowerCase() === "_acme-challenge.x.example.test txt"));
      deepEqual(primary.names().sort(), [OWNER, single].sort());
      deepEqual(ledger.list("presented/"), []);

      // A second process with the kept account key goes on with the same account.
      const url = account.value?.url;
      ok(url !== undefined);
      const again = await authorityOf(pebble, account).newOrder(
        ["z.example.test"],
        new AbortController().signal,
      );
      ok(again.ok);
      equal(account.value?.url, url);

      const revoked = await authority.revoke(leafs[0], 0, new AbortController().signal);
      equal(revoked.ok, true);
      const twice = await authority.revoke(leafs[0], 0, new AbortController().signal);
      equal(twice.ok ? "" : twice.error.type, "urn:ietf:params:acme:error:alreadyRevoked");
    });
  },
);

realTest(
  "a validation that fails is told as a problem, its token is taken away, and no order follows at once",
  NEEDS,
  async ({ dir }) => {
    await withPebble(dir, async ({ pebble, primary, account, hide }) => {
      hide();
      let orders = 0;
      const authority = authorityOf(pebble, account);
      const counting = {
        ...authority,
        newOrder: (names: readonly string[], signal: AbortSignal) => {
          orders++;
          return authority.newOrder(names, signal);
        },
      };
      const ledger = fakeLedger();
      const provisioner = createProvisioner({
        primary,
        authority: counting,
        ledger,
        now: Date.now,
        wait,
        log: quiet,
      });
      await provisioner.start();
      primary.apply(
        requestOperations(OWNER, await generateRequest(await generateKeyPem(), "x.example.test", [])),
      );
      const state = await settled(primary, OWNER);
      equal(state?.state, "refused");
      ok(/unauthorized|dns|TXT/i.test(state?.reason ?? ""), state?.reason);
      ok((state?.next ?? 0) > Date.now());
      await provisioner.stop();
      equal(orders, 1);
      deepEqual(primary.names(), [OWNER]);
    });
  },
);

realTest(
  "an authority that is away, or whose certificate is not trusted, is a typed problem",
  NEEDS,
  async ({ dir }) => {
    await withPebble(dir, async ({ pebble, account }) => {
      const { signal } = new AbortController();
      const away = acmeAuthority({
        directoryUrl: "https://127.0.0.1:9/dir",
        account: account.store,
        agreeTerms: true,
        now: Date.now,
      });
      const gone = await away.newOrder(["x.example.test"], signal);
      equal(gone.ok ? "" : gone.error.type, "bailiwick:unreachable");
      const other = pebble.directoryUrl.replace("127.0.0.1", "localhost");
      const untrusted = acmeAuthority({
        directoryUrl: other,
        account: account.store,
        agreeTerms: true,
        now: Date.now,
      });
      const refused = await untrusted.newOrder(["x.example.test"], signal);
      equal(refused.ok ? "" : refused.error.type, "bailiwick:unreachable");
      const terms = acmeAuthority({
        directoryUrl: pebble.directoryUrl,
        caCertificates: [pebble.caCertificate],
        account: account.store,
        agreeTerms: false,
        now: Date.now,
      });
      const unagreed = await terms.newOrder(["x.example.test"], signal);
      equal(unagreed.ok ? "" : unagreed.error.type, "bailiwick:terms");
      const bad = await authorityOf(pebble, account).newOrder(["127.0.0.1"], signal);
      ok(!bad.ok && bad.error.type.startsWith("urn:ietf:params:acme:error:"), JSON.stringify(bad));
    });
  },
);

function authorityOf(pebble: Pebble, account: ReturnType<typeof memoryAccount>) {
  return acmeAuthority({
    directoryUrl: pebble.directoryUrl,
    caCertificates: [pebble.caCertificate],
    account: account.store,
    agreeTerms: true,
    now: Date.now,
  });
}

function memoryAccount() {
  const account: { value: Account | undefined } = { value: undefined };
  const store = {
    load: () => Promise.resolve(account.value),
    save: (value: Account) => {
      account.value = value;
      return Promise.resolve();
    },
  };
  return Object.assign(account, { store });
}

async function withPebble(
  dir: string,
  body: (world: {
    pebble: Pebble;
    primary: FakePrimary;
    asked: readonly string[];
    account: ReturnType<typeof memoryAccount>;
    /** From now on the records are not to be seen from outside. */
    hide: () => void;
  }) => Promise<void>,
): Promise<void> {
  const primary = fakePrimary("example.test");
  let hidden = false;
  const responder = startResponder((name) =>
    hidden
      ? []
      : (primary.rrset(nameFrom(name), RRTYPE.TXT)?.rdatas ?? []).map((rdata) =>
        (decodeTxt(rdata) ?? []).join("")
      )
  );
  try {
    const pebble = await startPebble({ dir, dnsServer: responder.address });
    try {
      await body({
        pebble,
        primary,
        asked: responder.asked,
        account: memoryAccount(),
        hide: () => hidden = true,
      });
    } finally {
      await pebble.stop();
    }
  } finally {
    await responder.close();
  }
}

/** The state of a host once it is not pending and no token of it stands. */
async function settled(primary: FakePrimary, owner: ReturnType<typeof ownerOf>) {
  for (let turn = 0; turn < 600; turn++) {
    const state = decodeState(primary.rrset(owner, RRTYPE.TXT)?.rdatas ?? []);
    const tokens = primary.names().some((name) => name.startsWith("_acme-challenge."));
    if (state !== undefined && state.state !== "pending" && !tokens) return state;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return decodeState(primary.rrset(owner, RRTYPE.TXT)?.rdatas ?? []);
}

function wait(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const timer = setTimeout(done, milliseconds);
    function done() {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    }
    signal.addEventListener("abort", done);
  });
}
