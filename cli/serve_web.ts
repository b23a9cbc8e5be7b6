import { type HttpHandler, type Listener, listenHttp } from "../conduit/mod.ts";
import { createWebApp, type ServerView } from "../web/mod.ts";
import type { HostPort } from "./address.ts";
import { CliError, sentence } from "./errors.ts";
import { logOf } from "./log.ts";

/** How long a client may keep us waiting. */
const IDLE_MS = 60_000;
const MOST_CONNECTIONS = 256;
/** A proxy in front of us is one address. */
const MOST_PER_ADDRESS = 64;
/** How long requests under way may go on when we stop. */
const GRACE_MS = 1000;

export interface WebServer {
  readonly address: HostPort;
  stop(): Promise<void>;
}

/** @throws {CliError} naming an address that cannot be listened on */
export function serveWeb(address: HostPort, view: ServerView): WebServer {
  const app = createWebApp(view);
  const listener = openHttp(address, "web", (request) => app.fetch(request));
  const { address: host, port } = listener.address;
  return { address: { host, port }, stop: () => stopHttp(listener) };
}

/** Listens for HTTP with limits; faults go to the log of this name. @throws {CliError} as `serveWeb` */
export function openHttp(address: HostPort, name: "web" | "git", handler: HttpHandler): Listener {
  const log = logOf(name);
  const listening = listenHttp({
    ...address,
    idleMs: IDLE_MS,
    maxConnections: MOST_CONNECTIONS,
    maxPerAddress: MOST_PER_ADDRESS,
    report: (event) => {
      if (event.kind === "handler-failed") log.error(`HTTP: ${sentence(event.cause)}`);
      else if (event.kind === "accept-failed") log.warn(`HTTP: ${sentence(event.cause)}`);
      else log.info(`HTTP: ${event.peer?.address ?? "somebody"}: ${event.reason}`);
    },
  }, handler);
  if (!listening.ok) throw new CliError(listening.error.message);
  return listening.value;
}

export function stopHttp(listener: Listener): Promise<void> {
  return listener.stop({ graceMs: GRACE_MS });
}
