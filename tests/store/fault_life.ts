/**
 * A life on a real disk, ended by a real SIGKILL at an operation: `fault_life.ts FOLDER PUSHES OPERATION`. Says on standard
 * output what was tried and what was acknowledged, as it happens.
 */
import { fileDevice } from "../../store/mod.ts";
import type { Oid } from "../../store/mod.ts";
import { live, readPushes } from "./fault_scenario.ts";
import { faultyDevice } from "./faulty_device.ts";

if (import.meta.main) {
  const [folder = "", pushes = "", operation = ""] = Deno.args;
  await Deno.mkdir(folder, { recursive: true });
  const say = (word: string, name: string, oid: Oid | undefined) => {
    Deno.stdout.writeSync(new TextEncoder().encode(`${word} ${name} ${oid ?? "-"}\n`));
  };
  const device = faultyDevice(fileDevice(folder), {
    before(number) {
      if (number === Number(operation)) Deno.kill(Deno.pid, "SIGKILL");
    },
  });
  await live(device, await readPushes(pushes), {
    tried: (name, oid) => say("tried", name, oid),
    acknowledged: (name, oid) => say("acknowledged", name, oid),
  });
  console.log(`operations ${device.operations}`);
}
