// @ts-types="@types/ssh2"
import type { ServerChannel, Session } from "ssh2";
import type { Flow, PeerAddress } from "../flow.ts";
import { channelFlow } from "./channel_flow.ts";
import type { ListenSshOptions } from "./listen.ts";
import type { Transport } from "./transport.ts";

/** A command that somebody runs here. */
export interface SshSession<Identity> {
  readonly identity: Identity;
  readonly user: string;
  readonly command: string;
  readonly env: ReadonlyMap<string, string>;
  /** The command's standard input and output. */
  readonly flow: Flow;
  readonly peer: PeerAddress;
  /**
   * Writes to the client's standard error; resolves when there is room for more. @throws {FlowError} as the
   * flow's `write`
   */
  stderr(text: string): Promise<void>;
  /** Waits for what was written, tells the exit status and closes the session. Later calls change nothing. */
  exit(code: number): Promise<void>;
}

export interface SessionContext<Identity> {
  readonly options: ListenSshOptions<Identity>;
  readonly transport: Transport;
  readonly peer: PeerAddress;
  readonly identity: Identity;
  readonly user: string;
  readonly description: string;
  readonly idleMs: number;
}

export interface SessionHooks {
  /** Nothing runs in the session any more. Called once. */
  ended(): void;
  /** The peer has closed the session. */
  closed(): void;
  runs(command: Promise<void>): void;
  failed(cause: unknown): void;
  giveUp(reason: string): void;
}

const MAX_ENV_BYTES = 4096;

/** One session of a connection: a command, or a word that there is nothing else. */
export function serveSession<Identity>(
  session: Session,
  context: SessionContext<Identity>,
  hooks: SessionHooks,
): void {
  const { options, idleMs } = context;
  const env = new Map<string, string>();
  const acceptEnv = options.acceptEnv ?? ["GIT_PROTOCOL"];
  let peerClosed = () => {};
  let over = false;
  const ended = () => {
    if (over) return;
    over = true;
    clearTimeout(timer);
    hooks.ended();
  };
  const timer = setTimeout(() => hooks.giveUp(`a session asked for nothing within ${idleMs} ms`), idleMs);
  context.transport.onLost(() => clearTimeout(timer));

  session.on("env", (accept, reject, { key, val }) => {
    const good = acceptEnv.includes(key) && val.length <= MAX_ENV_BYTES;
    if (good) env.set(key, val);
    (good ? accept : reject)?.();
  });
  session.on("close", () => {
    peerClosed();
    ended();
    hooks.closed();
  });
  const open = (accept: () => ServerChannel | undefined) => {
    const channel = accept();
    if (channel === undefined) return undefined; // the session runs something already, or has ended
    clearTimeout(timer);
    const opened = channelFlow(channel, { ...context, onClose: ended });
    peerClosed = opened.peerClosed;
    return opened;
  };

  session.on("exec", (accept, _reject, { command }) => {
    const opened = open(accept);
    if (opened === undefined) return;
    let exiting: Promise<void> | undefined;
    const exit = (code: number) =>
      exiting ??= (async () => {
        await opened.flushed();
        opened.exit(code);
      })();
    const run = async () => {
      try {
        await options.exec({
          identity: context.identity,
          user: context.user,
          command,
          env,
          flow: opened.flow,
          peer: context.peer,
          stderr: (text) => opened.writeStderr(new TextEncoder().encode(text)),
          exit,
        });
        await exit(0);
      } catch (cause) {
        hooks.failed(cause);
        await exit(1);
      }
    };
    hooks.runs(run());
  });
  const refuse = (accept: () => ServerChannel | undefined) => {
    const opened = open(accept);
    if (opened === undefined) return;
    const text = `${options.noShell ?? "Bailiwick speaks git only; there is no shell here."}\r\n`;
    const tell = async () => {
      // A peer that does not wait for the message is no failure of ours.
      await opened.writeStderr(new TextEncoder().encode(text)).catch(() => {});
      opened.exit(1);
    };
    hooks.runs(tell());
  };
  session.on("shell", (accept) => refuse(accept));
  session.on("subsystem", (accept) => refuse(accept));
}
