/** `status`: what is served, from where, and until when certificates last. Reads; beside a running server or after one. */
import { decodeState, hostOf, parseCertificate, readTlsa } from "../acme/mod.ts";
import { type Name, type RRset, RRTYPE } from "../dns/mod.ts";
import { faultLine, readMachineOwners, readState, readTroubles, type StateReader } from "../primary/mod.ts";
import { openRepository, type PackDamage, type Repository, StoreError } from "../store/mod.ts";
import { type DataDir, dataDirAt, exists } from "./data_dir.ts";
import { CliError, sentence } from "./errors.ts";
import { holderOf } from "./lock.ts";
import { userPath } from "./paths.ts";
import { noted, NOTES } from "./server_notes.ts";
import { countersStatus } from "./status_counters.ts";
import type { CertificateStatus, Status, ZoneStatus } from "./status_form.ts";
import { statusText } from "./status_text.ts";
import { VERSION } from "./version.ts";

interface StatusFlags {
  readonly data?: string;
  readonly json?: boolean;
}

export async function status(flags: StatusFlags): Promise<number> {
  const dir = dataDirAt(userPath(flags.data ?? ".bailiwick"));
  if (!exists(dir.root)) throw new CliError(`there is no data folder ${dir.root}; serve makes it`);
  const found = await read(dir, Date.now());
  console.log(flags.json === true ? JSON.stringify(found, undefined, 2) : statusText(found, Date.now()));
  return 0;
}

async function read(dir: DataDir, now: number): Promise<Status> {
  const pid = holderOf(dir.root);
  const base = { version: VERSION, data: dir.root, at: rfc3339(now) };
  if (!exists(dir.state)) {
    const nothing = { source: null, zones: [], certificates: [], damage: [], unread: [] };
    return {
      ...base,
      server: { running: pid !== undefined, pid: pid || null },
      ...nothing,
      collection: null,
      counters: null,
    };
  }
  const state = openDatabase(dir.state);
  try {
    const notes = state.collection(NOTES);
    const running = noted(notes, "running");
    const own = pid !== undefined && running?.pid === pid ? running : undefined;
    const collection = noted(notes, "collection");
    const counters = noted(notes, "counters");
    const { certificates, damage, unread } = await readRepository(dir, state);
    return {
      ...base,
      server: {
        running: pid !== undefined,
        pid: pid || null,
        ...(own === undefined ? {} : {
          since: rfc3339(own.since),
          dns: own.dns,
          ssh: own.ssh,
          web: own.web,
          gitDaemon: own.gitDaemon ?? null,
          gitHttp: own.gitHttp ?? null,
        }),
      },
      source: sourceOf(dir, state, now),
      zones: zonesOf(state),
      certificates,
      damage: merged(damage, noted(notes, "damage") ?? []),
      unread,
      collection: collection === undefined
        ? null
        : { at: rfc3339(collection.at), outcome: collection.outcome },
      counters: counters === undefined ? null : countersStatus(counters, rfc3339),
    };
  } finally {
    state.close();
  }
}

function openDatabase(path: string): StateReader {
  try {
    return readState(path);
  } catch (error) {
    throw new CliError(
      `${path} cannot be read: ${sentence(error)}; serve puts a broken one aside and makes it anew`,
    );
  }
}

function sourceOf(dir: DataDir, state: StateReader, now: number): Status["source"] {
  const notes = state.collection(NOTES);
  const source = noted(notes, "source");
  if (source === undefined) return null;
  const { main, machine } = state.served();
  const commits = { main: main ?? null, machine: machine ?? null };
  switch (source.kind) {
    case "bundle":
      return { kind: "bundle", file: source.file, ...commits };
    case "embedded":
      return { kind: "embedded", repository: dir.repository, ...commits };
    case "remote": {
      const remote = noted(notes, "remote");
      return {
        kind: "remote",
        upstream: source.upstream,
        branch: source.branch,
        reached: remote?.reachedAt === undefined ? null : rfc3339(remote.reachedAt),
        age: remote?.reachedAt === undefined
          ? null
          : Math.max(0, Math.round((now - remote.reachedAt) / 1000)),
        trouble: remote?.trouble ?? null,
        ...commits,
      };
    }
  }
}

