/** A validating resolver that asks one server for all zones. */
import {
  buildMessage,
  nameFrom,
  type ParsedMessage,
  parseMessage,
  queryFor,
  typeFromName,
} from "../../dns/mod.ts";
import { findProgram } from "../tools/real.ts";
import { ask, freePort } from "./answer_servers.ts";

export interface Resolver {
  /** The resolver's answer to a question with DO: AD says that it is secure (RFC 4035 §3.2.3), SERVFAIL that it is bogus. */
  resolve(name: string, type: string): Promise<ParsedMessage>;
  /** What it had to say. */
  log(): string;
  stop(): Promise<void>;
}

export interface ResolverOptions {
  /** DS or DNSKEY of the root. */
  readonly anchor: string;
  readonly origins: readonly string[];
  readonly port: number;
}

/** Nothing is kept in its cache, so that every question is asked anew. */
export async function startUnbound(dir: string, options: ResolverOptions): Promise<Resolver> {
  const port = freePort();
  await Deno.writeTextFile(`${dir}/anchor`, options.anchor);
  await Deno.writeTextFile(`${dir}/unbound.conf`, configuration(dir, port, options));
  const child = new Deno.Command(findProgram("unbound") ?? "unbound", {
    args: ["-d", "-d", "-p", "-c", `${dir}/unbound.conf`],
    stdout: "null",
    stderr: "piped",
  }).spawn();
  let log = "";
  const drained = child.stderr.pipeThrough(new TextDecoderStream()).pipeTo(
    new WritableStream({ write: (text) => void (log += text) }),
  );
  const resolver: Resolver = {
    async resolve(name, type) {
      const number = typeFromName(type);
      if (number === undefined) throw new RangeError(`no type ${type}`);
      const edns = { udpSize: 4096, version: 0, dnssecOk: true, options: [] };
      const query = queryFor({ name: nameFrom(name), type: number }, { id: 1, edns });
      const wire = buildMessage({ ...query, recursionDesired: true });
      const reply = await ask(port, wire, 5000);
      const parsed = reply && parseMessage(reply);
      if (!parsed?.ok) throw new Error(`unbound does not answer ${name} ${type}:\n${log}`);
      return parsed.value;
    },
    log: () => log,
    async stop() {
      child.kill("SIGTERM");
      await child.status;
      await drained;
    },
  };
  for (let attempt = 0; attempt < 50; attempt++) {
    const reply = await resolver.resolve(".", "SOA").catch(() => undefined);
    if (reply !== undefined) return resolver;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  await resolver.stop();
  throw new Error(`unbound did not start:\n${log}`);
}

function configuration(dir: string, port: number, options: ResolverOptions): string {
  const stubs = options.origins.map((origin) =>
    `stub-zone:\n  name: "${origin}"\n  stub-addr: 127.0.0.1@${options.port}\n`
  );
  return `server:
  directory: "${dir}"
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  verbosity: 1
  val-log-level: 2
  num-threads: 1
  outgoing-range: 64
  interface: 127.0.0.1
  port: ${port}
  do-ip6: no
  do-not-query-localhost: no
  access-control: 127.0.0.0/8 allow
  module-config: "validator iterator"
  trust-anchor-file: "${dir}/anchor"
  local-zone: "test." nodefault
  local-zone: "invalid." nodefault
  cache-max-ttl: 0
  cache-max-negative-ttl: 0
  key-cache-size: 64k
  minimal-responses: no
  qname-minimisation: no
  aggressive-nsec: no
  harden-referral-path: no
  target-fetch-policy: "0 0 0 0 0"
remote-control:
  control-enable: no
${stubs.join("")}`;
}
