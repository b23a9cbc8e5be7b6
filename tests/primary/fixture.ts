import { deepEqual, equal } from "node:assert/strict";
import {
  CLASS,
  type Name,
  nameFrom,
  parseName,
  rdataFromText,
  recordToText,
  type ResourceRecord,
  typeFromName,
  type UpdateOperation,
  type Zone,
} from "../../dns/mod.ts";
import {
  type CommitStep,
  type Judge,
  openPrimary,
  openState,
  type Primary,
  type PrimaryMode,
  type PrimaryOptions,
  putDatabaseAside,
  type ServedChange,
  type Signing,
  type State,
} from "../../primary/mod.ts";
import { initRepository, type Oid, type PushReply, type Repository } from "../../store/mod.ts";
import { run } from "../tools/real.ts";

/** A primary over a real repository in a folder, with everything it says and publishes kept. */
export interface Fixture {
  readonly primary: Primary;
  readonly repository: Repository;
  readonly state: State;
  /** What is answered from, as published. */
  readonly image: Map<Name, Zone>;
  readonly log: string[];
  readonly changes: ServedChange[];
  close(): Promise<void>;
}

export interface FixtureOptions {
  readonly mode?: PrimaryMode;
  readonly judge?: Judge;
  readonly signing?: Signing;
  readonly seeded?: PrimaryOptions["seeded"];
  /** The process "dies" when this step is reached for the `nth` time: state is gone and nothing goes on. */
  readonly dieAt?: { readonly step: CommitStep; readonly nth: number };
}

export class Death extends Error {}

export const KEY = nameFrom("admin._update.");

export async function openFixture(dir: string, options: FixtureOptions = {}): Promise<Fixture> {
  const repository = await initRepository(`${dir}/zones.git`, { owner: true });
  const log: string[] = [];
  const state = openState({
    path: `${dir}/state.db`,
    putAside: (path) => putDatabaseAside(path, "1"),
    report: (message) => log.push(message),
  });
  const image = new Map<Name, Zone>();
  const changes: ServedChange[] = [];
  let seen = 0;
  const primary = await openPrimary({
    repository,
    state,
    publish: (zones) => {
      for (const { origin, zone } of zones) {
        if (zone === undefined) image.delete(origin);
        else image.set(origin, zone);
      }
    },
    judge: options.judge ?? ((operations) => ({ ok: true, operations })),
    signing: options.signing,
    seeded: options.seeded,
    clock: () => 1_700_000_000_000,
    log: {
      info: (message) => log.push(message),
      warn: (message) => log.push(message),
      error: (message) => log.push(message),
    },
    mode: options.mode ?? { kind: "embedded" },
    crashPoint: (step) => {
      if (options.dieAt === undefined || step !== options.dieAt.step) return;
      if (++seen < options.dieAt.nth) return;
      state.close();
      throw new Death(step);
    },
  });
  primary.subscribe((each) => changes.push(...each));
  return {
    primary,
    repository,
    state,
    image,
    log,
    changes,
    close: async () => {
      await primary.close();
      try {
        state.close();
      } catch (error) {
        // A fixture that died has closed it.
        if (options.dieAt === undefined) throw error;
      }
      repository.close();
    },
  };
}

export interface Push {
  readonly reply: PushReply;
  readonly said: string[];
  readonly commit: Oid;
}

/** Commits files (`undefined` deletes) on top of what a ref has, with git, and proposes that as a push. */
export async function push(
  fixture: Fixture,
  files: Record<string, string | undefined>,
  options: { ref?: string; old?: Oid | undefined; base?: Oid | "none" } = {},
): Promise<Push> {
  const ref = options.ref ?? "refs/heads/main";
  const old = "old" in options ? options.old : await fixture.repository.refs.get(ref);
  const base = options.base === "none" ? undefined : options.base ?? old;
  const commit = await commitWithGit(fixture.repository.path, files, base);
  const said: string[] = [];
  const reply = await fixture.primary.admitPush({
    moves: [{ name: ref, old, new: commit }],
    objects: fixture.repository,
    pushOptions: [],
    migrate: () => Promise.resolve(),
    say: (text) => {
      said.push(text);
      return Promise.resolve();
    },
  }, "tester");
  return { reply, said, commit };
}

