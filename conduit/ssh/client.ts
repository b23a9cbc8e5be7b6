// @ts-types="@types/ssh2"
import type { Client, ClientChannel, ConnectConfig, PublicKeyAuthMethod, ServerHostKeyAlgorithm } from "ssh2";
import { addressesOf, type Lookup, systemLookup } from "../addresses.ts";
import { boundedText } from "../bounded_text.ts";
import { attempt } from "../deadline.ts";
import { hostPort } from "../endpoint.ts";
import { type Flow, FlowError } from "../flow.ts";
import { ConnectError, type Protocol, type Resolver } from "../protocol.ts";
import { socketFlow } from "../socket_flow.ts";
import { openTcp } from "../tcp.ts";
import { channelFlow } from "./channel_flow.ts";
import { algorithmOf, loadSsh2, sshFingerprint } from "./keys.ts";
import { Transport } from "./transport.ts";

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

export interface SshConfig {
  /** An IP address in text. */
  readonly address: string;
  readonly port: number;
  readonly user: string;
  readonly command: string;
  readonly env: Readonly<Record<string, string>>;
  /** An unencrypted private key, OpenSSH or PEM. */
  readonly identity: string;
  /** Pinned host keys, `SHA256:…`; the server must show one of them. */
  readonly hostKeys: readonly string[];
  readonly idleMs?: number | undefined;
}

export interface SshResolverOptions {
  /**
   * The text of an unencrypted private key. Without one there is no connection: never an agent, never a
   * password.
   */
  readonly identity?: string | undefined;
  /** Fingerprints `SHA256:…`. Without one there is no connection: nothing is trusted on first use. */
  readonly hostKeys?: readonly string[] | undefined;
  /** The host that this identity and these pins are for; any where it is not given. */
  readonly host?: string | undefined;
  /** How long the server may keep a read or a write waiting; no limit where it is not given. */
  readonly idleMs?: number | undefined;
  readonly priority?: number | undefined;
  readonly lookup?: Lookup | undefined;
}

/** SSH to every address of the host, with one identity and pinned host keys. */
export function sshResolver(options: SshResolverOptions): Resolver<SshConfig> {
  const no = (code: "not-applicable" | "unconfigured", message: string) =>
    ({ applies: false, error: new ConnectError(code, message) }) as const;
  return {
    name: options.host === undefined ? "ssh" : `ssh ${options.host}`,
    priority: options.priority ?? 0,
    protocol: sshProtocol,
    async resolve(endpoint, limits) {
      if (endpoint.scheme !== "ssh") return no("not-applicable", `not for ${endpoint.scheme} endpoints`);
      const { identity, hostKeys = [] } = options;
      if (options.host !== undefined && options.host !== endpoint.host) {
        return no("not-applicable", `configured for ${options.host} only`);
      }
      if (hostKeys.length === 0) return no("unconfigured", `no host key is pinned for ${endpoint.host}`);
      const badPin = hostKeys.find((pin) => !/^SHA256:[A-Za-z0-9+/]{43}$/.test(pin));
      if (badPin !== undefined) {
        return no("unconfigured", `${badPin} is not a fingerprint: SHA256:… is wanted`);
      }
      if (identity === undefined) {
        return no("unconfigured", `no SSH identity is configured for ${endpoint.host}`);
      }
      const addresses = await addressesOf(endpoint.host, options.lookup ?? systemLookup, limits);
      if (!addresses.ok) return { applies: false, error: addresses.error };
      const { port, user, command, env = {} } = endpoint;
      const candidates = addresses.value.map((address) => ({
        target: `ssh ${user}@${hostPort(address, port)}`,
        config: { address, port, user, command, env, identity, hostKeys, idleMs: options.idleMs },
      }));
      return { applies: true, candidates };
    },
  };
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
  const families = new Map(HOST_KEY_FAMILIES);
  while (families.size > 0) {
    const outcome = await openSession(config, [...families.values()].flat(), signal).catch((error) => {
      // A server without a key of another family ends the handshake; what it has shown is what there is to say.
      if (shown.length > 0 && error instanceof ConnectError && error.code === "protocol") return undefined;
      throw error;
    });
    if (outcome === undefined) break;
    if (!("wrongKey" in outcome)) return outcome;
    const { algorithm, fingerprint } = outcome.wrongKey;
    shown.push(`${fingerprint} (${algorithm})`);
    if (!families.delete(algorithm.startsWith("ecdsa") ? "ecdsa" : algorithm)) break;
  }
  throw new ConnectError(
    "host-key",
    `the host key of ${target} is ${shown.join(" or ")}, pinned is ${config.hostKeys.join(" or ")}`,
  );
}

interface WrongKey {
  readonly wrongKey: { readonly algorithm: string; readonly fingerprint: string };
}

async function openSession(
  config: SshConfig,
  serverHostKey: readonly ServerHostKeyAlgorithm[],
  signal: AbortSignal,
): Promise<SshFlow | WrongKey> {
  const { Client, utils } = await loadSsh2();
  const identity = utils.parseKey(config.identity);
  if (identity instanceof Error || !identity.isPrivateKey()) {
    const why = identity instanceof Error ? identity.message : "it is a public key";
    throw new ConnectError("unconfigured", `the SSH identity cannot be used: ${why}`);
  }
  const description = `ssh ${config.user}@${hostPort(config.address, config.port)}`;
  const tcp = socketFlow(await openTcp(config, signal), { description, secure: false });
  const transport = new Transport(tcp);
  const client = new Client();
  const giveUp = () => transport.destroy();
  signal.addEventListener("abort", giveUp, { once: true });
  let wrong: WrongKey | undefined;
  try {
    signal.throwIfAborted();
    const ready = new Promise<void>((resolve, reject) => {
      client.once("ready", resolve);
      client.on("error", (error) => reject(clientError(error, description)));
      client.once("close", () => reject(transport.lost ?? new FlowError("reset", `${description}: closed`)));
    });
    const login: PublicKeyAuthMethod = { type: "publickey", username: config.user, key: config.identity };
    const settings: ConnectConfig = {
      sock: transport,
      username: config.user,
      authHandler: [login],
      hostVerifier: (key: Uint8Array) => {
        const fingerprint = sshFingerprint(key);
        const trusted = config.hostKeys.includes(fingerprint);
        if (!trusted) wrong = { wrongKey: { algorithm: algorithmOf(key) ?? "unknown", fingerprint } };
        return trusted;
      },
      algorithms: { serverHostKey: [...serverHostKey] },
      readyTimeout: 0, // the attempt's own clock runs
      keepaliveInterval: 15_000,
      keepaliveCountMax: 4,
    };
    client.connect(settings);
    await ready;
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
    if (error instanceof FlowError) throw new ConnectError("protocol", error.message, { cause: error });
    throw error;
  } finally {
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
    case "client-socket":
      return new ConnectError("protocol", error.message, { cause: error });
    default:
      return new ConnectError("protocol", `${description}: ${error.message}`, { cause: error });
  }
}
