/** The provisioner inside the server: its primary is ours, its memory is our database, its authority is chosen here. */
import { join } from "node:path";
import {
  acmeAuthority,
  type CertificateAuthority,
  type CertificatePrimary,
  createProvisioner,
  generateLocalRoot,
  hostOf,
  type Ledger,
  loadLocalRoot,
  localAuthority,
  type Provisioner,
  PUBLIC_BUDGET,
} from "../acme/mod.ts";
import { connect, createRegistry, tcpResolver } from "../conduit/mod.ts";
import { createDnsClient, type Name, nameFrom, RRTYPE, type Zone } from "../dns/mod.ts";
import type { Collection, Primary, State } from "../primary/mod.ts";
import type { HostPort } from "./address.ts";
import { type DataDir, exists, writePrivate } from "./data_dir.ts";
import { CliError, sentence } from "./errors.ts";
import { logOf } from "./log.ts";
import type { AcmeSettings } from "./settings.ts";
import { waitFor } from "./wait.ts";

const log = logOf("acme");

/** @param dns an address that our own DNS answers on, for the embedded authority to look up challenges at */
export async function startProvisioner(
  settings: Exclude<AcmeSettings, { kind: "off" }>,
  parts: { dir: DataDir; state: State; primary: Primary; served: ReadonlyMap<Name, Zone>; dns: HostPort },
): Promise<Provisioner> {
  const ledger = ledgerOf(parts.state.collection("acme"));
  const authority = settings.kind === "local"
    ? await embeddedAuthority(parts.dir, ledger, parts.dns)
    : publicAuthority(settings, parts.dir);
  const provisioner = createProvisioner({
    primary: certificatePrimary(parts.primary, parts.served),
    authority,
    ledger,
    now: Date.now,
    wait: waitFor,
    log,
    budget: settings.kind === "local" ? undefined : PUBLIC_BUDGET,
  });
  await provisioner.start();
  return provisioner;
}

/** The primary as the provisioner sees it: what is published is what it reads. */
function certificatePrimary(primary: Primary, served: ReadonlyMap<Name, Zone>): CertificatePrimary {
  const good = () => [...served.values()].filter((zone) => !zone.broken);
  return {
    zones: () => good().map((zone) => zone.origin),
    rrset(owner, type) {
      const zone = primary.zoneOf(owner);
      return zone === undefined ? undefined : served.get(zone)?.rrset(owner, type);
    },
    *requests() {
      for (const zone of good()) {
        for (const rrset of zone.records()) {
          if (rrset.type === RRTYPE.TLSA && hostOf(rrset.owner) !== undefined) yield rrset;
        }
      }
    },
    change: async (operations, message) => {
      const outcome = await primary.change(operations, { author: "Bailiwick provisioner", message });
      return outcome.ok
        ? { ok: true, value: undefined }
        : { ok: false, error: { reason: outcome.error.message } };
    },
    subscribe: (listener) =>
      primary.subscribe((changes) =>
        listener(new Set(changes.flatMap(({ owners }) => Array.from(owners, ({ owner }) => owner))))
      ),
    // A change is served by this server when `change` resolves, and this version has no secondaries to wait for.
    everywhere: () => Promise.resolve({ ok: true, value: undefined }),
  };
}

async function embeddedAuthority(dir: DataDir, ledger: Ledger, dns: HostPort): Promise<CertificateAuthority> {
  const root = await loadLocalRoot(await localRootFiles(dir));
  const registry = createRegistry().with(tcpResolver());
  const client = createDnsClient({
    open: () =>
      connect(registry, { scheme: "tcp", host: reachable(dns.host), port: dns.port }, { timeoutMs: 5000 }),
    now: Date.now,
    random: randomBytes,
    timeoutMs: 5000,
  });
  return localAuthority({
    root,
    ledger,
    now: Date.now,
    random: randomBytes,
    async lookupTxt(name) {
      const answer = await client.query(nameFrom(name), RRTYPE.TXT);
      if (!answer.ok) throw new Error(answer.error.message);
      return answer.value.answers.filter(({ type }) => type === RRTYPE.TXT).map(({ rdata }) =>
        joinedStrings(rdata)
      );
    },
  });
}

/** The embedded authority's certificates and keys, made on the first start. The root's key is written last and never read. */
async function localRootFiles(dir: DataDir) {
  const paths = {
    rootCertificate: join(dir.ca, "root.pem"),
    intermediateCertificate: join(dir.ca, "intermediate.pem"),
    intermediateKey: join(dir.keys, "ca-intermediate.key"),
    rootKey: join(dir.keys, "ca-root.key"),
  };
  if (!Object.values(paths).every(exists)) {
    const label = [...randomBytes(4)].map((octet) => octet.toString(16).padStart(2, "0")).join("");
    const made = await generateLocalRoot({ now: Date.now(), random: randomBytes, label });
    writePrivate(paths.intermediateKey, made.intermediateKey);
    writePrivate(paths.intermediateCertificate, made.intermediateCertificate);
    writePrivate(paths.rootCertificate, made.rootCertificate);
    Deno.chmodSync(paths.intermediateCertificate, 0o644);
    Deno.chmodSync(paths.rootCertificate, 0o644);
    writePrivate(paths.rootKey, made.rootKey);
  }
  return {
    rootCertificate: Deno.readTextFileSync(paths.rootCertificate),
    intermediateCertificate: Deno.readTextFileSync(paths.intermediateCertificate),
    intermediateKey: Deno.readTextFileSync(paths.intermediateKey),
  };
}

function publicAuthority(
  settings: Extract<AcmeSettings, { kind: "directory" }>,
  dir: DataDir,
): CertificateAuthority {
  const account = join(dir.keys, `acme-account-${new URL(settings.url).host.replaceAll(":", "-")}.json`);
  return acmeAuthority({
    directoryUrl: settings.url,
    agreeTerms: true,
    contact: settings.contact,
    ...(settings.roots === undefined ? {} : { caCertificates: [readRoots(settings.roots)] }),
    now: Date.now,
    account: {
      load: () => Promise.resolve(exists(account) ? JSON.parse(Deno.readTextFileSync(account)) : undefined),
      save: (value) => Promise.resolve(writePrivate(account, `${JSON.stringify(value, undefined, 2)}\n`)),
    },
  });
}

function readRoots(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    throw new CliError(`acme.roots: ${path} cannot be read: ${sentence(error)}`);
  }
}

function ledgerOf(collection: Collection): Ledger {
  return {
    get: (key) => collection.get(key),
    put: (key, value) => collection.put(key, value),
    delete: (key) => void collection.delete(key),
    list: (prefix) => [...collection.list().keys()].filter((key) => key.startsWith(prefix)),
  };
}

/** A wildcard address is listened on, not connected to. */
function reachable(host: string): string {
  return host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "::1" : host;
}

/** A TXT record's strings, joined (RFC 1035 §3.3.14). */
function joinedStrings(rdata: Uint8Array): string {
  let text = "";
  for (let at = 0; at < rdata.length; at += 1 + rdata[at]) {
    text += String.fromCharCode(...rdata.subarray(at + 1, at + 1 + rdata[at]));
  }
  return text;
}

function randomBytes(octets: number): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(octets));
}
