// @ts-types="@types/ssh2"
import type {
  AnyAuthMethod,
  BaseAgent,
  Client,
  ClientChannel,
  ConnectConfig,
  ParsedKey,
  ServerHostKeyAlgorithm,
} from "ssh2";
import { boundedText } from "../bounded_text.ts";
import { attempt } from "../deadline.ts";
import { hostPort } from "../endpoint.ts";
import { type Flow, FlowError } from "../flow.ts";
import { ConnectError, type Protocol } from "../protocol.ts";
import { socketFlow } from "../socket_flow.ts";
import { openTcp } from "../tcp.ts";
import { askAgent, type SshAgent } from "./agent.ts";
import { channelFlow } from "./channel_flow.ts";
import type { HostTrust } from "./host_trust.ts";
import { signingVariants, type SshIdentity } from "./identity.ts";
import { algorithmOf, loadSsh2, sshFingerprint } from "./keys.ts";
import { Transport } from "./transport.ts";

const DEFAULTS = { handshakeMs: 15_000, authMs: 20_000, keepAliveMs: 15_000, keepAliveCount: 4 } as const;

/** The flow of a command run over SSH. */
export interface SshFlow extends Flow {
  /**
   * The command's exit status; `undefined` where the peer gave none (killed by a signal, connection lost).
   * Never rejects.
   */
  readonly exit: Promise<number | undefined>;
}

/** Whether a flow is that of a command over SSH. */
export function isSshFlow(flow: Flow): flow is SshFlow {
  return "exit" in flow;
}

export interface SshConfig extends SshPatience {
  /** An IP address in text. */
  readonly address: string;
  readonly port: number;
  readonly user: string;
  readonly command: string;
  readonly env: Readonly<Record<string, string>>;
  /** A key, an agent, or both: the key is offered first. */
  readonly identity: SshIdentity | undefined;
  readonly agent: SshAgent | undefined;
  readonly trust: HostTrust;
}

/** How long things may take; each has a default, but for `idleMs`. */
export interface SshPatience {
  /** From the connection to the keys' exchange; default 15 s. */
  readonly handshakeMs?: number | undefined;
  /** For the login; default 20 s. */
  readonly authMs?: number | undefined;
  /** How long the server may keep a read or a write waiting; no limit where it is not given. */
  readonly idleMs?: number | undefined;
  /** The time between questions whether the server is still there; default 15 s, 0 asks never. */
  readonly keepAliveMs?: number | undefined;
  /** Questions without an answer before the connection is given up; default 4. */
  readonly keepAliveCount?: number | undefined;
}

export const sshProtocol: Protocol<SshConfig> = {
  name: "ssh",
  security: "secure",
  connect: (config, options) =>
    attempt<Flow>(options, (signal) => openSsh(config, signal), (late) => late.close()),
};

/**
 * Host key algorithms by family, each with a key of its own on the server. Signatures by SHA-1 are not among
 * them.
 */
const HOST_KEY_FAMILIES: ReadonlyMap<string, readonly ServerHostKeyAlgorithm[]> = new Map([
  ["ssh-ed25519", ["ssh-ed25519"]],
  ["ecdsa", ["ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"]],
  ["ssh-rsa", ["rsa-sha2-512", "rsa-sha2-256"]],
]);

/**
 * A server has a key of each family and shows the one that the client likes best; a pin does not say of which
 * family it is. So a key that is not pinned is no reason to trust it, and a reason to ask for the server's
 * other keys.
 */
async function openSsh(config: SshConfig, signal: AbortSignal): Promise<SshFlow> {
  const target = hostPort(config.address, config.port);
  const shown: string[] = [];
  const families = orderedFamilies(config.trust);
  // Asked before anybody is connected to: no key, no connection.
  const agent = config.agent && await askAgent(config.agent, signal);
  while (families.size > 0) {
    const outcome = await openSession(config, agent, [...families.values()].flat(), signal).catch((error) => {
      // A server without a key of another family ends the handshake; what it has shown is what there is to say.
      if (shown.length > 0 && error instanceof ConnectError && error.code === "protocol") return undefined;
      throw error;
    });
    if (outcome === undefined) break;
    if (!("wrongKey" in outcome)) return outcome;
    const { algorithm, fingerprint } = outcome.wrongKey;
    if (config.trust.revoked.includes(fingerprint)) {
      throw new ConnectError(
        "host-key",
        `the host key ${fingerprint} (${algorithm}) of ${target} is revoked`,
      );
    }
    shown.push(`${fingerprint} (${algorithm})`);
    if (!families.delete(familyOf(algorithm))) break;
  }
  throw new ConnectError(
    "host-key",
    `the host key of ${target} is ${shown.join(" or ")}, trusted is ${config.trust.trusted.join(" or ")}`,
  );
}

/** Families of which a key is known come first, as a server shows the key that the client likes best. */
function orderedFamilies(trust: HostTrust): Map<string, readonly ServerHostKeyAlgorithm[]> {
  const known = new Set(trust.algorithms.map(familyOf));
  const families = [...HOST_KEY_FAMILIES];
  return new Map([
    ...families.filter(([family]) => known.has(family)),
    ...families.filter(([family]) => !known.has(family)),
  ]);
}

