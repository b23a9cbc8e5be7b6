// @ts-types="@types/ssh2"
import type { AuthContext, PublicKeyAuthContext } from "ssh2";
import { KEY_ALGORITHMS, loadSsh2, sshFingerprint, type SshPublicKey } from "./keys.ts";
import type { ListenSshOptions } from "./listen.ts";

export interface OfferedKey extends SshPublicKey {
  /** `SHA256:…` */
  readonly fingerprint: string;
}

const MAX_AUTH_TRIES = 20;
const MAX_USER_LENGTH = 256;

/** Public key logins (RFC 4252 §7): the key must be known, and the signature good where there is one. */
export function createLogin<Identity>(
  options: ListenSshOptions<Identity>,
  accepted: (identity: Identity, user: string) => void,
  giveUp: (reason: string) => void,
): (context: AuthContext) => void {
  let tries = 0;
  const judge = async (context: AuthContext): Promise<void> => {
    if (context.method !== "publickey" || context.username.length > MAX_USER_LENGTH) {
      if (context.method !== "none") tries++;
      return refuse(context);
    }
    if (context.signature === undefined) tries++;
    const key = await provenKey(context);
    const identity = key && await options.authorize(key, context.username);
    if (identity === undefined) return refuse(context);
    if (context.signature !== undefined) accepted(identity, context.username);
    context.accept();
  };
  const refuse = (context: AuthContext) => {
    if (tries > (options.maxAuthTries ?? MAX_AUTH_TRIES)) giveUp("too many keys were offered");
    else context.reject(["publickey"]);
  };
  return (context) => {
    judge(context).catch((error) =>
      giveUp(`login failed: ${error instanceof Error ? error.message : String(error)}`)
    );
  };
}

/** The key that is offered; `undefined` where it is of no use or its signature is bad. */
async function provenKey(context: PublicKeyAuthContext): Promise<OfferedKey | undefined> {
  const { algo, data } = context.key;
  if (!KEY_ALGORITHMS.includes(algo)) return undefined;
  // RSA without a hash algorithm is the SHA-1 signature of RFC 4253.
  if (algo === "ssh-rsa" && context.hashAlgo === undefined) return undefined;
  const blob = new Uint8Array(data);
  const key = { algorithm: algo, blob, fingerprint: sshFingerprint(blob) };
  if (context.signature === undefined) return key;
  const { utils } = await loadSsh2();
  const parsed = utils.parseKey(`${algo} ${data.toString("base64")}`);
  if (parsed instanceof Error || context.blob === undefined) return undefined;
  return parsed.verify(context.blob, context.signature, context.hashAlgo) === true ? key : undefined;
}
