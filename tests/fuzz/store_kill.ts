/** Kills a process at every operation of a life of pushes and collections, on a real disk: `store_kill.ts [FROM]`. */
import { killAndRestart, makePushes, writePushes } from "../store/fault_scenario.ts";

if (import.meta.main) {
  const dir = await Deno.makeTempDir({ prefix: "bailiwick-kill-" });
  try {
    await writePushes(`${dir}/pushes`, await makePushes(dir));
    for (let at = Number(Deno.args[0] ?? 1);; at++) {
      const { faults, operations } = await killAndRestart(dir, at);
      if (faults.length > 0) throw new Error(`killed at operation ${at}: ${faults.join("; ")}`);
      if (operations !== undefined) break;
      if (at % 20 === 0) console.log(`killed at each of ${at} operations, nothing lost`);
    }
    console.log("all operations done, nothing lost");
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}
