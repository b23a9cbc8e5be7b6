/** The command line of the answer benchmarks. */
import { parseArgs } from "node:util";
import { type Burden, BURDENS, type OursOptions } from "./ours.ts";
import { type Peer, PEERS } from "./peers.ts";

export interface BenchOptions extends OursOptions {
  readonly json: boolean;
  readonly peers: readonly Peer[];
  /** Sockets that ask over UDP. */
  readonly clients: number | undefined;
  readonly burdens: readonly Burden[];
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
        clients: { type: "string" },
        with: { type: "string" },
        bare: { type: "boolean" },
        json: { type: "boolean" },
      },
    });
    const peers = words(values.peers) ?? PEERS;
    const unknown = peers.find((name) => !PEERS.some((peer) => peer === name));
    if (unknown !== undefined) throw new Error(`there is no peer ${unknown}: ${PEERS.join(", ")}`);
    const burdens = words(values.with) ?? [];
    const odd = burdens.find((name) => !BURDENS.some((burden) => burden === name));
    if (odd !== undefined) throw new Error(`there is no ${odd}: ${BURDENS.join(", ")}`);
    return {
      root: Deno.realPathSync(values.root ?? new URL("../../..", import.meta.url)),
      config: values.config === undefined ? undefined : Deno.realPathSync(values.config),
      peers: PEERS.filter((peer) => peers.includes(peer)),
      clients: values.clients === undefined ? undefined : count(values.clients, 1),
      burdens: BURDENS.filter((burden) => burdens.includes(burden)),
      bare: values.bare ?? false,
      json: values.json ?? false,
      words: positionals,
    };
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\nusage: ${usage}`);
    Deno.exit(2);
  }
}

function words(list: string | undefined): string[] | undefined {
  return list?.split(",").filter((name) => name !== "");
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
