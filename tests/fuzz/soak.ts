/**
 * Clients that change zones in every way at once, a server that is killed at random moments, and the book of what was
 * acknowledged, against which each new life of the server is held.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { createAsker } from "./ask.ts";
import { commandUntil, nsupdateUntil, runUntil, startAndKill } from "./life.ts";
import { between, pick, type Random, seeded } from "./seeded.ts";
import { gitEnvironment, type RunningServer, serverIn } from "../tools/server.ts";
import { run } from "../tools/real.ts";

export interface SoakOptions {
  /** An empty folder: the data folder, clones and certificates go below it. */
  readonly dir: string;
  readonly seed: number;
  readonly seconds: number;
  readonly say: (line: string) => void;
}

export interface SoakSummary {
  readonly lives: number;
  readonly acknowledged: number;
  readonly refused: number;
  /** Changes under way when the server was killed, that turned out to be there, or not. */
  readonly survived: number;
  readonly lost: number;
  readonly certificates: number;
  /** The longest that an answered UDP question waited, in milliseconds. */
  readonly longestMs: number;
}

interface Fact {
  readonly name: string;
  readonly type: "A" | "TXT";
  readonly data: string;
}

/** One change as a client asked for it. All of it happens or nothing. */
interface Change {
  readonly kind: "push" | "add" | "remove";
  readonly zones: readonly string[];
  readonly facts: readonly Fact[];
}

const ZONES = ["z0.test", "z1.test", "z2.test", "z3.test"];
/** Certificates have their own zone: how often the provisioner changes it is its own affair. */
const CERTIFICATES = "c.test";
const PUSHERS = 3;
const UPDATERS = 3;

/** @throws {AssertionError} naming what was acknowledged and is not so, with the seed */
export async function soak(options: SoakOptions): Promise<SoakSummary> {
  const { dir, say } = options;
  const random = seeded(options.seed);
  const world = await makeWorld(dir);
  const args = ["--zones", `${dir}/zones`];
  const until = Date.now() + options.seconds * 1000;
  let lives = 0;

  // A first start is killed too: whatever it had made, a later one finishes.
  for (let times = between(random, 1, 2); times > 0; times--) {
    await startAndKill(dir, args, between(random, 50, 700));
  }
  try {
    do {
      while (random() < 0.3) await startAndKill(dir, args, between(random, 0, 300));
      const server = await serverIn(dir, args);
      lives++;
      try {
        await world.check(server);
        const load = world.load(server, random);
        await pause(between(random, 200, 3000));
        const killed = server.kill();
        await load.end();
        await killed;
      } catch (error) {
        await killAnyway(server);
        throw error;
      }
      say(`life ${lives}: ${JSON.stringify(world.summary())}`);
    } while (Date.now() < until);

    // The same again without a change between: the same content under the same serials.
    for (let times = 0; times < 2; times++) {
      const server = await serverIn(dir, args);
      await world.check(server);
      equal(await server.stop(), 0);
    }
    return { ...world.summary(), lives };
  } catch (error) {
    throw new Error(
      `seed ${options.seed}, life ${lives}: ${error instanceof Error ? error.message : error}`,
      {
        cause: error,
      },
    );
  } finally {
    world.close();
  }
}

