/** Servers to fetch from in tests, and the same fetch by git beside ours. */
import { deepEqual, ok } from "node:assert/strict";
import { memoryPair } from "../../../conduit/mod.ts";
import { fetchFrom, initRepository, serveUploadPack } from "../../../store/mod.ts";
import type {
  FetchOptions,
  FetchOutcome,
  FetchRepository,
  Oid,
  OpenService,
  ProtocolVersion,
  Repository,
} from "../../../store/mod.ts";
import { run } from "../../tools/real.ts";
import { fsck, programFlow } from "./git_server.ts";

export const LIMITS = {
  packBytes: 1 << 28,
  objectBytes: 1 << 26,
  objects: 1e6,
  deltaDepth: 4096,
  deltaWork: 1 << 30,
};

export interface Remote {
  readonly open: OpenService;
  /** Everything that was started has ended. */
  ended(): Promise<void>;
}

/** git's own upload-pack. */
export function gitRemote(path: string, config: readonly string[] = []): Remote {
  const running: Promise<void>[] = [];
  return {
    open(service, version) {
      const env: Record<string, string> = version === 0 ? {} : { GIT_PROTOCOL: `version=${version}` };
      const words = [...config.flatMap((item) => ["-c", item]), service.slice(4), path];
      const { flow, ended } = programFlow("git", words, env);
      running.push(ended);
      return Promise.resolve({ ok: true, value: flow });
    },
    ended: async () => void await Promise.all(running),
  };
}

/** Ours, in this process. */
export function ownRemote(path: string): Remote {
  const running: Promise<void>[] = [];
  return {
    open(_service, version) {
      const [near, far] = memoryPair();
      running.push((async () => {
        const repository = await initRepository(path);
        try {
          const outcome = await serveUploadPack({ repository, flow: far, version });
          if (!outcome.ok && outcome.error.code !== "unreachable") throw outcome.error;
        } finally {
          repository.close();
          far.close();
        }
      })());
      return Promise.resolve({ ok: true, value: near });
    },
    ended: async () => void await Promise.all(running),
  };
}

export const REMOTES = [["git", gitRemote], ["our own server", ownRemote]] as const;

export function fetchOptions(
  repository: FetchRepository,
  open: OpenService,
  version: ProtocolVersion,
  more: Partial<FetchOptions> = {},
): FetchOptions {
  return {
    open,
    repository,
    refPrefixes: ["refs/heads/"],
    version,
    limits: LIMITS,
    want: (refs) => [...refs.values()],
    ...more,
  };
}

/** Fetches all branches, and moves ours to where theirs are. */
export async function follow(
  repository: Repository,
  open: OpenService,
  version: ProtocolVersion,
  more: Partial<FetchOptions> = {},
): Promise<FetchOutcome> {
  const outcome = await fetchFrom(fetchOptions(repository, open, version, more));
  if (!outcome.ok) throw outcome.error;
  await moveAll(repository, outcome.value);
  return outcome.value;
}

export async function moveAll(repository: Repository, { refs }: FetchOutcome): Promise<void> {
  for (const [name, oid] of refs) {
    const moved = await repository.refs.move({ name, old: await repository.refs.get(name), new: oid });
    ok(moved.ok, moved.ok ? "" : moved.error.message);
  }
}

/** The history that refs reach, and where it ends: of ours and of git's after the same fetch the same. */
export async function assertSameHistory(ours: string, gits: string): Promise<void> {
  deepEqual(await history(ours), await history(gits));
  deepEqual(await marksOf(ours), await marksOf(gits));
  await fsck(ours);
}

/** What git finds of commits and of all objects. */
export async function history(path: string): Promise<{ commits: string[]; objects: string[] }> {
  const list = async (...args: string[]) => {
    const { stdout } = await run("git", ["rev-list", ...args, "--branches"], { cwd: path });
    return stdout.trim().split("\n").map((line) => line.slice(0, 40)).sort();
  };
  return { commits: await list(), objects: await list("--objects") };
}

/** What the `shallow` file holds: of commits that are there. */
export async function marksOf(path: string): Promise<string[]> {
  try {
    return (await Deno.readTextFile(`${path}/shallow`)).trim().split("\n").sort();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

export async function withRepository<T>(
  path: string,
  use: (repository: Repository) => Promise<T>,
): Promise<T> {
  const repository = await initRepository(path);
  try {
    return await use(repository);
  } finally {
    repository.close();
    for await (const entry of Deno.readDir(`${repository.path}/objects`)) {
      ok(!entry.name.startsWith("tmp_"), entry.name);
    }
  }
}

export async function tipOf(repository: Repository, name = "refs/heads/main"): Promise<Oid> {
  const oid = await repository.refs.get(name);
  if (oid === undefined) throw new Error(`no ${name}`);
  return oid;
}
