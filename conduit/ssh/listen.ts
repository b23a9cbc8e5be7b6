// @ts-types="@types/ssh2"
import type { Connection, ParsedKey } from "ssh2";
import { hostPort } from "../endpoint.ts";
import type { Flow, PeerAddress, Result } from "../flow.ts";
import { listenTcp, logEvent } from "../listen_tcp.ts";
import {
  handlerEvent,
  type Listener,
  ListenError,
  type ListenEvent,
  type ListenLimits,
} from "../listener.ts";
import { readIdentity } from "./identity.ts";
import { loadSsh2 } from "./keys.ts";
import { createLogin, type OfferedKey } from "./login.ts";
import { serveSession, type SshSession } from "./session.ts";
import { Transport } from "./transport.ts";

export interface ListenSshOptions<Identity> extends ListenLimits {
  readonly host: string;
  /** 0 picks a free port. */
  readonly port: number;
  /** Unencrypted private keys, OpenSSH's format or PEM; at most one of a type is used. */
  readonly hostKeys: readonly string[];
  /**
   * Who holds this key, or `undefined` for nobody. Asked twice in a login: whether the key would do, and
   * again when its possession is proved.
   */
  readonly authorize: (key: OfferedKey, user: string) => Promise<Identity | undefined>;
  /** Runs a command. When its promise settles without `exit`, the status is 0, or 1 where it failed. */
  readonly exec: (session: SshSession<Identity>) => Promise<void> | void;
  /** What somebody who wants a shell, or anything but a command, is told. */
  readonly noShell?: string | undefined;
  /** Environment variables that a client may set; default `GIT_PROTOCOL`. */
  readonly acceptEnv?: readonly string[] | undefined;
  /** Sessions of one connection at a time; default 8. */
  readonly maxSessions?: number | undefined;
  /** Connections at a time whose peer has not logged in; more are closed at once. Default 64. */
  readonly maxUnauthenticated?: number | undefined;
  /** Keys that a connection may offer; default 20. */
  readonly maxAuthTries?: number | undefined;
  /** From the connection to a login that succeeded; default 20 s. */
  readonly authMs?: number | undefined;
  /** How long a peer may keep a session waiting, and a connection may be without a session; default 5 min. */
  readonly idleMs?: number | undefined;
  /** The time between questions whether a peer is still there; default 15 s, 0 asks never. */
  readonly keepAliveMs?: number | undefined;
  /** Questions without an answer before a connection is given up; default 4. */
  readonly keepAliveCount?: number | undefined;
  readonly report?: ((event: ListenEvent) => void) | undefined;
}

const DEFAULTS = {
  maxSessions: 8,
  maxUnauthenticated: 64,
  authMs: 20_000,
  idleMs: 300_000,
  keepAliveMs: 15_000,
  keepAliveCount: 4,
} as const;
/** How long a peer may take to close its last session when the listener stops. */
const CLOSE_MS = 1000;
/** The longest that a timer of the runtime takes. */
const NEVER_MS = 2 ** 31 - 1;
const UNKNOWN_PEER: PeerAddress = { address: "unknown", port: 0 };

/** Listens for SSH: public keys only, commands only. No shell, terminal, subsystem, forwarding or agent. */
export async function listenSsh<Identity>(
  options: ListenSshOptions<Identity>,
): Promise<Result<Listener, ListenError>> {
  const { Server } = await loadSsh2();
  const connections = new Set<SshConnection>();
  const waiting = new Map<Transport, (connection: Connection) => void>();
  const report = options.report ?? logEvent;
  let stopping = false;

  const keys = await readHostKeys(options.hostKeys);
  if (!keys.ok) return keys;
  const keepAliveMs = options.keepAliveMs ?? DEFAULTS.keepAliveMs;
  const started = createServer(() =>
    new Server({
      hostKeys: keys.value,
      ident: "Bailiwick",
      // The package falls back to an interval of its own where there is none.
      keepaliveInterval: keepAliveMs > 0 ? keepAliveMs : NEVER_MS,
      keepaliveCountMax: options.keepAliveCount ?? DEFAULTS.keepAliveCount,
    }, (connection) => {
      // The package hands out connections once they have spoken; the transport below tells whose it is.
      const transport = transportOf(connection);
      if (transport !== undefined) waiting.get(transport)?.(connection);
    })
  );
  if (!started.ok) return started;
  const server = started.value;
  const strangers = new Set<SshConnection>();

  const tcp = listenTcp({ ...options, idleMs: undefined, report }, async (flow) => {
    const transport = new Transport(flow);
    const gone = new Promise<void>((resolve) => transport.once("close", () => resolve()));
    const most = options.maxUnauthenticated ?? DEFAULTS.maxUnauthenticated;
    if (strangers.size >= most) {
      const peer = flow.peer ?? UNKNOWN_PEER;
      report({ kind: "refused", peer, reason: `${most} connections wait for their login already` });
      return;
    }
    const connection = sshConnection(options, transport, flow, report, () => strangers.delete(connection));
    strangers.add(connection);
    connections.add(connection);
    waiting.set(transport, connection.attach);
    try {
      Reflect.apply(server.injectSocket, server, [transport]); // typed for sockets, documented for any duplex stream
      await gone;
    } finally {
      waiting.delete(transport);
      strangers.delete(connection);
      connections.delete(connection);
      connection.dispose();
      await connection.settled();
    }
  });
  if (!tcp.ok) return tcp;

  return {
    ok: true,
    value: {
      address: tcp.value.address,
      get connections() {
        return tcp.value.connections;
      },
      async stop(stopOptions) {
        if (!stopping) {
          stopping = true;
          for (const connection of connections) connection.endWhenIdle();
        }
        await tcp.value.stop(stopOptions);
      },
    },
  };
}

