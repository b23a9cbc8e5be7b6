/** Keys and requests as openssl makes them. */
import { run } from "../tools/real.ts";

/** PKCS#10 in DER. `key` is the algorithm and its options; each extension a line of openssl's configuration. */
export async function opensslRequest(
  dir: string,
  options: {
    readonly key: readonly string[];
    readonly subject: string;
    readonly extensions: readonly string[];
    readonly digest?: string | undefined;
  },
): Promise<Uint8Array> {
  const [algorithm, ...pkeyopts] = options.key;
  await run("openssl", [
    "genpkey",
    "-algorithm",
    algorithm,
    ...pkeyopts.flatMap((each) => ["-pkeyopt", each]),
    "-out",
    `${dir}/key.pem`,
  ]);
  await run("openssl", [
    "req",
    "-new",
    "-key",
    `${dir}/key.pem`,
    "-multivalue-rdn",
    "-subj",
    options.subject,
    ...options.extensions.flatMap((each) => ["-addext", each]),
    ...(options.digest === undefined ? [] : [`-${options.digest}`]),
    "-outform",
    "DER",
    "-out",
    `${dir}/req.der`,
  ]);
  return await Deno.readFile(`${dir}/req.der`);
}
