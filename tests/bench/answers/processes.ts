/** What processes cost, from /proc. Through `cat`: the runtime opens files of /proc only to those who may do everything. */
import { run } from "../../tools/real.ts";

/** User and system time of a process and of all that descend from it, in seconds. */
export async function cpuSeconds(pid: number): Promise<number> {
  let total = 0;
  for (const each of await family(pid)) {
    const fields = (await read(`/proc/${each}/stat`)).replace(/^.*\) /, "").split(" ");
    total += (Number(fields[11]) + Number(fields[12])) / TICKS;
  }
  return total;
}

export interface Memory {
  /** Each page counted once, however many of the processes have it: the sum of proportional set sizes, in MB. */
  readonly shared: number;
  /** The sum of the resident set sizes, in MB. */
  readonly resident: number;
}

/** Memory of a process and of all that descend from it. */
export async function memoryOf(pid: number): Promise<Memory> {
  let shared = 0;
  let resident = 0;
  for (const each of await family(pid)) {
    const text = await read(`/proc/${each}/smaps_rollup`);
    shared += kilobytes(text, "Pss") / 1024;
    resident += kilobytes(text, "Rss") / 1024;
  }
  return { shared, resident };
}

async function family(pid: number): Promise<number[]> {
  const children = (await read(`/proc/${pid}/task/${pid}/children`)).trim();
  const found = [pid];
  for (const child of children === "" ? [] : children.split(" ")) found.push(...await family(Number(child)));
  return found;
}

function kilobytes(text: string, key: string): number {
  const found = new RegExp(`^${key}:\\s+(\\d+) kB$`, "m").exec(text);
  if (found === null) throw new Error(`no ${key} in smaps_rollup`);
  return Number(found[1]);
}

async function read(path: string): Promise<string> {
  return (await run("cat", [path])).stdout;
}

const TICKS = Number((await run("getconf", ["CLK_TCK"])).stdout);
