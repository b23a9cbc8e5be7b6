import { deepEqual, ok } from "node:assert/strict";
import {
  initRepositoryOn,
  memoryDevice,
  openRepositoryOn,
  runtimeTools,
  StoreError,
} from "../../store/mod.ts";
import type { Device, MemoryDevice } from "../../store/mod.ts";
import { realTest } from "../tools/real.ts";
import { live, makePushes, Memory, receive } from "./fault_scenario.ts";
import type { Push } from "./fault_scenario.ts";
import { Death, diesAt, faultyDevice, fullFrom } from "./faulty_device.ts";
import { assertGitAccepts } from "./git_fixture.ts";

realTest(
  "killed at any write of a push or a collection, every acknowledged ref is intact",
  { needs: ["git"] },
  async ({ dir }) => {
    const pushes = await makePushes(dir);
    const operations = await countOperations(pushes);
    ok(operations > 200, `${operations} operations`);
    const seen = new Set<string>();
    for (let at = 1; at <= operations; at++) {
      const { device, memory } = await lifeUntil(pushes, at);
      await assertIntact(device, memory, `killed at operation ${at}`);
      await assertGitAgrees(device, seen, `${dir}/z.git`);
    }
    ok(seen.size > 20);
  },
);

realTest(
  "when the power goes at any write, every acknowledged ref is intact",
  { needs: ["git"] },
  async ({ dir }) => {
    const pushes = await makePushes(dir);
    const operations = await countOperations(pushes);
    const seen = new Set<string>();
    for (let at = 1; at <= operations; at++) {
      const { device, memory } = await lifeUntil(pushes, at);
      const after = device.afterPowerLoss();
      await assertIntact(after, memory, `without power at operation ${at}`);
      await assertGitAgrees(after, seen, `${dir}/z.git`);
    }
  },
);

realTest(
  "a disk that is full at any write of a push: refused by name, nothing changed, nothing half there",
  { needs: ["git"] },
  async ({ dir }) => {
    const pushes = await makePushes(dir);
    const [first, second] = pushes;
    if (first === undefined || second === undefined) throw new Error("no pushes");
    for (const [push, before] of [[first, []], [second, [first]]] as const) {
      let refused = 0;
      for (let at = 1;; at++) {
        const device = memoryDevice();
        const memory = new Memory();
        const setUp = await initRepositoryOn(device, runtimeTools);
        for (const each of before) await receive(setUp, each, memory);
        setUp.close();
        const pathsBefore = new Set([...device.files()].map(({ path }) => path));
        const faults = fullFrom(at);
        const repository = await openRepositoryOn(faultyDevice(device, faults), runtimeTools);
        const refsBefore = await repository.refs.list();
        let failure: unknown;
        await receive(repository, push, { tried() {}, acknowledged() {} }).catch((error) => failure = error);
        if (failure === undefined) break;
        refused++;
        ok(failure instanceof StoreError && failure.code === "io", `operation ${at}: ${failure}`);
        ok(failure.message.includes("no space left"), failure.message);
        deepEqual(await repository.refs.list(), refsBefore);
        deepEqual(litter(device), [], `operation ${at}`);
        for (const { path } of device.files()) {
          // Of what arrived, whole objects may be there already: nothing refers to them, and a collection takes them.
          const object = /^objects\/([0-9a-f]{2}\/([0-9a-f]{38})?|pack\/pack-[0-9a-f]{40}\.(pack|idx))$/;
          ok(pathsBefore.has(path) || object.test(path), `operation ${at} left ${path}`);
        }
        deepEqual(await memory.faults(repository), []);
        // There is room again: the same push goes through.
        faults.makeRoom();
        await receive(repository, push, memory);
        deepEqual(await memory.faults(repository), []);
        repository.close();
      }
      ok(refused > 3, `${refused} refusals`);
    }
  },
);

realTest(
  "a disk that is full at any write of a collection: nothing lost",
  { needs: ["git"] },
  async ({ dir }) => {
    const pushes = await makePushes(dir);
    let failed = 0;
    for (let at = 1;; at++) {
      const device = memoryDevice();
      const memory = new Memory();
      const setUp = await initRepositoryOn(device, runtimeTools);
      for (const push of pushes) await receive(setUp, push, memory);
      setUp.close();
      const faults = fullFrom(at);
      const faulty = faultyDevice(device, faults);
      const repository = await openRepositoryOn(faulty, runtimeTools);
      const options = { graceMs: 0, now: Date.now() + 86_400_000, full: true };
      let failure: unknown;
      await repository.collect(options).catch((error) => failure = error);
      deepEqual(litter(device), [], `operation ${at}`);
      deepEqual(await memory.faults(repository), []);
      if (failure === undefined) break;
      failed++;
      ok(failure instanceof StoreError && failure.code === "io", `operation ${at}: ${failure}`);
      faults.makeRoom();
      await repository.collect(options);
      const endings = (await device.list("objects/pack")).map(({ name }) => name.slice(45)).sort();
      deepEqual(endings, [".bitmap", ".idx", ".pack"]);
      deepEqual(await memory.faults(repository), []);
      repository.close();
    }
    ok(failed > 3, `${failed} failures`);
  },
);

async function countOperations(pushes: readonly Push[]): Promise<number> {
  const device = faultyDevice(memoryDevice(), {});
  await live(device, pushes, new Memory());
  return device.operations;
}

/** A life that ends at an operation: what it leaves, and what its clients know. */
async function lifeUntil(
  pushes: readonly Push[],
  operation: number,
): Promise<{ device: MemoryDevice; memory: Memory }> {
  const device = memoryDevice();
  const memory = new Memory();
  let died = false;
  await live(faultyDevice(device, diesAt(operation)), pushes, memory).catch((error) => {
    died = true;
    for (let cause = error; !(cause instanceof Death); cause = cause.cause) {
      if (cause === undefined) throw error;
    }
  });
  ok(died, `nobody died at operation ${operation}`);
  return { device, memory };
}

/** A restart finds every ref where it was acknowledged, with all it leads to, and leaves no litter. */
async function assertIntact(device: Device & MemoryDevice, memory: Memory, when: string): Promise<void> {
  const repository = await initRepositoryOn(device, runtimeTools, { owner: true });
  deepEqual(await memory.faults(repository), [], when);
  deepEqual(repository.damage(), [], when);
  deepEqual(litter(device), [], when);
  repository.close();
}

function litter(device: MemoryDevice): string[] {
  return [...device.files()].map(({ path }) => path).filter((path) => /(^|\/)tmp_|\.lock$|\.new$/.test(path));
}

/** Shows git each state once: what differs in the names of temporary files alone is the same after the sweep. */
async function assertGitAgrees(device: MemoryDevice, seen: Set<string>, path: string): Promise<void> {
  const files = [...device.files()];
  const state = files.map(({ path, bytes }) => `${path} ${bytes.length}`).sort().join("\n");
  if (seen.has(state)) return;
  seen.add(state);
  await Deno.mkdir(path);
  for (const { path: name, bytes } of files) {
    if (name.endsWith("/")) await Deno.mkdir(`${path}/${name}`);
    else await Deno.writeFile(`${path}/${name}`, bytes);
  }
  await assertGitAccepts(path);
  await Deno.remove(path, { recursive: true });
}
