/**
 * `serve`: the composition root. Builds the parts, wires them, stops them in order. Parts that may be off are loaded when
 * they are on: what a server does not do costs it neither memory nor time.
 */
import type { Provisioner } from "../acme/mod.ts";
import {
  covers,
  createImageBoard,
  type ImageBoard,
  keyRight,
  type Name,
  nameFrom,
  parseKeyArgument,
  RCODE,
  type TsigKey,
  type UpdateOperation,
  type Zone,
} from "../dns/mod.ts";
import {
  faultLine,
  type Judge,
  openPrimary,
  openState,
  type Primary,
  type PublishedZone,
  putDatabaseAside,
  type Seeded,
} from "../primary/mod.ts";
import { StoreError } from "../store/mod.ts";
import { formatHostPort } from "./address.ts";
import type { Config } from "./config.ts";
import { dataDirAt, makeFolders, makeKeys } from "./data_dir.ts";
import { CliError, sentence } from "./errors.ts";
import { lockDataDir } from "./lock.ts";
import { logOf, startLog } from "./log.ts";
import { userPath } from "./paths.ts";
import { probeAddresses } from "./ports.ts";
import { type LiveSettings, liveSettings, reloader } from "./reload.ts";
import { serveDns } from "./serve_dns.ts";
import { collectionsOf, startCollector } from "./serve_collection.ts";
import { startGarbageCollection } from "./serve_garbage.ts";
import type { Pushes } from "./serve_git.ts";
import type { Upstream } from "./serve_remote.ts";
import { signingOf } from "./serve_signing.ts";
import { completeEmbedded, modeOf, openZones, refuseFaultyBundle } from "./serve_zones.ts";
import { note, NOTES, type RunningNote } from "./server_notes.ts";
import { type ServeFlags, type ServeSettings, serveSettings } from "./settings.ts";
import { watchTsigKeys } from "./tsig_keys.ts";
import { waitFor } from "./wait.ts";
import { VERSION } from "./version.ts";

const log = logOf("serve");

/** Runs until SIGTERM or SIGINT. @throws {CliError} for everything that the user has to mend */
export async function serve(flags: ServeFlags): Promise<number> {
  const parseConfig = flags.config === undefined ? undefined : (await import("./config.ts")).parseConfig;
  const read = () => {
    const config = parseConfig === undefined ? {} : readConfig(flags.config ?? "", parseConfig);
    return serveSettings(flags, config, { cores: navigator.hardwareConcurrency, path: userPath });
  };
  const settings = read();
  startLog(settings.logLevel);
  const stopping = stopSignal();
  const undo: (() => unknown)[] = [];
  let code = 2;
  try {
    const started = start(settings, undo).then((apply) =>
      Deno.addSignalListener("SIGHUP", reloader(settings, read, apply))
    );
    // A start that takes long, for a remote that does not answer, is no reason to be deaf.
    await Promise.race([started, stopping]);
    await stopping;
    log.info("stopping");
    code = 0;
  } finally {
    await stopParts(undo, () => Deno.exit(code));
  }
  return code;
}

/** Last started, first stopped. One that fails does not keep the others; what does not end is left after a while. */
async function stopParts(undo: readonly (() => unknown)[], giveUp: () => void): Promise<void> {
  const late = setTimeout(giveUp, STOP_MS);
  for (const stop of undo.toReversed()) {
    try {
      await stop();
    } catch (error) {
      log.error(`while stopping: ${sentence(error)}`);
    }
  }
  clearTimeout(late);
}

/** The contract gives 5 s. */
const STOP_MS = 4500;

