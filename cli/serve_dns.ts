/** DNS over UDP and TCP on the same addresses: plain queries from the image, the rest through the responder. */
import {
  answerQuery,
  createAnswerContext,
  createResponder,
  type ImageBoard,
  type ResponderEvent,
  type ResponderOptions,
  startDnsServer,
} from "../dns/mod.ts";
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

  const started = await startDnsServer({
    listen,
    workers: options.workers,
    board,
    respond,
    log: (line) => log.info(line),
  });
  if (!started.ok) throw new CliError(started.error.message);
  const server = started.value;
  log.info(`answering on ${server.addresses.map(formatHostPort).join(", ")}, ${server.mode}`);
  return { addresses: server.addresses, stop: () => server.stop() };
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
