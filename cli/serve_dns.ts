/** DNS over UDP and TCP on the same addresses: plain queries from the image, the rest through the responder. */
import {
  addressOctetsOf,
  answerQuery,
  type AnswerSettings,
  COOKIE_SECRET_OCTETS,
  createAnswerContext,
  createResponder,
  type DnsCounters,
  type ImageBoard,
  type ResponderEvent,
  type ResponderOptions,
  startDnsServer,
  type Transport,
} from "../dns/mod.ts";
import { formatHostPort, type HostPort } from "./address.ts";
import { type DnsService, dnsService } from "./dns_settings.ts";
import { CliError, sentence } from "./errors.ts";
import { logOf } from "./log.ts";
import type { CountersNote } from "./server_notes.ts";

export interface DnsServers {
  readonly addresses: readonly HostPort[];
  /** Takes over all but the limits of TCP, at once and without a restart. */
  reconfigure(service: DnsService): void;
  stop(): Promise<void>;
}

export interface DnsOptions {
  readonly listen: readonly HostPort[];
  readonly workers: number;
  readonly board: ImageBoard;
  readonly lookupKey: ResponderOptions["lookupKey"];
  readonly update: ResponderOptions["update"];
  /** Default: as without a configuration. */
  readonly service?: DnsService | undefined;
  /** Called now and then, and at the end, with what was counted; only while there is something new. */
  readonly noteCounters?: ((note: CountersNote) => void) | undefined;
}

const log = logOf("dns");

/** @throws {CliError} naming an address that cannot be listened on */
export async function serveDns(options: DnsOptions): Promise<DnsServers> {
  const { board, listen } = options;
  const service = options.service ?? dnsService({});
  // One for the life of the server: what is read again must not make its cookies worthless.
  const ownSecret = crypto.getRandomValues(new Uint8Array(COOKIE_SECRET_OCTETS));
  let settings = settingsOf(service, ownSecret);
  const contextOf = ({ protocol, peer }: Transport) => {
    const context = createAnswerContext(protocol, settings);
    const address = peer === undefined ? undefined : addressOctetsOf(peer.address);
    if (address !== undefined) context.address.set(address);
    context.addressOctets = address?.length ?? 0;
    context.now = Math.floor(Date.now() / 1000);
    return context;
  };
  const answer: ResponderOptions["answer"] = (query, out, transport) =>
    answerQuery(board.current(), query, query.length, out, contextOf(transport));
  const respond = createResponder({
    answer,
    lookupKey: options.lookupKey,
    update: options.update,
    now: Date.now,
    log: logEvent,
    context: contextOf,
  });

  const started = await startDnsServer({
    listen,
    workers: options.workers,
    board,
    respond,
    settings,
    rateLimit: service.rateLimit,
    tcp: service.tcp,
    log: (line) => log.info(line),
  });
  if (!started.ok) throw new CliError(started.error.message);
  const server = started.value;
  log.info(`answering on ${server.addresses.map(formatHostPort).join(", ")}, ${server.mode}`);
  const stopNotes = noteNowAndThen(options.noteCounters, () => server.counters());
  return {
    addresses: server.addresses,
    reconfigure: (next) => {
      settings = settingsOf(next, ownSecret);
      server.setSettings(settings, next.rateLimit);
    },
    stop: async () => {
      await server.stop();
      stopNotes();
    },
  };
}

function settingsOf({ settings, cookieSecrets }: DnsService, ownSecret: Uint8Array): AnswerSettings {
  return { ...settings, cookieSecrets: cookieSecrets ?? [ownSecret] };
}

/** Tells the counters every few seconds, where they changed. Gives what tells them a last time. */
function noteNowAndThen(tell: DnsOptions["noteCounters"], read: () => DnsCounters): () => void {
  let told = "";
  const once = () => {
    const counters = read();
    const text = JSON.stringify(counters);
    if (text === told) return;
    told = text;
    try {
      tell?.({ at: Date.now(), pid: Deno.pid, counters });
    } catch (error) {
      log.error(`counters could not be noted: ${sentence(error)}`);
    }
  };
  if (tell === undefined) return () => {};
  once();
  const timer = setInterval(once, COUNTERS_MS);
  return () => {
    clearInterval(timer);
    once();
  };
}

/** Often enough to look at, and seldom enough for a disk. */
const COUNTERS_MS = 10_000;

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
