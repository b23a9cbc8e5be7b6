/** What smart HTTP puts before an advertisement (gitprotocol-http). Pure. */
import type { StoreError } from "../types.ts";
import { oneLine } from "./advertisement.ts";
import type { GitService } from "./git_command.ts";
import { lineOf, PktDecoder } from "./pkt_line.ts";

/**
 * An advertisement without what HTTP puts before it: a packet that names the service, and a flush. v2 servers leave it
 * out; any other that does is no server of git.
 */
export async function* afterServiceHeader(
  body: AsyncIterable<Uint8Array>,
  service: GitService,
  fault: (problem: string) => StoreError,
): AsyncGenerator<Uint8Array, void, undefined> {
  const decoder = new PktDecoder();
  const held: Uint8Array[] = [];
  let stage: "header" | "flush" | "open" = "header";
  for await (const bytes of body) {
    if (stage === "open") {
      yield bytes;
      continue;
    }
    held.push(bytes);
    decoder.push(bytes);
    for (let pkt = decoder.next(); pkt !== undefined; pkt = decoder.next()) {
      const line = pkt.kind === "data" ? lineOf(pkt.payload) ?? "" : pkt.kind;
      if (stage === "flush") {
        if (line !== "flush") throw fault(`${oneLine(line)} where the service's header was to end`);
        stage = "open";
        held.splice(0, held.length, decoder.takeRest());
      } else if (line === `# service=${service}`) stage = "flush";
      else if (line === "version 2" || line.startsWith("ERR ")) stage = "open";
      else {throw fault(
          `not a smart git server: it begins with ${JSON.stringify(oneLine(line).slice(0, 80))}`,
        );}
      if (stage === "open") break;
    }
    if (stage === "open") yield* held.splice(0);
  }
  if (stage !== "open") throw fault("ended in its advertisement");
}