function familyOf(algorithm: string): string {
  return algorithm.startsWith("ecdsa") ? "ecdsa" : algorithm;
}

interface WrongKey {
  readonly wrongKey: { readonly algorithm: string; readonly fingerprint: string };
}

async function openSession(
  config: SshConfig,
  agent: BaseAgent<ParsedKey> | undefined,
  serverHostKey: readonly ServerHostKeyAlgorithm[],
  signal: AbortSignal,
): Promise<SshFlow | WrongKey> {
  const { Client } = await loadSsh2();
  const { identity, trust } = config;
  const description = `ssh ${config.user}@${hostPort(config.address, config.port)}`;
  const tcp = socketFlow(await openTcp(config, signal), { description, secure: false });
  const transport = new Transport(tcp);
  const client = new Client();
  const giveUp = () => transport.destroy();
  signal.addEventListener("abort", giveUp, { once: true });
  let wrong: WrongKey | undefined;
  let late: ConnectError | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const phase = (what: string, milliseconds: number) => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      late = new ConnectError("timeout", `${description}: no ${what} within ${milliseconds} ms`);
      transport.destroy();
    }, milliseconds);
  };
  try {
    signal.throwIfAborted();
    phase("key exchange", config.handshakeMs ?? DEFAULTS.handshakeMs);
    client.once("handshake", () => phase("login", config.authMs ?? DEFAULTS.authMs));
    const ready = new Promise<void>((resolve, reject) => {
      client.once("ready", resolve);
      client.on("error", (error) => reject(clientError(error, description)));
      client.once("close", () => reject(transport.lost ?? new FlowError("reset", `${description}: closed`)));
    });
    const { user: username, keepAliveMs = DEFAULTS.keepAliveMs } = config;
    const logins: AnyAuthMethod[] = [];
    for (const key of identity === undefined ? [] : signingVariants(identity.key)) {
      logins.push({ type: "publickey", username, key });
    }
    if (agent !== undefined) logins.push({ type: "agent", username, agent });
    const settings: ConnectConfig = {
      sock: transport,
      username,
      authHandler: logins,
      hostVerifier: (key: Uint8Array) => {
        const fingerprint = sshFingerprint(key);
        const trusted = trust.trusted.includes(fingerprint) && !trust.revoked.includes(fingerprint);
        if (!trusted) wrong = { wrongKey: { algorithm: algorithmOf(key) ?? "unknown", fingerprint } };
        return trusted;
      },
      algorithms: { serverHostKey: [...serverHostKey] },
      readyTimeout: 0, // the clocks here run
      keepaliveInterval: keepAliveMs,
      keepaliveCountMax: config.keepAliveCount ?? DEFAULTS.keepAliveCount,
    };
    client.connect(settings);
    await ready;
    clearTimeout(timer);
    const channel = await new Promise<ClientChannel>((resolve, reject) => {
      client.once("close", () => reject(transport.lost ?? new FlowError("reset", `${description}: closed`)));
      client.exec(config.command, { env: { ...config.env } }, (error, opened) => {
        if (error) {
          reject(new ConnectError("protocol", `${description} refused the command: ${error.message}`));
        } else resolve(opened);
      });
    });
    return sessionFlow(client, channel, transport, description, tcp, config.idleMs);
  } catch (error) {
    transport.destroy();
    if (wrong !== undefined) return wrong;
    throw late ?? error;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", giveUp);
  }
}

function sessionFlow(
  client: Client,
  channel: ClientChannel,
  transport: Transport,
  description: string,
  tcp: Flow,
  idleMs: number | undefined,
): SshFlow {
  client.on("error", (error: Error & { level?: string }) => {
    const gone = error.level === "client-timeout";
    transport.destroy(gone ? new FlowError("timeout", `${description}: the server does not answer`) : error);
  });
  const stderr = boundedText();
  channel.stderr.on("data", (bytes: Uint8Array) => stderr.add(bytes));
  const exit = Promise.withResolvers<number | undefined>();
  channel.on("exit", (code: number | null) => exit.resolve(code ?? undefined));
  const { flow, peerClosed } = channelFlow(channel, {
    description,
    peer: tcp.peer,
    transport,
    idleMs,
    diagnostics: stderr.text,
    onClose: () => {
      exit.resolve(undefined);
      transport.destroy();
    },
  });
  // The channel's own `close` waits until its output has been read, that of its standard error only for the
  // peer. (Its `end` comes with the peer's EOF, before the exit status.)
  channel.stderr.once("close", () => {
    exit.resolve(undefined); // after an exit status this changes nothing
    peerClosed();
    transport.once("finish", () => transport.destroy());
    client.end();
  });
  transport.onLost(() => exit.resolve(undefined));
  return Object.assign(flow, { exit: exit.promise });
}

function clientError(error: Error & { level?: string }, description: string): Error {
  switch (error.level) {
    case "client-authentication":
      return new ConnectError("auth", `${description} does not accept our key`, { cause: error });
    case "agent":
      return new ConnectError("unconfigured", `the SSH agent does not sign: ${error.message}`, {
        cause: error,
      });
    case "client-socket":
      return new ConnectError("protocol", error.message, { cause: error });
    default:
      return new ConnectError("protocol", `${description}: ${error.message}`, { cause: error });
  }
}
