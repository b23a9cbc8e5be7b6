/** The data directory as the contract lays it out: who may read what, and the keys that a first start makes. */
import { join } from "node:path";
import type { SshKeyPair } from "../conduit/mod.ts";
import { generateTsigKey, nameFrom, printKeyFile } from "../dns/mod.ts";
import { type Signer, signerFrom } from "../store/mod.ts";
import { CliError, sentence } from "./errors.ts";

export interface DataDir {
  readonly root: string;
  readonly repository: string;
  readonly state: string;
  readonly keys: string;
  readonly tsigKeys: string;
  readonly adminKey: string;
  readonly authorizedKeys: string;
  readonly knownHosts: string;
  readonly allowedSigners: string;
  readonly ca: string;
}

export function dataDirAt(root: string): DataDir {
  const keys = join(root, "keys");
  return {
    root,
    repository: join(root, "zones.git"),
    state: join(root, "state.db"),
    keys,
    tsigKeys: join(keys, "tsig"),
    adminKey: join(keys, "admin.key"),
    authorizedKeys: join(keys, "authorized_keys"),
    knownHosts: join(keys, "known_hosts"),
    allowedSigners: join(keys, "allowed_signers"),
    ca: join(root, "ca"),
  };
}

/**
 * Makes the folders that are not there.
 * @throws {CliError} naming the folder that cannot be made or entered
 */
export function makeFolders(dir: DataDir): void {
  for (
    const [path, mode] of [[dir.root, 0o755], [dir.keys, 0o700], [dir.tsigKeys, 0o700], [
      dir.ca,
      0o755,
    ]] as const
  ) {
    try {
      Deno.mkdirSync(path, { recursive: true, mode });
      // Reading the folder shows now, in one line, what would otherwise fail later in the middle of something.
      Deno.readDirSync(path)[Symbol.iterator]().next();
    } catch (error) {
      throw new CliError(`the data folder ${path} cannot be used: ${sentence(error)}`);
    }
  }
}

/** Makes the keys that are not there: the first pusher's, the admin's for updates. Never overwrites one. */
export async function makeKeys(dir: DataDir): Promise<void> {
  const client = join(dir.keys, "client_ed25519");
  // The public key last: a start that was killed before it is taken up where it stopped, and a private key that was
  // moved to where it is used is not made again.
  if (!exists(`${client}.pub`)) {
    if (!exists(client)) writePrivate(client, (await newKey(CLIENT)).privateKey);
    const line = `${await publicLine(client)} ${CLIENT}\n`;
    if (!exists(dir.authorizedKeys)) writePrivate(dir.authorizedKeys, line);
    writePrivate(`${client}.pub`, line);
  }
  if (!exists(dir.adminKey)) {
    const key = generateTsigKey(
      nameFrom("admin._update"),
      (length) => crypto.getRandomValues(new Uint8Array(length)),
    );
    writePrivate(dir.adminKey, printKeyFile(key));
  }
}

/** The SSH server's own key, made on the first start. */
export async function hostKey(dir: DataDir): Promise<SshKeyPair> {
  const path = join(dir.keys, "host_ed25519");
  if (exists(path)) {
    return {
      privateKey: Deno.readTextFileSync(path),
      publicKey: Deno.readTextFileSync(`${path}.pub`).trimEnd(),
    };
  }
  const pair = await newKey("bailiwick");
  writePrivate(`${path}.pub`, `${pair.publicKey}\n`);
  writePrivate(path, pair.privateKey);
  return pair;
}

/** The key that signs the server's commits, made on the first start. */
export async function signingKey(dir: DataDir): Promise<Signer> {
  const path = join(dir.keys, "signing_ed25519");
  if (!exists(path)) {
    const pair = await newKey("bailiwick");
    writePrivate(`${path}.pub`, `${pair.publicKey}\n`);
    writePrivate(path, pair.privateKey);
  }
  const signer = signerFrom(Deno.readTextFileSync(path));
  if (!signer.ok) throw new CliError(`${path} cannot be used: ${signer.error}`);
  return signer.value;
}

/** A file for its owner alone, whole or not at all, on disk when this returns. */
export function writePrivate(path: string, content: string): void {
  const temporary = `${path}.${crypto.randomUUID()}`;
  const file = Deno.openSync(temporary, { write: true, createNew: true, mode: 0o600 });
  try {
    const bytes = new TextEncoder().encode(content);
    for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
    file.syncSync();
  } finally {
    file.close();
  }
  Deno.renameSync(temporary, path);
}

/** What makes keys is loaded for it: that is on the first start alone. */
async function newKey(comment: string): Promise<SshKeyPair> {
  const { generateSshKey } = await import("../conduit/mod.ts");
  return generateSshKey(comment);
}

/** `ssh-ed25519 AAAA…` of a private key's file. */
async function publicLine(path: string): Promise<string> {
  const { publicKeyOf } = await import("../conduit/mod.ts");
  const key = await publicKeyOf(Deno.readTextFileSync(path));
  if (!key.ok) throw new CliError(`${path} cannot be used: ${key.error}`);
  return `${key.value.algorithm} ${key.value.blob.toBase64()}`;
}

/** The comment of the first pusher's key, under which its pushes are logged. */
const CLIENT = "bailiwick-client";

export function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
