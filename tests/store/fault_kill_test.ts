import { deepEqual, ok } from "node:assert/strict";
import { findProgram, realTest } from "../tools/real.ts";
import { killAndRestart, makePushes, writePushes } from "./fault_scenario.ts";

realTest(
  "a process that is killed for real leaves what a restart takes up",
  { needs: ["git"] },
  async ({ dir }) => {
    await writePushes(`${dir}/pushes`, await makePushes(dir));
    const unharmed = await killAndRestart(dir, 0);
    deepEqual(unharmed.faults, []);
    const operations = unharmed.operations ?? 0;
    ok(operations > 100);
    // Each number is tried on a device in memory; here a few show that a real process leaves the same.
    const step = Math.ceil(operations / 10);
    for (let at = 20; at <= operations; at += step) {
      deepEqual((await killAndRestart(dir, at)).faults, [], `killed at operation ${at}`);
    }
  },
);

const shell = findProgram("sh");
const mounts = shell === undefined ? "no shell" : (await new Deno.Command(shell, {
    args: ["-c", "unshare -m sh -c 'mount -t tmpfs -o size=1m tmpfs /tmp'"],
    stdout: "null",
    stderr: "null",
  }).output()).success
  ? undefined
  : "no right to mount a small file system";

realTest(
  "a disk that is really full: the push is refused by name, and nothing is changed",
  { needs: ["git", "sh"], ignore: mounts },
  async ({ dir }) => {
    await writePushes(`${dir}/pushes`, await makePushes(dir));
    await Deno.mkdir(`${dir}/small`);
    const life = new URL("./full_life.ts", import.meta.url).pathname;
    const deno = `${Deno.execPath()} run --no-check --no-prompt --allow-read --allow-write --allow-env`;
    const script =
      `mount -t tmpfs -o size=512k tmpfs ${dir}/small && exec ${deno} --cached-only ${life} ${dir}/small ${dir}/pushes`;
    const outcome = await new Deno.Command(shell ?? "sh", {
      args: ["-c", `unshare -m sh -c '${script}'`],
      stdout: "piped",
      stderr: "piped",
    }).output();
    const [said, complained] = [outcome.stdout, outcome.stderr].map((bytes) =>
      new TextDecoder().decode(bytes)
    );
    deepEqual([said?.trim(), outcome.code], ["refused by io, nothing changed, then taken", 0], complained);
  },
);