/** The zones of the database, and those that were never good, of which it has no serial. */
function zonesOf(state: StateReader): ZoneStatus[] {
  const { main, machine } = state.served();
  const troubles = readTroubles(state.collection("zone-trouble"));
  const rows = state.zones();
  const served = [...rows].filter(([name, { file }]) =>
    file !== undefined && troubles.get(name)?.state !== "broken"
  );
  const names = new Set([...served.map(([name]) => name), ...troubles.keys()]);
  return [...names].sort().map((name) => {
    const row = rows.get(name);
    const trouble = troubles.get(name);
    const broken = trouble?.state === "broken";
    return {
      name: shortName(name),
      serial: broken || row === undefined ? null : row.serial,
      state: trouble?.state ?? "good",
      file: row?.file ?? trouble?.file ?? null,
      main: broken ? null : row?.heldAt ?? main ?? null,
      machine: machine ?? null,
      faults: (trouble?.faults ?? []).map(faultLine),
      faultCount: trouble?.faultCount ?? 0,
      heldBack: (trouble?.heldBack ?? []).map(({ owner, type, reason }) => ({
        owner: shortName(owner),
        type,
        reason,
      })),
    };
  });
}

async function readRepository(
  dir: DataDir,
  state: StateReader,
): Promise<{ certificates: CertificateStatus[]; damage: readonly PackDamage[]; unread: string[] }> {
  if (!exists(dir.repository)) return { certificates: [], damage: [], unread: [] };
  let repository: Repository;
  try {
    repository = await openRepository(dir.repository);
  } catch (error) {
    if (error instanceof StoreError) throw new CliError(error.message);
    throw error;
  }
  try {
    const unread: string[] = [];
    const certificates = await certificatesOf(repository, state, (message) => unread.push(message));
    return { certificates, damage: repository.damage(), unread };
  } finally {
    repository.close();
  }
}

/** @param report told what of them cannot be read, which is no reason to keep the rest from being told */
async function certificatesOf(
  repository: Repository,
  state: StateReader,
  report: (message: string) => void,
): Promise<CertificateStatus[]> {
  const { machine } = state.served();
  if (machine === undefined || !await repository.has(machine)) return [];
  const certificates: CertificateStatus[] = [];
  for (const [zone, { file }] of state.zones()) {
    if (file === undefined) continue;
    const byHost = new Map<Name, RRset[]>();
    const sets = await readMachineOwners(repository, machine, zone, "_letsencrypt._tcp", report).catch(
      (error) => {
        if (!(error instanceof StoreError)) throw error;
        report(`the records of programs in ${shortName(zone)}: ${error.message}`);
        return [];
      },
    );
    for (const set of sets) {
      const host = hostOf(set.owner);
      if (host !== undefined) byHost.set(host, [...byHost.get(host) ?? [], set]);
    }
    for (const [host, sets] of byHost) certificates.push(certificateOf(zone, host, sets));
  }
  return certificates.sort((a, b) => (a.host < b.host ? -1 : 1));
}

function certificateOf(zone: Name, host: Name, sets: readonly RRset[]): CertificateStatus {
  const records = readTlsa(sets.find(({ type }) => type === RRTYPE.TLSA));
  const said = decodeState(sets.find(({ type }) => type === RRTYPE.TXT)?.rdatas ?? []);
  const leafs = records.leafs.flatMap((der) => {
    const parsed = parseCertificate(der);
    return parsed.ok ? [parsed.value] : [];
  });
  const leaf = leafs.toSorted((a, b) => b.notAfter - a.notAfter).at(0);
  return {
    host: shortName(host),
    zone: shortName(zone),
    state: said?.state ?? (leaf === undefined ? "requested" : "issued"),
    names: leaf?.names ?? [],
    issuer: leaf?.issuer ?? null,
    notAfter: leaf === undefined ? null : rfc3339(leaf.notAfter),
    next: said?.next === undefined ? null : rfc3339(said.next),
    reason: said?.reason ?? null,
  };
}

/** What this look found, and what the server found while it read more. */
function merged(...lists: readonly (readonly PackDamage[])[]): PackDamage[] {
  const byPack = new Map(lists.flat().map((damage) => [damage.pack, damage]));
  return [...byPack.values()].map(({ pack, reason }) => ({ pack, reason }));
}

function shortName(name: Name): string {
  return name === "." ? name : name.slice(0, -1);
}

/** RFC 3339 §5.6, in seconds, UTC. */
function rfc3339(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace(/\.\d+Z$/, "Z");
}
