/** An OpenSSH server of a test's own: keys, configuration and log in the test's folder. */
import { freePort } from "./ports.ts";
import { findProgram, run } from "./real.ts";

export interface Sshd {
  readonly port: number;
  /** `SHA256:…` of its Ed25519 host key. */
  readonly pin: string;
  /** The same of its other host keys, by type. */
  readonly pins: ReadonlyMap<HostKeyType, string>;
  /** The private key file that may log in as root. */
  readonly identity: string;
  stop(): Promise<void>;
}

export type HostKeyType = "ed25519" | "ecdsa" | "rsa";

export interface SshdOptions {
  /** Default: a free one. */
  readonly port?: number;
  /** Beside Ed25519. */
  readonly moreHostKeys?: readonly HostKeyType[];
  /** Whether a client may set `GIT_PROTOCOL`; default true. */
  readonly acceptEnv?: boolean;
}

/** Why these tests are left out where they cannot run. */
export const SSHD_NEEDS_ROOT = Deno.uid() === 0 ? undefined : "sshd needs root";

/** Starts sshd. Called again for the same folder it has the same keys. */
export async function startSshd(dir: string, options: SshdOptions = {}): Promise<Sshd> {
  const port = options.port ?? freePort();
  const types: readonly HostKeyType[] = ["ed25519", ...options.moreHostKeys ?? []];
  const hostKey = (type: HostKeyType) => `${dir}/sshd_host_${type}`;
  for (const type of types) await makeKey(hostKey(type), type);
  await makeKey(`${dir}/sshd_client`, "ed25519");
  await Deno.copyFile(`${dir}/sshd_client.pub`, `${dir}/sshd_authorized`);
  await Deno.mkdir("/run/sshd", { recursive: true });
  const configuration = [
    `ListenAddress 127.0.0.1:${port}`,
    ...types.map((type) => `HostKey ${hostKey(type)}`),
    `AuthorizedKeysFile ${dir}/sshd_authorized`,
    "PidFile none",
    "StrictModes no",
    "UsePAM no",
    "PasswordAuthentication no",
    "PermitRootLogin prohibit-password",
    ...(options.acceptEnv === false ? [] : ["AcceptEnv GIT_PROTOCOL"]),
    "",
  ];
  await Deno.writeTextFile(`${dir}/sshd_config`, configuration.join("\n"));
  const child = new Deno.Command(findProgram("sshd") ?? "sshd", {
    args: ["-D", "-e", "-f", `${dir}/sshd_config`],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const log = child.stderr.getReader();
  for (let output = ""; !output.includes("Server listening");) {
    const { value, done } = await log.read();
    if (done) throw new Error(`sshd ended: ${output}`);
    output += new TextDecoder().decode(value);
  }
  const drained = drain(log);
  const pins = new Map<HostKeyType, string>();
  for (const type of types) {
    pins.set(type, (await run("ssh-keygen", ["-lf", `${hostKey(type)}.pub`])).stdout.split(" ")[1]);
  }
  return {
    port,
    pin: pins.get("ed25519") ?? "",
    pins,
    identity: `${dir}/sshd_client`,
    async stop() {
      child.kill("SIGTERM");
      await Promise.all([child.status, drained]);
    },
  };
}

async function makeKey(path: string, type: HostKeyType): Promise<void> {
  try {
    await Deno.lstat(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    await run("ssh-keygen", ["-q", "-t", type, "-N", "", "-f", path]);
  }
}

/** Somebody must read, or a talkative server stands still. */
async function drain(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
  while (!(await reader.read()).done);
}
