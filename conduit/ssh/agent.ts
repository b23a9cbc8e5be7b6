/** Who we are to SSH servers: keys that an agent holds (draft-miller-ssh-agent). */
// @ts-types="@types/ssh2"
import type {
  BaseAgent,
  GetStreamCallback,
  IdentityCallback,
  ParsedKey,
  SignCallback,
  SigningRequestOptions,
} from "ssh2";
import type { Result } from "../flow.ts";
import { ConnectError } from "../protocol.ts";
import { RSA_HASHES, signingVariants } from "./identity.ts";
import { algorithmOf, KEY_ALGORITHMS, loadSsh2, parsePublicKey, sshFingerprint } from "./keys.ts";

/** An agent that is asked for signatures. */
export interface SshAgentOptions {
  /** The path of its socket; `"environment"`: what `SSH_AUTH_SOCK` names. */
  readonly socket: string;
  /** The one key of it to use, as `SHA256:…` or as a public key line; else all of them, in the agent's order. */
  readonly key?: string | undefined;
}

/** An agent as it is used. */
export interface SshAgent {
  readonly socket: string;
  /** The fingerprint of the one key to use. */
  readonly key: string | undefined;
}

/** The error is a sentence. */
export function readAgent(
  { socket, key }: SshAgentOptions,
  environment: (name: string) => string | undefined,
): Result<SshAgent, string> {
  const path = socket === "environment" ? environment("SSH_AUTH_SOCK") : socket;
  if (path === undefined || path === "") return { ok: false, error: "SSH_AUTH_SOCK names no agent" };
  if (key === undefined || /^SHA256:[A-Za-z0-9+/]{43}$/.test(key)) {
    return { ok: true, value: { socket: path, key } };
  }
  const parsed = parsePublicKey(key.trim());
  if (!parsed.ok) {
    return { ok: false, error: `the agent's key is given by its fingerprint or its public key` };
  }
  return { ok: true, value: { socket: path, key: sshFingerprint(parsed.value.blob) } };
}

/** An agent offers its keys one after another, and servers close after a few. */
const MAX_AGENT_KEYS = 16;

/**
 * Asks an agent which keys it has. What comes back is given to the package, and holds those alone that are to be
 * used.
 * @throws {ConnectError} `unconfigured` for an agent that does not answer or has no such key
 */
export async function askAgent(agent: SshAgent, signal: AbortSignal): Promise<BaseAgent<ParsedKey>> {
  const { BaseAgent, OpenSSHAgent } = await loadSsh2();
  // The package waits for an agent for ever; its connections end with the attempt that they are for.
  const inner = new class extends OpenSSHAgent {
    override getStream(callback: GetStreamCallback): void {
      super.getStream((error, stream) => {
        const end = () => void stream?.destroy();
        signal.addEventListener("abort", end, { once: true });
        stream?.once("close", () => signal.removeEventListener("abort", end));
        if (signal.aborted) end();
        callback(error, stream);
      });
    }
  }(agent.socket);
  const all = await new Promise<readonly ParsedKey[]>((resolve, reject) => {
    inner.getIdentities((error, keys) => {
      if (error || keys === undefined) reject(error ?? new Error("no keys came"));
      else resolve(keys.flatMap((key) => "getPublicSSH" in Object(key) ? [key as ParsedKey] : []));
    });
  }).catch((error: Error) => {
    const message = `the SSH agent at ${agent.socket} does not answer: ${error.message}`;
    throw new ConnectError("unconfigured", message, { cause: error });
  });
  const usable = all.filter((key) => {
    const blob = key.getPublicSSH();
    return KEY_ALGORITHMS.includes(algorithmOf(blob) ?? "") &&
      (agent.key === undefined || sshFingerprint(blob) === agent.key);
  }).slice(0, MAX_AGENT_KEYS);
  if (usable.length === 0) {
    const which = agent.key === undefined ? "no key of a known type" : `no key ${agent.key}`;
    throw new ConnectError("unconfigured", `the SSH agent at ${agent.socket} has ${which}`);
  }
  const variants = usable.flatMap((key) => signingVariants(key));
  return new class extends BaseAgent<ParsedKey> {
    override getIdentities(callback: IdentityCallback<ParsedKey>): void {
      callback(undefined, variants);
    }
    override sign(
      key: ParsedKey,
      data: Parameters<BaseAgent["sign"]>[1],
      options: SigningRequestOptions | SignCallback,
      callback?: SignCallback,
    ): void {
      const hash = RSA_HASHES.find(([type]) => type === String(key.type))?.[1];
      const original = hash === undefined ? key : Object.getPrototypeOf(key);
      inner.sign(
        original,
        data,
        hash === undefined ? {} : { hash },
        typeof options === "function" ? options : callback,
      );
    }
  }();
}
