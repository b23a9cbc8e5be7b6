/**
 * Pebble, Let's Encrypt's test authority, for tests: started on free ports with certificates made on the spot, asking
 * the DNS server that it is given.
 */
import { freePorts } from "./ports.ts";
import { findProgram, run } from "./real.ts";

export interface Pebble {
  readonly directoryUrl: string;
  /** What signed the certificate of Pebble's own HTTPS, in PEM: to be trusted for the directory. */
  readonly caCertificate: string;
  /** The root of the chains that it issues, in PEM. New at every start. */
  issuingRoot(): Promise<string>;
  /** What it has written so far. */
  log(): string;
  stop(): Promise<void>;
}

export interface PebbleOptions {
  /** A folder for its files. */
  readonly dir: string;
  /** `HOST:PORT` of the DNS server that it validates with. */
  readonly dnsServer: string;
  /** Share of valid nonces that it refuses, in per cent; 20 unless given. */
  readonly nonceReject?: number;
}

const STARTING = 10_000;

export async function startPebble(options: PebbleOptions): Promise<Pebble> {
  const { dir } = options;
  await makeCertificates(dir);
  const [port, managementPort, httpPort, tlsPort] = freePorts(4);
  const config = {
    pebble: {
      listenAddress: `127.0.0.1:${port}`,
      managementListenAddress: `127.0.0.1:${managementPort}`,
      certificate: `${dir}/pebble-leaf.pem`,
      privateKey: `${dir}/pebble-leaf.key`,
      httpPort,
      tlsPort,
      ocspResponderURL: "",
      externalAccountBindingRequired: false,
    },
  };
  await Deno.writeTextFile(`${dir}/pebble.json`, JSON.stringify(config));
  const child = new Deno.Command(findProgram("pebble") ?? "pebble", {
    args: ["-config", `${dir}/pebble.json`, "-dnsserver", options.dnsServer],
    clearEnv: true,
    env: {
      PEBBLE_VA_NOSLEEP: "1",
      PEBBLE_WFE_NONCEREJECT: String(options.nonceReject ?? 20),
      PEBBLE_AUTHZREUSE: "0",
    },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  let written = "";
  const keep = async (stream: ReadableStream<Uint8Array>) => {
    for await (const chunk of stream) written += new TextDecoder().decode(chunk);
  };
  const streams = Promise.all([keep(child.stdout), keep(child.stderr)]);
  const caCertificate = await Deno.readTextFile(`${dir}/pebble-ca.pem`);
  const client = Deno.createHttpClient({ caCerts: [caCertificate] });
  const stop = async () => {
    client.close();
    try {
      child.kill("SIGTERM");
    } catch (error) {
      // It ended by itself; its exit is awaited below all the same.
      if (!(error instanceof TypeError) && !(error instanceof Deno.errors.NotFound)) throw error;
    }
    await child.status;
    await streams;
  };
  const directoryUrl = `https://127.0.0.1:${port}/dir`;
  const deadline = Date.now() + STARTING;
  while (!await answers(directoryUrl, client)) {
    if (Date.now() > deadline) {
      await stop();
      throw new Error(`pebble did not start:\n${written}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return {
    directoryUrl,
    caCertificate,
    issuingRoot: async () => {
      const response = await fetch(`https://127.0.0.1:${managementPort}/roots/0`, { client });
      return await response.text();
    },
    log: () => written,
    stop,
  };
}

async function answers(url: string, client: Deno.HttpClient): Promise<boolean> {
  try {
    const response = await fetch(url, { client });
    await response.body?.cancel();
    return response.ok;
  } catch (error) {
    if (error instanceof TypeError) return false;
    throw error;
  }
}

/** Debian's package names certificates that it does not ship: a CA and a leaf for localhost. */
async function makeCertificates(dir: string): Promise<void> {
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  await run("openssl", [
    ...["req", "-x509", ...key, "-days", "2", "-subj", "/CN=Pebble test CA"],
    ...["-keyout", `${dir}/pebble-ca.key`, "-out", `${dir}/pebble-ca.pem`],
    ...["-addext", "basicConstraints=critical,CA:TRUE"],
  ]);
  await run("openssl", [
    ...["req", ...key, "-subj", "/CN=localhost", "-keyout", `${dir}/pebble-leaf.key`],
    ...["-out", `${dir}/pebble-leaf.csr`],
  ]);
  await Deno.writeTextFile(
    `${dir}/pebble-leaf.ext`,
    "subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=critical,CA:FALSE\nextendedKeyUsage=serverAuth\n",
  );
  await run("openssl", [
    ...["x509", "-req", "-days", "2", "-in", `${dir}/pebble-leaf.csr`, "-out", `${dir}/pebble-leaf.pem`],
    ...["-CA", `${dir}/pebble-ca.pem`, "-CAkey", `${dir}/pebble-ca.key`, "-CAcreateserial"],
    ...["-extfile", `${dir}/pebble-leaf.ext`],
  ]);
}