async function readHostKeys(
  texts: readonly string[],
): Promise<Result<{ readonly key: ParsedKey }[], ListenError>> {
  const keys: { readonly key: ParsedKey }[] = [];
  for (const text of texts) {
    const identity = await readIdentity(text, undefined);
    if (!identity.ok) {
      return {
        ok: false,
        error: new ListenError("bad-host-key", `an SSH host key cannot be used: ${identity.error}`),
      };
    }
    keys.push({ key: identity.value.key });
  }
  return { ok: true, value: keys };
}

/** The package throws for host keys it cannot use. */
function createServer<T>(create: () => T): Result<T, ListenError> {
  try {
    return { ok: true, value: create() };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return {
      ok: false,
      error: new ListenError("bad-host-key", `an SSH host key cannot be used: ${message}`, { cause: error }),
    };
  }
}

function transportOf(connection: Connection): Transport | undefined {
  const socket: unknown = "_sock" in connection ? connection._sock : undefined;
  return socket instanceof Transport ? socket : undefined;
}

interface SshConnection {
  /** The connection has said who it is (its version line). */
  attach(connection: Connection): void;
  /** Closes the connection now or when its last session has ended. */
  endWhenIdle(): void;
  dispose(): void;
  /** When every command that ran here has come to its end. */
  settled(): Promise<void>;
}

function sshConnection<Identity>(
  options: ListenSshOptions<Identity>,
  transport: Transport,
  tcp: Flow,
  report: (event: ListenEvent) => void,
  loggedIn: () => void,
): SshConnection {
  const peer = tcp.peer ?? UNKNOWN_PEER;
  const idleMs = options.idleMs ?? DEFAULTS.idleMs;
  const running = new Set<Promise<void>>();
  /** Sessions that the peer has not closed; those among them that this side has not finished with. */
  let open = 0;
  let active = 0;
  let ending = false;
  let connection: Connection | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const giveUp = (reason: string) => {
    report({ kind: "peer-failed", peer, reason });
    transport.destroy();
  };
  const limit = (milliseconds: number, reason: string) => {
    clearTimeout(timer);
    if (transport.lost !== undefined) return;
    timer = setTimeout(() => giveUp(reason), milliseconds);
  };
  const sessionEnded = () => {
    active--;
    if (active > 0) return;
    // A connection that is cut off before the peer has closed its session costs it the exit status.
    if (ending) limit(CLOSE_MS, `the last session was not closed within ${CLOSE_MS} ms`);
    else limit(idleMs, `no session for ${idleMs} ms`);
  };
  const end = () => {
    clearTimeout(timer);
    transport.once("finish", () => transport.destroy());
    if (connection === undefined) transport.destroy();
    else connection.end();
  };

  const authMs = options.authMs ?? DEFAULTS.authMs;
  limit(authMs, `no login within ${authMs} ms`);
  return {
    attach(attached) {
      connection = attached;
      let identity: { readonly value: Identity; readonly user: string } | undefined;
      const login = createLogin(options, (value, user) => identity = { value, user }, giveUp);
      attached.on("authentication", login);
      attached.on("error", (error: Error & { level?: string }) => {
        if (error.level === "client-timeout") giveUp("the peer does not answer");
        else report({ kind: "peer-failed", peer, reason: error.message });
      });
      attached.once("ready", loggedIn);
      attached.once("end", () => transport.destroy());
      attached.once("ready", () => limit(idleMs, `no session for ${idleMs} ms`));
      attached.on("session", (accept, reject) => {
        const most = options.maxSessions ?? DEFAULTS.maxSessions;
        if (identity === undefined || ending || open >= most) return reject();
        clearTimeout(timer);
        open++;
        active++;
        const { value, user } = identity;
        const description = `ssh ${user} from ${hostPort(peer.address, peer.port)}`;
        serveSession(accept(), { options, transport, peer, identity: value, user, description, idleMs }, {
          ended: sessionEnded,
          closed: () => {
            open--;
            if (ending && open === 0) end();
          },
          runs: (command) => {
            running.add(command);
            command.finally(() => running.delete(command));
          },
          failed: (cause) => report(handlerEvent(peer, cause)),
          giveUp,
        });
      });
    },
    endWhenIdle() {
      ending = true;
      if (open === 0) end();
    },
    dispose: () => clearTimeout(timer),
    settled: async () => {
      await Promise.all(running);
    },
  };
}
