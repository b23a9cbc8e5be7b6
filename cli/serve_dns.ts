/** DNS over UDP and TCP on the same addresses: plain queries from the image, the rest through the responder. */
import {
  answerQuery,
  createAnswerContext,
  createResponder,
  type ImageBoard,
  type ResponderEvent,
  type ResponderOptions,
  startTcpServer,
  startUdpServer,
  type UdpServer,
} from "../dns/mod.ts";
import type { Listener } from "../conduit/mod.ts";
import { formatHostPort, type HostPort } from "./address.ts";
import { CliError, sentence } from "./errors.ts";
import { logOf } from "./log.ts";

export interface DnsServers {
  readonly addresses: readonly HostPort[];
  stop(): Promise<void>;
}

export interface DnsOptions {
  readonly listen: readonly HostPort[];
  readonly workers: number;
  readonly board: ImageBoard;
  readonly lookupKey: ResponderOptions["lookupKey"];
  readonly update: ResponderOptions["update"];
}

const log = logOf("dns");

/** @throws {CliError} naming an address that cannot be listened on */
export async function serveDns(options: DnsOptions): Promise<DnsServers> {
  const { board, listen } = options;
  const answer: ResponderOptions["answer"] = (query, out, { protocol }) =>
    answerQuery(board.current(), query, query.length, out, createAnswerContext(protocol));
  const respond = createResponder({
    answer,
    lookupKey: options.lookupKey,
    update: options.update,
    now: Date.now,
    log: logEvent,
  });

  for (let attempt = 1;; attempt++) {
    const udp = await startUdpServer({
      listen,
      workers: options.workers,
      board,
      slow: (query, peer) => respond(query, { protocol: "udp", peer }),
      log: (line) => log.info(line),
    });
    if (!udp.ok) throw new CliError(udp.error.message);
    const tcp: Listener[] = [];
    const fault = udp.value.addresses
      .map((address) => {
        const started = startTcpServer({ listen: address, answer, respond });
        if (started.ok) tcp.push(started.value);
        return started.ok ? undefined : started.error;
      })
      .find((error) => error !== undefined);
    if (fault === undefined) return servers(udp.value, tcp);

    await Promise.all([udp.value.stop(), ...tcp.map((listener) => listener.stop())]);
    // A port picked for UDP may be taken for TCP: then another one will do.
    const picked = fault.code === "in-use" && listen.some(({ port }) => port === 0);
    if (!picked || attempt === 20) throw new CliError(fault.message);
  }
}

function servers(udp: UdpServer, tcp: readonly Listener[]): DnsServers {
  log.info(`answering on ${udp.addresses.map(formatHostPort).join(", ")}, UDP ${udp.mode}`);
  return {
    addresses: udp.addresses,
    stop: async () =>
      void await Promise.all([udp.stop(), ...tcp.map((listener) => listener.stop({ graceMs: 1000 }))]),
  };
}

function logEvent(event: ResponderEvent): void {
  const from = event.peer === undefined ? "" : ` from ${event.peer.address}`;
  switch (event.kind) {
    case "tsig-refused":
      return log.warn(`signature refused${from}: ${event.reason}`);
    case "update-refused":
      return log.warn(
        `update${event.key === undefined ? "" : ` by ${event.key}`}${from} refused: ${event.reason}`,
      );
    case "failed":
      return log.error(`a query${from} could not be answered: ${sentence(event.cause)}`);
  }
}
