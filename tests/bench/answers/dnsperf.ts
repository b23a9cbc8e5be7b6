/** dnsperf, and what it says. The same parameters for every server of a scenario. */
import { run } from "../../tools/real.ts";

/** How the questions are asked. */
export interface Asking {
  readonly transport: "udp" | "tcp";
  /** An OPT record, without or with DO; dnsperf says then that it takes 4096 octets. */
  readonly edns: "none" | "edns" | "do";
  /** Sockets that ask over UDP; default 10. */
  readonly clients?: number | undefined;
}

export interface Load {
  readonly completed: number;
  readonly perSecond: number;
  readonly lost: number;
  /** Octets of a mean answer. */
  readonly answerOctets: number;
}

/** For as many seconds, or as many queries of a file that is read again and again. */
export type Until = { readonly seconds: number } | { readonly runs: number };

export async function dnsperf(port: number, file: string, asking: Asking, until: Until): Promise<Load> {
  const span = "seconds" in until ? ["-l", `${until.seconds}`] : ["-n", `${until.runs}`];
  const address = ["-s", "127.0.0.1", "-p", `${port}`, "-d", file];
  const { stdout } = await run("taskset", [
    "-c",
    CLIENT_CORE,
    "dnsperf",
    ...address,
    ...parameters(asking),
    ...span,
  ]);
  const figure = (label: string) => {
    const found = new RegExp(`${label}:\\s+([0-9.]+)`).exec(stdout);
    if (found === null) throw new Error(`dnsperf says nothing of ${label}:\n${stdout}`);
    return Number(found[1]);
  };
  return {
    completed: figure("Queries completed"),
    perSecond: figure("Queries per second"),
    lost: figure("Queries lost"),
    answerOctets: Number(/Average packet size:.*response (\d+)/.exec(stdout)?.[1] ?? NaN),
  };
}

/** What dnsperf is told beside address, file and time. */
export function parameters({ transport, edns, clients = 10 }: Asking): string[] {
  const way = transport === "udp"
    ? ["-m", "udp", "-T", "1", "-c", `${clients}`, "-q", "200"]
    : ["-m", "tcp", "-T", "1", "-c", "20", "-q", "400"];
  return [...way, ...{ none: [], edns: ["-e"], do: ["-D"] }[edns]];
}

export const SERVER_CORE = "0";
export const CLIENT_CORE = "1";
