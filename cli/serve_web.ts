import { createWebApp, type ServerView } from "../web/mod.ts";
import type { HostPort } from "./address.ts";
import { CliError, sentence } from "./errors.ts";
import { formatHostPort } from "./address.ts";
import { logOf } from "./log.ts";

export interface WebServer {
  readonly address: HostPort;
  stop(): Promise<void>;
}

/** @throws {CliError} naming an address that cannot be listened on */
export function serveWeb(address: HostPort, view: ServerView): WebServer {
  const app = createWebApp(view);
  try {
    const server = Deno.serve({
      hostname: address.host,
      port: address.port,
      onListen: () => {},
      onError: (error) => {
        logOf("web").error(sentence(error));
        return new Response("internal error\n", { status: 500 });
      },
    }, app.fetch);
    return {
      address: { host: server.addr.hostname, port: server.addr.port },
      stop: () => server.shutdown(),
    };
  } catch (error) {
    const reason = error instanceof Deno.errors.AddrInUse ? "the port is in use" : sentence(error);
    throw new CliError(`cannot listen on ${formatHostPort(address)}: ${reason}`);
  }
}
