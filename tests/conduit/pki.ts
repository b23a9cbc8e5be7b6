/** Certificates made by openssl for one test. */
import { run } from "../tools/real.ts";

export interface TestAuthority {
  /** PEM. */
  readonly root: string;
  /** A certificate for these names (DNS names or IP addresses), and its key. */
  issue(name: string, more?: readonly string[]): Promise<{ cert: string; key: string }>;
}

export async function makeAuthority(dir: string): Promise<TestAuthority> {
  const id = crypto.randomUUID();
  const file = (name: string) => `${dir}/${id}-${name}`;
  await openssl("req", "-x509", ...CURVE, "-subj", `/CN=root ${id}`, "-days", "2", ...[
    ...["-keyout", file("root.key"), "-out", file("root.pem")],
  ]);
  let count = 0;
  return {
    root: await Deno.readTextFile(file("root.pem")),
    async issue(name, more = []) {
      const leaf = `leaf${count++}`;
      const names = [name, ...more].map((each) => `${/^[\d.]+$|:/.test(each) ? "IP" : "DNS"}:${each}`);
      await openssl("req", "-x509", ...CURVE, "-subj", `/CN=${name}`, "-days", "2", ...[
        ...["-addext", `subjectAltName=${names.join(",")}`],
        ...["-addext", "basicConstraints=critical,CA:FALSE"],
        ...["-CA", file("root.pem"), "-CAkey", file("root.key")],
        ...["-keyout", file(`${leaf}.key`), "-out", file(`${leaf}.pem`)],
      ]);
      const [cert, key] = await Promise.all(
        [`${leaf}.pem`, `${leaf}.key`].map((each) => Deno.readTextFile(file(each))),
      );
      return { cert, key };
    },
  };
}

const CURVE = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

async function openssl(...args: string[]): Promise<void> {
  await run("openssl", args);
}