/** @returns what takes over settings that can change while serving */
async function start(
  settings: ServeSettings,
  undo: (() => unknown)[],
): Promise<(live: LiveSettings) => void> {
  const dir = dataDirAt(settings.data);
  makeFolders(dir);
  const lock = await lockDataDir(dir.root);
  undo.push(() => lock.release());
  probeAddresses(settings);
  await makeKeys(dir);
  let live = takeOver(liveSettings(settings));
  const keys = watchTsigKeys(dir, () => live.keys);

  const signing = await signingOf(dir, settings.repository);
  let noteDamage = () => {};
  const opened = await openZones(settings, dir, {
    signing,
    onDamage: ({ pack, reason }) => {
      log.error(`${pack} is damaged: ${reason}; what is whole in it is still read`);
      noteDamage();
    },
  });
  const { repository } = opened;
  let { seeded }: { seeded?: Seeded | undefined } = opened;
  undo.push(() => repository.close());
  const state = openState({
    path: dir.state,
    putAside: (path) => putDatabaseAside(path, new Date().toISOString()),
    report: (line) => log.error(line),
  });
  undo.push(() => state.close());
  if (settings.bundle !== undefined) await completeEmbedded(dir, state);
  const notes = state.collection(NOTES);
  noteDamage = () => note(notes, "damage", repository.damage());
  noteDamage();
  const { graceMs } = settings.repository;
  const collections = collectionsOf({ repository, state, graceMs, now: Date.now });
  const remote = settings.remote && await import("./serve_remote.ts");
  const upstream = settings.remote && await remote?.openUpstream(settings.remote, repository, collections);
  undo.push(() => upstream?.close());

  const mode = modeOf(settings);
  const board = createImageBoard();
  const garbage = startGarbageCollection();
  undo.push(() => garbage.stop());
  const served = new Map<Name, Zone>();
  let provisioner: Provisioner | undefined;
  const primary = await openHealed(upstream, () =>
    openPrimary({
      repository,
      state,
      publish: (changed) => garbage.dropped(publishChanged(served, board, changed)),
      judge: certificateJudge(() => live.provisioners, () => provisioner),
      clock: Date.now,
      log: logOf("primary"),
      mode,
      signing,
      // Once: it holds a version of every zone.
      seeded: () => {
        const once = seeded;
        seeded = undefined;
        return once;
      },
    }));
  undo.push(() => primary.close());
  if (settings.bundle !== undefined) refuseFaultyBundle(settings.bundle, primary);

  if (settings.remote !== undefined && remote !== undefined && upstream !== undefined) {
    const follower = remote.followRemote(settings.remote, upstream, primary, notes, noteDamage);
    undo.push(() => follower.stop());
    const first = follower.start();
    // With a local copy there is something to serve at once; without one the first pull decides what.
    if (primary.zones().length === 0) await first;
  } else {
    note(
      notes,
      "source",
      settings.bundle === undefined ? { kind: "embedded" } : { kind: "bundle", file: settings.bundle },
    );
  }

  const dns = await serveDns({
    listen: settings.dns,
    workers: settings.workers,
    board,
    service: settings.service,
    noteCounters: (counters) => note(notes, "counters", counters),
    lookupKey: (name) => keys.lookup(name) ?? primary.keys().find((key) => key.name === name),
    update: ({ zone, prerequisites, operations, key }) =>
      primary.update({ zone, prerequisites, operations, key: key.name }),
  });
  undo.push(() => dns.stop());
  const pushes: Pushes = {
    admit: (pusher) => (proposal) => primary.admitPush(proposal, pusher.who),
    readOnly: mode.kind === "read-only" ? mode.reason : undefined,
  };
  const git = settings.ssh === "off"
    ? undefined
    : await (await import("./serve_git.ts")).serveGit(settings.ssh, dir, repository, pushes);
  undo.push(() => git?.stop());
  const { daemon, http, passwordFile } = settings.git;
  const gitDaemon = daemon === "off"
    ? undefined
    : await (await import("./serve_git_daemon.ts")).serveDaemon(daemon, repository);
  undo.push(() => gitDaemon?.stop());
  const gitHttp = http === "off"
    ? undefined
    : await (await import("./serve_git_http.ts")).serveGitHttp(http, passwordFile, repository, pushes);
  undo.push(() => gitHttp?.stop());
  const web = settings.web === "off" ? undefined : (await import("./serve_web.ts")).serveWeb(settings.web, {
    version: `bailiwick ${VERSION}`,
    zones: () => shown(primary),
    history: (zone, serial) => primary.historyOf(zone, serial, upstream?.deepen),
  });
  if (web !== undefined) undo.push(() => web.stop());
  if (settings.acme.kind !== "off" && mode.kind === "read-only") {
    log.info("certificates: off, since a bundle has no place for requests and chains");
  } else if (settings.acme.kind !== "off") {
    const { startProvisioner } = await import("./serve_acme.ts");
    const started = await startProvisioner(settings.acme, {
      dir,
      state,
      primary,
      served,
      dns: dns.addresses[0],
    });
    provisioner = started;
    undo.push(() => started.stop());
  }

  // To read a zone takes as much memory again.
  garbage.dropped(octetsOf(served.values()));
  const running: RunningNote = {
    pid: Deno.pid,
    since: Date.now(),
    dns: dns.addresses.map(formatHostPort),
    ssh: git === undefined ? "off" : formatHostPort(git.address),
    web: web === undefined ? "off" : `http://${formatHostPort(web.address)}`,
    gitDaemon: gitDaemon?.url,
    gitHttp: gitHttp?.url,
  };
  note(notes, "running", running);
  const { dns: addresses, ssh, web: page } = running;
  console.log(`ready dns=${addresses.join(",")} ssh=${ssh} web=${page} zones=${primary.zones().length}`);
  if (mode.kind !== "read-only") {
    const collector = startCollector({ collections, notes, primary, now: Date.now, wait: waitFor });
    undo.push(() => collector.stop());
  }
  return (next) => {
    live = takeOver(next);
    startLog(next.logLevel);
    dns.reconfigure(next.service);
  };
}

