/** Where the zones come from: the embedded repository, made and filled on the first start; one that follows a remote; a bundle. */
import {
  checkFiles,
  completePending,
  faultLine,
  type Primary,
  type PrimaryMode,
  type Seeded,
  seedRepository,
  type Signing,
  type State,
} from "../primary/mod.ts";
import {
  bundleRepository,
  initRepository,
  openBundle,
  type PackDamage,
  type Repository,
  StoreError,
} from "../store/mod.ts";
import { type DataDir, exists } from "./data_dir.ts";
import { CliError, sentence } from "./errors.ts";
import { logOf } from "./log.ts";
import type { ServeSettings } from "./settings.ts";

const log = logOf("serve");

/** @throws {CliError} after every fault of the zones was listed */
export async function openZones(
  settings: ServeSettings,
  dir: DataDir,
  options: ZonesOptions,
): Promise<OpenedZones> {
  if (settings.bundle === undefined) return await openEmbedded(settings, dir, options);
  return { repository: await openFromBundle(settings.bundle, dir, options), seeded: undefined };
}

export interface OpenedZones {
  readonly repository: Repository;
  /** What a first start made of the zones folder. */
  readonly seeded: Seeded | undefined;
}

export interface ZonesOptions {
  /** Signs the first commit; judges a bundle's. */
  readonly signing: Signing;
  /** Told once of each pack that is found broken. */
  readonly onDamage: (damage: PackDamage) => void;
}

export function modeOf(settings: ServeSettings): PrimaryMode {
  if (settings.bundle !== undefined) return { kind: "read-only", reason: bundleReason(settings.bundle) };
  return settings.remote === undefined
    ? { kind: "embedded" }
    : { kind: "remote", upstream: settings.remote.url };
}

/** What pushers and updaters are told. */
function bundleReason(path: string): string {
  return `zones are served from the bundle ${path}, which is read-only; make a new bundle`;
}

async function openEmbedded(
  settings: ServeSettings,
  dir: DataDir,
  { signing, onDamage }: ZonesOptions,
): Promise<OpenedZones> {
  // Also where the folder is there: a start that was killed while it made the repository is taken up again.
  const repository = await initRepository(dir.repository, { head: "refs/heads/main", owner: true, onDamage });
  if (settings.remote !== undefined) return { repository, seeded: undefined };
  if (await repository.refs.get("refs/heads/main") !== undefined) {
    const named = settings.zonesNamed ? "--zones is ignored" : `the folder ${settings.zones} is not read`;
    log.info(`serving what ${dir.repository} holds; ${named}`);
    return { repository, seeded: undefined };
  }
  const seeded = await seedRepository({
    repository,
    folder: settings.zones,
    clock: Date.now,
    sign: signing.sign,
  }).catch(
    (error) => {
      if (
        error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory ||
        error instanceof Deno.errors.PermissionDenied
      ) {
        throw new CliError(`the zones folder ${settings.zones} cannot be read: ${sentence(error)}`);
      }
      throw error;
    },
  );
  if (!seeded.ok) {
    for (const fault of seeded.error) console.error(faultLine(fault));
    throw new CliError(`${settings.zones} has faults; nothing was started`);
  }
  for (const warning of seeded.value.warnings) log.warn(faultLine(warning));
  log.info(`${seeded.value.zones} zones of ${settings.zones} are the first commit`);
  return { repository, seeded: seeded.value };
}

async function openFromBundle(path: string, dir: DataDir, { signing }: ZonesOptions): Promise<Repository> {
  const bundle = await openBundle(path).catch((error) => {
    throw error instanceof StoreError ? new CliError(error.message) : error;
  });
  const move = { old: undefined, new: bundle.commit, shallow: new Set([bundle.commit]) };
  const signed = await signing.judge?.(bundle, move);
  if (signed?.ok === false) {
    bundle.close();
    throw new CliError(`${path}: ${signed.error.message}`);
  }
  const { faults, zones } = await checkFiles({ objects: bundle, commit: bundle.commit });
  if (faults.some(({ severity }) => severity === "error")) {
    bundle.close();
    for (const fault of faults) console.error(faultLine(fault));
    throw new CliError(`${path} has faults; nothing was started`);
  }
  for (const warning of faults) log.warn(faultLine(warning));
  log.info(`serving the ${zones.length} zones of ${path}, commit ${bundle.commit}; it takes no changes`);
  if (exists(dir.repository)) log.info(`${dir.repository} is left as it is and not served`);
  return bundleRepository(bundle);
}

/**
 * What the last run of an embedded repository left under way is completed there, before a bundle is served in its stead:
 * the serials that it promised stand in the database that both use.
 */
export async function completeEmbedded(dir: DataDir, state: State): Promise<void> {
  if (state.pending().length === 0 || !exists(dir.repository)) return;
  const repository = await initRepository(dir.repository, { head: "refs/heads/main", owner: true });
  try {
    for (const line of await completePending(repository, state)) log.warn(line);
  } finally {
    repository.close();
  }
}

/**
 * A zone can be good in itself and yet not be served after what was served before (a pre-signed one under an old serial).
 * @throws {CliError} after every fault was listed
 */
export function refuseFaultyBundle(path: string, primary: Primary): void {
  const faulty = primary.zones().filter(({ state }) => state !== "good");
  if (faulty.length === 0) return;
  for (const { faults } of faulty) for (const fault of faults) console.error(faultLine(fault));
  throw new CliError(`${path} has faults; nothing was started`);
}
