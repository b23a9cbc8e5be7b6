/** An OpenSSH server of a test's own: keys, configuration and log in the test's folder. */
import { findProgram, run } from "./real.ts";

export interface Sshd {
  readonly port: number;
  /** `SHA256:…` of its Ed25519 host key. */
  readonly pin: string;
  /** The private key file that may log in as root. */
  readonly identity: string;
  stop(): Promise<void>;
}

/** Why these tests are left out where they cannot run. */
export const SSHD_NEEDS_ROOT = Deno.uid() === 0 ? undefined : "sshd needs root";

/** Starts sshd on a port (default: a free one). Called again for the same folder it has the same keys. */
export async function startSshd(dir: string, port = freePort()): Promise<Sshd> {
  await makeKey(`${dir}/sshd_host`);
  await makeKey(`${dir}/sshd_client`);
  await Deno.copyFile(`${dir}/sshd_client.pub`, `${dir}/sshd_authorized`);
  await Deno.mkdir("/run/sshd", { recursive: true });
  const configuration = [
    `ListenAddress 127.0.0.1:${port}`,
    `HostKey ${dir}/sshd_host`,
    `AuthorizedKeysFile ${dir}/sshd_authorized`,
    "PidFile none",
    "StrictModes no",
    "UsePAM no",
    "PasswordAuthentication no",
    "PermitRootLogin prohibit-password",
    "AcceptEnv GIT_PROTOCOL",
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
  let output = "";
  while (!output.includes("Server listening")) {
    const { value, done } = await log.read();
    if (done) throw new Error(`sshd ended: ${output}`);
    output += new TextDecoder().decode(value);
  }
  const drained = drain(log);
  const { stdout } = await run("ssh-keygen", ["-lf", `${dir}/sshd_host.pub`]);
  return {
    port,
    pin: stdout.split(" ")[1],
    identity: `${dir}/sshd_client`,
    async stop() {
      child.kill("SIGTERM");
      await Promise.all([child.status, drained]);
    },
  };
}

async function makeKey(path: string): Promise<void> {
  try {
    await Deno.lstat(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    await run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", path]);
  }
}

async function drain(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
  while (!(await reader.read()).done);
}

function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  listener.close();
  return listener.addr.port;
}