/** Makes a commit with git's own plumbing; no ref is moved. */
export async function commitWithGit(
  repository: string,
  files: Record<string, string | undefined>,
  parent: Oid | undefined,
): Promise<Oid> {
  const index = await Deno.makeTempFile();
  await Deno.remove(index);
  const env = { GIT_INDEX_FILE: index };
  const git = async (args: string[], stdin?: string) =>
    (await run("git", ["-C", repository, ...args], stdin === undefined ? { env } : { env, stdin })).stdout
      .trim();
  try {
    if (parent !== undefined) await git(["read-tree", parent]);
    for (const [path, content] of Object.entries(files)) {
      if (content === undefined) {
        await git(["rm", "--cached", "-q", path]);
      } else if (content.startsWith("link:")) {
        const blob = await git(["hash-object", "-w", "--stdin"], content.slice(5));
        await git(["update-index", "--add", "--cacheinfo", `120000,${blob},${path}`]);
      } else {
        const blob = await git(["hash-object", "-w", "--stdin"], content);
        await git(["update-index", "--add", "--cacheinfo", `100644,${blob},${path}`]);
      }
    }
    const tree = await git(["write-tree"]);
    const parents = parent === undefined ? [] : ["-p", parent];
    return await git(["commit-tree", tree, ...parents, "-m", "A change"]) as Oid;
  } finally {
    await Deno.remove(index).catch((error) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    });
  }
}

/** A zone file with a name server, and what else is given. */
export function zoneText(serial: number, ...lines: string[]): string {
  return [
    "$TTL 300",
    `@ IN SOA ns1 hostmaster ${serial} 3600 600 86400 300`,
    "@ NS ns1",
    "ns1 A 192.0.2.1",
    ...lines,
    "",
  ].join("\n");
}

/** Every push or update must leave a repository that git finds sound. */
export async function assertSound(dir: string): Promise<void> {
  const outcome = await run("git", ["-C", `${dir}/zones.git`, "fsck", "--strict", "--full", "--no-dangling"]);
  equal(outcome.stdout + outcome.stderr.replace(/^notice: .*\n/gm, ""), "");
}

export function accepted(push: Push): void {
  deepEqual([...push.reply.results.values()], [{ ok: true }], push.said.join(""));
}

export function reasons(push: Push): string[] {
  return [...push.reply.results.values()].map((result) => result.ok ? "ok" : result.reason);
}

/** Records served at a name, as text. */
export function served(fixture: Fixture, zone: string, owner: string): string[] {
  const sets = fixture.image.get(nameFrom(zone))?.rrsets(nameFrom(owner)) ?? [];
  return sets.flatMap((set) =>
    set.rdatas.map((rdata) =>
      recordToText({ owner: set.owner, type: set.type, class: CLASS.IN, ttl: set.ttl, rdata })
    )
  );
}

/** `www.example.test. 300 A 192.0.2.1`. */
export function record(text: string): ResourceRecord {
  const [owner, ttl, type, ...rest] = text.split(" ");
  const number = typeFromName(type);
  if (number === undefined) throw new Error(`no type ${type}`);
  const rdata = rdataFromText(number, rest.join(" "));
  if (!rdata.ok) throw new Error(rdata.error.message);
  return { owner: named(owner), type: number, class: CLASS.IN, ttl: Number(ttl), rdata: rdata.value };
}

export function add(text: string): UpdateOperation {
  return { kind: "add", record: record(text) };
}

export function remove(text: string): UpdateOperation {
  const { owner, type, rdata } = record(text);
  return { kind: "delete-record", owner, type, rdata };
}

export function removeSet(owner: string, type: string): UpdateOperation {
  return { kind: "delete-rrset", owner: named(owner), type: typeFromName(type) ?? 0 };
}

export function named(text: string): Name {
  const parsed = parseName(text);
  if (!parsed.ok) throw new Error(parsed.error.message);
  return parsed.value;
}

export function update(fixture: Fixture, zone: string, ...operations: UpdateOperation[]) {
  return fixture.primary.update({ zone: named(zone), prerequisites: [], operations, key: KEY });
}

export function serialsOf(fixture: Fixture): Record<string, number> {
  return Object.fromEntries(fixture.primary.zones().map((zone) => [zone.name, zone.serial]));
}
