import {
  generateSshKey,
  knownHostsLine,
  type Listener,
  listenSsh,
  type ListenSshOptions,
  parsePublicKey,
  sshFingerprint,
  type SshKeyPair,
  type SshSession,
} from "../../conduit/mod.ts";
import { valueOf } from "./flows.ts";

export interface TestServer extends Listener {
  readonly hostKey: SshKeyPair;
  readonly clientKey: SshKeyPair;
}

/**
 * A listener with a new host key; `dir` gets the client's key `id` and a `known_hosts`. The only identity is
 * `me@example`.
 */
export async function listenOn(
  dir: string,
  exec: (session: SshSession<string>) => Promise<void> | void,
  more: Partial<ListenSshOptions<string>> = {},
): Promise<TestServer> {
  const hostKey = generateSshKey("host");
  const clientKey = generateSshKey("me@example");
  await installKey(`${dir}/id`, clientKey);
  const known = sshFingerprint(blobOf(clientKey));
  const listener = valueOf(
    await listenSsh<string>({
      host: "127.0.0.1",
      port: 0,
      hostKeys: [hostKey.privateKey],
      authorize: (key, user) =>
        Promise.resolve(key.fingerprint === known && user === "git" ? "me@example" : undefined),
      exec,
      ...more,
    }),
  );
  const key = { algorithm: "ssh-ed25519", blob: blobOf(hostKey) };
  await Deno.writeTextFile(
    `${dir}/known_hosts`,
    knownHostsLine("127.0.0.1", listener.address.port, key) + "\n",
  );
  return {
    get connections() {
      return listener.connections;
    },
    address: listener.address,
    stop: (options) => listener.stop(options),
    hostKey,
    clientKey,
  };
}

/** Arguments of `ssh` up to the host: nothing of the user's configuration, strict about the host key. */
export function sshArgs(
  dir: string,
  server: Listener,
  options: { key?: string; more?: string[] } = {},
): string[] {
  return [
    ...[
      "-F",
      "/dev/null",
      "-i",
      options.key ?? `${dir}/id`,
      "-p",
      String(server.address.port),
      "-o",
      "LogLevel=ERROR",
    ],
    ...["-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "BatchMode=yes"],
    ...["-o", `UserKnownHostsFile=${dir}/known_hosts`, "-o", "StrictHostKeyChecking=yes"],
    ...(options.more ?? []),
    "git@127.0.0.1",
  ];
}

/** Writes a key pair as `PATH` and `PATH.pub`, so that OpenSSH accepts its mode. */
export async function installKey(path: string, pair: SshKeyPair): Promise<void> {
  await Deno.writeTextFile(path, pair.privateKey, { mode: 0o600 });
  await Deno.chmod(path, 0o600);
  await Deno.writeTextFile(`${path}.pub`, pair.publicKey + "\n");
}

export function blobOf(pair: SshKeyPair): Uint8Array {
  const parsed = parsePublicKey(pair.publicKey);
  if (!parsed.ok) throw new Error(parsed.error);
  return parsed.value.blob;
}
