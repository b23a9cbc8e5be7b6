/** `certify`: gets a host's certificate through DNS and writes key, request and chain. */
import { join } from "node:path";
import { obtainCertificate, type ObtainOutcome, type PullerFiles } from "../acme/mod.ts";
import { connect, createRegistry, tcpResolver } from "../conduit/mod.ts";
import {
  createDnsClient,
  isAtOrBelow,
  keyRight,
  type Name,
  parseKeyFile,
  parseName,
  ROOT,
  type TsigKey,
} from "../dns/mod.ts";
import { formatHostPort, parseHostPort } from "./address.ts";
import { CliError, sentence } from "./errors.ts";
import { userPath } from "./paths.ts";
import { waitFor } from "./wait.ts";

interface CertifyFlags {
  readonly san?: readonly string[];
  readonly server: string;
  readonly keyFile: string;
  readonly out: string;
  readonly timeout: string;
  readonly watch?: boolean;
  readonly exec?: string;
  readonly revoke?: boolean;
}

/** @returns 0 with a valid certificate on disk, 1 where it was refused or did not come in time */
export async function certify(host: string, flags: CertifyFlags): Promise<number> {
  for (const flag of ["watch", "exec", "revoke"] as const) {
    if (flags[flag] !== undefined) throw new CliError(`--${flag} is not in this version`);
  }
  const server = parseHostPort(flags.server, "--server");
  const timeout = Number(flags.timeout);
  if (!Number.isInteger(timeout) || timeout < 1 || timeout > 86_400) {
    throw new CliError(`--timeout: "${flags.timeout}" is not a number of seconds`);
  }
  const key = readKey(userPath(flags.keyFile));
  const out = userPath(flags.out);
  Deno.mkdirSync(out, { recursive: true, mode: 0o755 });

  const registry = createRegistry().with(tcpResolver());
  const client = createDnsClient({
    open: () => connect(registry, { scheme: "tcp", ...server }, { timeoutMs: 10_000 }),
    key,
    now: Date.now,
    random: (octets) => crypto.getRandomValues(new Uint8Array(octets)),
    timeoutMs: 10_000,
  });
  try {
    const outcome = await obtainCertificate({
      host,
      sans: flags.san ?? [],
      zone: updateZone(key, host),
      client,
      files: filesIn(out),
      now: Date.now,
      wait: waitFor,
      signal: AbortSignal.timeout(timeout * 1000 + 5000),
      timeout: timeout * 1000,
      progress: (line) => console.error(line),
    });
    return report(outcome, host, out, formatHostPort(server));
  } finally {
    client.close();
  }
}

function report(outcome: ObtainOutcome, host: string, out: string, server: string): number {
  switch (outcome.kind) {
    case "issued":
      console.log(`${host}: issued, valid until ${until(outcome.certificate)}; ${join(out, `${host}.pem`)}`);
      return 0;
    case "already-valid":
      console.log(
        `${host}: the certificate is valid until ${until(outcome.certificate)}; ${join(out, `${host}.pem`)}`,
      );
      return 0;
    case "refused": {
      const next = outcome.next === undefined
        ? ""
        : `; the next attempt is at ${new Date(outcome.next).toISOString()}`;
      console.error(`bailiwick: ${host}: refused: ${outcome.reason}${next}`);
      return 1;
    }
    case "timeout":
      console.error(`bailiwick: ${host}: no certificate in time: ${outcome.reason}`);
      return 1;
    case "unreachable":
      console.error(`bailiwick: ${server}: ${outcome.reason}`);
      return 1;
    case "unusable":
      throw new CliError(outcome.reason);
  }
}

function until(certificate: { readonly notAfter: number | Date }): string {
  return new Date(certificate.notAfter).toISOString();
}

function readKey(path: string): TsigKey {
  let text: string;
  try {
    text = Deno.readTextFileSync(path);
  } catch (error) {
    throw new CliError(`--key-file: ${path} cannot be read: ${sentence(error)}`);
  }
  const parsed = parseKeyFile(text);
  if (!parsed.ok) throw new CliError(`--key-file: ${path}: ${parsed.error.message}`);
  if (parsed.value.length !== 1) {
    throw new CliError(`--key-file: ${path} holds ${parsed.value.length} keys, not one`);
  }
  return parsed.value[0];
}

/**
 * The zone section: where the key has its right, if that covers the host; else the host itself, for the server to judge, which
 * finds the zone. A key of another server's naming says nothing of its scope.
 */
function updateZone(key: TsigKey, host: string): Name {
  const name = parseName(host);
  if (!name.ok) throw new CliError(`"${host}" is no host name: ${name.error.message}`);
  const scope = keyRight(key.name)?.zone;
  return scope === undefined || scope === ROOT || !isAtOrBelow(name.value, scope) ? name.value : scope;
}

function filesIn(folder: string): PullerFiles {
  return {
    async read(name) {
      try {
        return await Deno.readTextFile(join(folder, name));
      } catch (error) {
        if (error instanceof Deno.errors.NotFound) return undefined;
        throw error;
      }
    },
    async writeNew(name, content, mode) {
      const temporary = await writeTemporary(folder, content, mode);
      try {
        await Deno.link(temporary, join(folder, name));
        return true;
      } catch (error) {
        if (error instanceof Deno.errors.AlreadyExists) return false;
        throw error;
      } finally {
        await Deno.remove(temporary);
      }
    },
    async replace(name, content, mode) {
      await Deno.rename(await writeTemporary(folder, content, mode), join(folder, name));
    },
  };
}

async function writeTemporary(folder: string, content: string, mode: number): Promise<string> {
  const path = join(folder, `.${crypto.randomUUID()}`);
  using file = await Deno.open(path, { write: true, createNew: true, mode });
  const bytes = new TextEncoder().encode(content);
  for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
  await file.sync();
  return path;
}
