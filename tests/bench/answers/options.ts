/** The command line of the answer benchmarks. */
import { parseArgs } from "node:util";
import type { OursOptions } from "./ours.ts";
import { type Peer, PEERS } from "./peers.ts";

export interface BenchOptions extends OursOptions {
  readonly json: boolean;
  readonly peers: readonly Peer[];
}

/**
 * @param usage said where the arguments are wrong
 * @returns the options, and what stands beside them
 */
export function benchOptions(usage: string): BenchOptions & { readonly words: readonly string[] } {
  try {
    const { values, positionals } = parseArgs({
      args: Deno.args,
      allowPositionals: true,
      options: {
        root: { type: "string" },
        config: { type: "string" },
        peers: { type: "string" },
        bare: { type: "boolean" },
        json: { type: "boolean" },
      },
    });
    const peers = values.peers?.split(",").filter((name) => name !== "") ?? PEERS;
    const unknown = peers.find((name) => !PEERS.some((peer) => peer === name));
    if (unknown !== undefined) throw new Error(`there is no peer ${unknown}: ${PEERS.join(", ")}`);
    return {
      root: Deno.realPathSync(values.root ?? new URL("../../..", import.meta.url)),
      config: values.config === undefined ? undefined : Deno.realPathSync(values.config),
      peers: PEERS.filter((peer) => peers.includes(peer)),
      bare: values.bare ?? false,
      json: values.json ?? false,
      words: positionals,
    };
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\nusage: ${usage}`);
    Deno.exit(2);
  }
}

/** A number from the command line. */
export function count(text: string | undefined, otherwise: number): number {
  const value = text === undefined ? otherwise : Number(text);
  if (!Number.isSafeInteger(value) || value < 1) {
    console.error(`"${text}" is not a positive whole number`);
    Deno.exit(2);
  }
  return value;
}

/** The middle of some figures; of an even number, the upper of the two in the middle. */
export function median(figures: readonly number[]): number {
  return figures.toSorted((a, b) => a - b)[figures.length >> 1] ?? NaN;
}