async function makeWorld(dir: string) {
  await Deno.mkdir(`${dir}/zones`);
  for (const zone of [...ZONES, CERTIFICATES]) {
    const head =
      `$TTL 60\n@ SOA ns1.${zone}. host.${zone}. 1 3600 900 604800 60\n@ NS ns1\nns1 A 127.0.0.1\n`;
    await Deno.writeTextFile(`${dir}/zones/${zone}.zone`, head);
  }
  const data = `${dir}/.bailiwick`;
  const repository = `${data}/zones.git`;
  const adminKey = `${data}/keys/admin.key`;
  const asker = createAsker();

  /** What must be served, and what must not. */
  const known = new Map<Fact, boolean>();
  /** Changes that happened to each zone: its serial began at 1 and rose by one for each. */
  const happened = new Map(ZONES.map((zone) => [zone, 0]));
  const unknown = new Set<Change>();
  const busy = new Set<Fact>();
  const lastSerial = new Map<string, number>();
  const issued = new Map<string, string>();
  const failures: unknown[] = [];
  const counts = { acknowledged: 0, refused: 0, survived: 0, lost: 0, certificates: 0, longestMs: 0 };
  let number = 0;

  function settle(change: Change, happens: boolean): void {
    for (const fact of change.facts) {
      if (happens) known.set(fact, change.kind !== "remove");
      else if (change.kind !== "remove") known.set(fact, false);
      busy.delete(fact);
    }
    if (happens) { for (const zone of change.zones) happened.set(zone, (happened.get(zone) ?? 0) + 1); }
    unknown.delete(change);
  }

  // --- the clients ---------------------------------------------------------------------------------------------

  async function push(
    server: RunningServer,
    random: Random,
    who: number,
    killed: AbortSignal,
  ): Promise<void> {
    const clone = `${dir}/clone${who}`;
    const git = (...args: string[]) =>
      runUntil(killed, "git", args, { cwd: clone, env: { ...gitEnvironment(data), HOME: dir } });
    if (!await isFolder(`${clone}/.git`)) {
      await Deno.mkdir(clone, { recursive: true });
      await run("git", ["init", "-q", "-b", "main"], { cwd: clone });
    }
    // Killed git processes leave their own locks in their own clones.
    await Deno.remove(`${clone}/.git/index.lock`).catch(ignoreAbsent);
    await Deno.remove(`${clone}/.git/HEAD.lock`).catch(ignoreAbsent);
    await Deno.remove(`${clone}/.git/refs/heads/main.lock`).catch(ignoreAbsent);
    const fetched = await git("fetch", "-q", `ssh://git@${server.ssh}/zones.git`, "main");
    if (fetched === undefined) return;
    equal(fetched.code, 0, `fetch: ${fetched.stderr}`);
    await run("git", ["reset", "-q", "--hard", "FETCH_HEAD"], { cwd: clone });

    const zones = random() < 0.5 ? [ZONES[0], ZONES[who]] : [pick(random, ZONES)];
    const facts = zones.map((zone): Fact => {
      const id = number++;
      return { name: `p${id}.${zone}`, type: "A", data: `10.${id >> 16}.${id >> 8 & 255}.${id & 255}` };
    });
    for (const [at, zone] of zones.entries()) {
      const line = `${facts[at].name}. A ${facts[at].data}\n`;
      await Deno.writeTextFile(`${clone}/${zone}.zone`, line, { append: true });
    }
    await run("git", ["commit", "-qam", facts.map((fact) => fact.name).join(" ")], { cwd: clone });
    const change: Change = { kind: "push", zones, facts };
    unknown.add(change);
    const pushed = await git("push", "-q", `ssh://git@${server.ssh}/zones.git`, "HEAD:refs/heads/main");
    if (pushed === undefined) return;
    if (pushed.code === 0) {
      counts.acknowledged++;
      return settle(change, true);
    }
    if (/\[(remote )?rejected\]/.test(pushed.stderr)) {
      counts.refused++;
      return settle(change, false);
    }
    // The connection broke: that is only right when the server was killed, which the caller knows in a moment.
    await pause(50);
    ok(killed.aborted, `a push ended without an answer: ${pushed.stderr}`);
  }

  async function update(server: RunningServer, random: Random, killed: AbortSignal): Promise<void> {
    const old = [...known].filter(([fact, there]) => there && fact.type === "TXT" && !busy.has(fact));
    const change: Change = old.length > 5 && random() < 0.4
      ? removal(pick(random, old)[0])
      : addition(random() < 0.5 ? [pick(random, ZONES)] : [ZONES[0], ZONES[1]]);
    for (const fact of change.facts) busy.add(fact);
    unknown.add(change);
    const lines = change.facts.map(({ name, data }) =>
      change.kind === "add" ? `add ${name}. 60 TXT "${data}"` : `delete ${name}. TXT "${data}"`
    );
    const zone = change.zones.length === 1 ? change.zones[0] : "test";
    const done = await nsupdateUntil(killed, server.dns, adminKey, zone, lines);
    if (done === undefined) return;
    if (done.code === 0) {
      counts.acknowledged++;
      return settle(change, true);
    }
    await pause(50);
    ok(killed.aborted, `nsupdate of ${lines.join("; ")} was refused: ${done.stderr}`);
  }

  function addition(zones: readonly string[]): Change {
    const id = number++;
    const facts = zones.map((zone): Fact => ({
      name: `_acme-challenge.u${id}.${zone}`,
      type: "TXT",
      data: `token ${id}`,
    }));
    return { kind: "add", zones, facts };
  }

  function removal(fact: Fact): Change {
    return { kind: "remove", zones: ZONES.filter((zone) => fact.name.endsWith(zone)), facts: [fact] };
  }

  async function certify(server: RunningServer, killed: AbortSignal): Promise<void> {
    const host = `h${number++}.${CERTIFICATES}`;
    const done = await commandUntil(killed, dir, "certify", [
      ...[host, "--server", server.dns, "--key-file", adminKey],
      ...["--out", "certs", "--timeout", "60"],
    ]);
    if (done === undefined) return;
    if (done.code !== 0) {
      await pause(50);
      ok(killed.aborted, `certify ${host}: ${done.stderr}`);
      return;
    }
    counts.certificates++;
    const pem = await Deno.readTextFile(`${dir}/certs/${host}.pem`);
    issued.set(host, pem.split("-----")[2].replace(/\s/g, ""));
  }

  /** Asks for serials all the time: none may ever fall, and an answer always comes. */
  async function watch(server: RunningServer, killed: AbortSignal): Promise<void> {
    while (!killed.aborted) {
      for (const zone of [...ZONES, CERTIFICATES]) {
        const answer = await asker.ask(server.dns, zone, "SOA");
        if (killed.aborted) return;
        ok(answer !== undefined, `no answer for ${zone} while the server is loaded`);
        notFallen(zone, Number(answer[0]));
      }
      await pause(10);
    }
  }

  function notFallen(zone: string, serial: number): void {
    const last = lastSerial.get(zone) ?? 0;
    ok(serial >= last, `the serial of ${zone} fell from ${last} to ${serial}`);
    lastSerial.set(zone, serial);
  }

  function load(server: RunningServer, random: Random): { end(): Promise<void> } {
    const killing = new AbortController();
    const { signal } = killing;
    const forever = async (task: () => Promise<void>) => {
      try {
        while (!signal.aborted) await task();
      } catch (error) {
        if (!signal.aborted) {
          console.error(`${error instanceof Error ? error.message : error}\n${server.log()}`);
        }
        failures.push(error);
      }
    };
    // Each client draws from numbers of its own, so that their order does not matter to the others.
    const own = () => seeded(Math.floor(random() * 2 ** 31));
    const clients: Promise<void>[] = [
      forever(() => watch(server, signal)),
      forever(() => certify(server, signal)),
    ];
    for (let who = 0; who < PUSHERS; who++) {
      const numbers = own();
      clients.push(forever(() => push(server, numbers, who + 1, signal)));
    }
    for (let who = 0; who < UPDATERS; who++) {
      const numbers = own();
      clients.push(forever(() => update(server, numbers, signal)));
    }
    return {
      async end() {
        killing.abort();
        await Promise.all(clients);
        if (failures.length > 0) throw failures[0];
      },
    };
  }

  // --- what a new life must show -------------------------------------------------------------------------------

  async function check(server: RunningServer): Promise<void> {
    for (const change of [...unknown]) {
      const there = await Promise.all(change.facts.map((fact) => isServed(server, fact)));
      ok(there.every((each) => each === there[0]), `half applied: ${JSON.stringify(change)} is ${there}`);
      const happens = change.kind === "remove" ? !there[0] : there[0];
      if (happens) counts.survived++;
      else counts.lost++;
      settle(change, happens);
    }
    for (const batch of batches([...known], 50)) {
      await Promise.all(batch.map(async ([fact, there]) => {
        equal(await isServed(server, fact), there, `${fact.name} ${fact.type} "${fact.data}", served or not`);
      }));
    }
    for (const zone of ZONES) {
      const answer = await asker.ask(server.dns, zone, "SOA");
      const serial = Number(answer?.[0]);
      equal(serial, 1 + (happened.get(zone) ?? 0), `the serial of ${zone}, one for each change`);
      notFallen(zone, serial);
    }
    for (const [host, leaf] of issued) {
      const name = `_letsencrypt._tcp.${host}`;
      const answer = await run("dig", digArguments(server, name));
      ok(
        answer.stdout.replace(/[" ]/g, "").includes(leaf),
        `the chain of ${host} is served: ${answer.stdout}`,
      );
    }
    // The provisioner may be at work on what the last life left it: what must hold, holds between its changes.
    await soon(() => sameAsRefs(server));
    await soon(noLitter);
    await soon(soundRepository);
    counts.longestMs = Math.max(counts.longestMs, Math.round(asker.longest()));
  }

  async function isServed(server: RunningServer, fact: Fact): Promise<boolean> {
    const answer = await asker.ask(server.dns, fact.name, fact.type);
    ok(answer !== undefined, `no answer for ${fact.name}`);
    return answer.includes(fact.data);
  }

  async function sameAsRefs(server: RunningServer): Promise<void> {
    const response = await fetch(`${server.web}/healthz`);
    equal(response.status, 200);
    const { zones } = await response.json();
    const commit = async (branch: string) =>
      (await run("git", ["-C", repository, "rev-parse", "-q", "--verify", `refs/heads/${branch}`], {
        check: false,
      })).stdout.trim();
    const [main, machine] = [await commit("main"), await commit("machine")];
    equal(zones.length, ZONES.length + 1);
    for (const zone of zones) deepEqual([zone.main, zone.machine ?? ""], [main, machine], zone.name);
  }

  async function soundRepository(): Promise<void> {
    const checked = await run("git", ["-C", repository, "fsck", "--strict", "--full", "--no-dangling"], {
      check: false,
    });
    equal(checked.stderr.replace(/^notice: .*\n/gm, ""), "", "git fsck");
    equal(checked.code, 0, checked.stdout);
  }

  async function noLitter(): Promise<void> {
    const litter: string[] = [];
    for await (const path of filesBelow(repository)) {
      if (/\.lock$|\/tmp_|\.tmp$/.test(path)) litter.push(path);
    }
    deepEqual(litter, []);
  }

  return { check, load, summary: () => ({ ...counts }), close: () => asker.close() };
}

/** Tries again for a while; the last failure is the outcome. */
async function soon(check: () => Promise<void>): Promise<void> {
  for (let tries = 1;; tries++) {
    try {
      return await check();
    } catch (error) {
      if (tries === 100) throw error;
      await pause(30);
    }
  }
}

async function killAnyway(server: RunningServer): Promise<void> {
  try {
    await server.kill();
  } catch (error) {
    // It was killed already.
    if (!(error instanceof TypeError)) throw error;
  }
}

function digArguments(server: RunningServer, name: string): string[] {
  const [host, port] = server.dns.split(":");
  return [`@${host}`, "-p", port, "+tcp", "+short", "+tries=1", name, "TXT"];
}

async function* filesBelow(folder: string): AsyncIterable<string> {
  for await (const entry of Deno.readDir(folder)) {
    const path = `${folder}/${entry.name}`;
    yield path;
    if (entry.isDirectory) yield* filesBelow(path);
  }
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isDirectory;
  } catch (error) {
    ignoreAbsent(error);
    return false;
  }
}

function ignoreAbsent(error: unknown): void {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}

function* batches<T>(all: readonly T[], size: number): Iterable<readonly T[]> {
  for (let at = 0; at < all.length; at += size) yield all.slice(at, at + size);
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