/** The settings that can change, checked. @throws {CliError} for a key or a name that is none */
function takeOver({ keys, provisioners }: LiveSettings) {
  return {
    keys: [...keys].map(([name, key]) => configuredKey(name, key)),
    provisioners: provisioners.map(keyName),
  };
}

function readConfig(path: string, parseConfig: (text: string, path: string) => Config): Config {
  const file = userPath(path);
  let text: string;
  try {
    text = Deno.readTextFileSync(file);
  } catch (error) {
    throw new CliError(`--config: ${file} cannot be read: ${sentence(error)}`);
  }
  return parseConfig(text, path);
}

/** A repository that cannot be read is fetched again, where there is somewhere to fetch it from. @throws {CliError} */
async function openHealed(upstream: Upstream | undefined, open: () => Promise<Primary>): Promise<Primary> {
  try {
    return await open();
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    if (upstream === undefined) {
      throw new CliError(
        `${error.message}; restore the repository from a backup, or copy the packs of a whole clone into its objects/pack`,
      );
    }
    log.error(`the repository cannot be read: ${error.message}`);
    const healed = await upstream.heal();
    if (!healed.ok) {
      throw new CliError(`${error.message}; and it cannot be fetched again: ${healed.error.message}`);
    }
    return await open().catch((again) => {
      throw again instanceof StoreError
        ? new CliError(`${again.message}; it was fetched again, and the upstream has it not`)
        : again;
    });
  }
}

/** The primary publishes what changed; the board takes the whole set. Gives the octets that are needed no more. */
function publishChanged(
  served: Map<Name, Zone>,
  board: ImageBoard,
  changed: readonly PublishedZone[],
): number {
  for (const { origin, zone } of changed) {
    if (zone === undefined) served.delete(origin);
    else served.set(origin, zone);
  }
  return board.publish(served.values());
}

function octetsOf(zones: Iterable<Zone>): number {
  let octets = 0;
  for (const { image } of zones) octets += image.bytes.byteLength;
  return octets;
}

/** The policy of certificate requests, as the primary asks for it. */
function certificateJudge(
  provisioners: () => readonly Name[],
  provisioner: () => Provisioner | undefined,
): Judge {
  return async (operations, key, view) => {
    const right = keyRight(key);
    if (right === undefined || !covers(right, "update", right.zone)) {
      return { ok: false, rcode: RCODE.REFUSED, reason: `${key} may not update` };
    }
    if (!operations.some((operation) => isForPrograms(ownerOf(operation)))) {
      return { ok: true, operations: [...operations] };
    }
    const { createUpdateJudge } = await import("../acme/mod.ts");
    const judge = createUpdateJudge({
      provisioners: provisioners(),
      presented: (owner, rdata) => provisioner()?.presented(owner, rdata) ?? false,
    });
    const verdict = judge(operations, { name: key, right }, (owner, type) => view.rrset(owner, type));
    return verdict.ok ? verdict : { ok: false, rcode: verdict.rcode, reason: verdict.reason };
  };
}

/** Requests, challenges and what else the policy is about stand at names with such a label (RFC 8552); most do not. */
function isForPrograms(owner: Name): boolean {
  return owner.startsWith("_") || owner.includes("._");
}

function ownerOf(operation: UpdateOperation): Name {
  return operation.kind === "add" ? operation.record.owner : operation.owner;
}

function configuredKey(name: string, { algorithm, secret }: { algorithm: string; secret: string }): TsigKey {
  const parsed = parseKeyArgument(`${name}:${algorithm.replace(/^hmac-/i, "")}:${secret}`);
  if (!parsed.ok) throw new CliError(`keys.${name}: ${parsed.error.message}`);
  return parsed.value;
}

function keyName(text: string): Name {
  try {
    return nameFrom(text);
  } catch (error) {
    throw new CliError(`acme.provisioners: ${sentence(error)}`);
  }
}

function shown(primary: Primary) {
  return primary.zones().map((zone) => ({
    name: zone.name === "." ? "." : zone.name.slice(0, -1),
    serial: zone.state === "broken" ? undefined : zone.serial,
    main: zone.main,
    machine: zone.machine,
    remarks: [
      ...zone.faults.filter((fault) => fault.severity === "error").map(faultLine),
      ...zone.heldBack.map((held) => `held back: ${JSON.stringify(held)}`),
    ],
  }));
}

function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) Deno.addSignalListener(signal, () => resolve());
  });
}
