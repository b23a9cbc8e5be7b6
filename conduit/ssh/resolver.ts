import { addressesOf, type Lookup, systemLookup } from "../addresses.ts";
import { hostPort } from "../endpoint.ts";
import { ConnectError, type Resolver } from "../protocol.ts";
import { type SshConfig, type SshPatience, sshProtocol } from "./client.ts";
import { readTrust } from "./host_trust.ts";
import { readAgent, type SshAgentOptions } from "./agent.ts";
import { readIdentity } from "./identity.ts";
import { sshFingerprint } from "./keys.ts";

export interface SshResolverOptions extends SshPatience {
  /**
   * The text of a private key: OpenSSH's format or PEM; Ed25519, ECDSA or RSA. Without a key or an agent there is no
   * connection; a password is never tried, and there is never a prompt.
   */
  readonly identity?: string | undefined;
  /** Of an encrypted identity. */
  readonly passphrase?: string | undefined;
  readonly agent?: SshAgentOptions | undefined;
  /** Fingerprints `SHA256:…`. Without one, or known hosts, there is no connection: nothing is trusted on first use. */
  readonly hostKeys?: readonly string[] | undefined;
  /**
   * The text of known_hosts files, or what reads it, for each resolution anew. What it trusts is trusted beside the
   * pins; what it revokes is trusted no more, pinned or not. Names are compared with the endpoint's host as written.
   */
  readonly knownHosts?: string | (() => Promise<string>) | undefined;
  /** The host that this identity and these host keys are for; any where it is not given. */
  readonly host?: string | undefined;
  readonly priority?: number | undefined;
  readonly lookup?: Lookup | undefined;
  /** Where an agent of `"environment"` is looked for; default `Deno.env`. */
  readonly environment?: ((name: string) => string | undefined) | undefined;
}

/** SSH to every address of the host, with keys of ours and known host keys. */
export function sshResolver(options: SshResolverOptions): Resolver<SshConfig> {
  const no = (code: "not-applicable" | "unconfigured", message: string) =>
    ({ applies: false, error: new ConnectError(code, message) }) as const;
  // Read once: a key that is encrypted takes its time.
  let reading: ReturnType<typeof readIdentity> | undefined;
  return {
    name: options.host === undefined ? "ssh" : `ssh ${options.host}`,
    priority: options.priority ?? 0,
    protocol: sshProtocol,
    async resolve(endpoint, limits) {
      if (endpoint.scheme !== "ssh") return no("not-applicable", `not for ${endpoint.scheme} endpoints`);
      const { host, port, user, command, env = {} } = endpoint;
      if (options.host !== undefined && options.host !== host) {
        return no("not-applicable", `configured for ${options.host} only`);
      }
      const trust = await readTrust(options, host, port);
      if (!trust.ok) return no("unconfigured", trust.error);
      if (options.identity === undefined && options.agent === undefined) {
        return no("unconfigured", `no SSH identity is configured for ${host}`);
      }
      if (options.identity !== undefined) reading ??= readIdentity(options.identity, options.passphrase);
      const identity = await reading;
      if (identity?.ok === false) {
        return no("unconfigured", `the SSH identity cannot be used: ${identity.error}`);
      }
      const agent = options.agent &&
        readAgent(options.agent, options.environment ?? ((name) => Deno.env.get(name)));
      if (agent?.ok === false) return no("unconfigured", `the SSH agent cannot be used: ${agent.error}`);
      const addresses = await addressesOf(host, options.lookup ?? systemLookup, limits);
      if (!addresses.ok) return { applies: false, error: addresses.error };
      const common = { ...options, identity: identity?.value, agent: agent?.value, trust: trust.value };
      const candidates = addresses.value.map((address) => ({
        target: `ssh ${user}@${hostPort(address, port)}`,
        config: patienceAnd(common, { address, port, user, command, env }),
        notes: describe(common),
      }));
      return { applies: true, candidates };
    },
  };
}

function patienceAnd(
  { identity, agent, trust, handshakeMs, authMs, idleMs, keepAliveMs, keepAliveCount }:
    & Pick<SshConfig, "identity" | "agent" | "trust">
    & SshPatience,
  where: Pick<SshConfig, "address" | "port" | "user" | "command" | "env">,
): SshConfig {
  return { ...where, identity, agent, trust, handshakeMs, authMs, idleMs, keepAliveMs, keepAliveCount };
}

function describe({ identity, agent, trust }: Pick<SshConfig, "identity" | "agent" | "trust">): string[] {
  const key = identity?.publicKey;
  return [
    ...(key === undefined ? [] : [`with the key ${sshFingerprint(key.blob)} (${key.algorithm})`]),
    ...(agent === undefined ? [] : [`with ${agent.key ?? "any key"} of the agent at ${agent.socket}`]),
    `host keys trusted: ${trust.trusted.join(", ")}`,
  ];
}
