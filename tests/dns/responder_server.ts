/** A small server over a zone in memory: what the responder and the TCP server need of the rest, and no more. */
import { buildMessage } from "../../dns/message/build.ts";
import { EDE, RCODE } from "../../dns/message/codes.ts";
import { opcodeOf } from "../../dns/message/header.ts";
import { parseMessage } from "../../dns/message/parse.ts";
import { plainEdns, responseTo } from "../../dns/message/respond.ts";
import { isAtOrBelow } from "../../dns/name.ts";
import {
  createResponder,
  type Respond,
  type ResponderEvent,
  type ResponderOptions,
} from "../../dns/server/responder.ts";
import { startTcpServer } from "../../dns/server/tcp.ts";
import type { TcpLimits } from "../../dns/server/tcp_limits.ts";
import { checkPrerequisites } from "../../dns/update/prerequisites.ts";
import type { TsigKey } from "../../dns/types.ts";
import { applyTo, ORIGIN, type ToyZone } from "./update_zone.ts";

export interface ToyServer {
  readonly respond: Respond;
  readonly events: ResponderEvent[];
  /** How many updates were carried out. */
  readonly applied: () => number;
  readonly answer: ResponderOptions["answer"];
}

export function toyServer(
  zone: ToyZone,
  keys: readonly TsigKey[],
  options: Partial<Pick<ResponderOptions, "now" | "update" | "rememberedUpdates">> = {},
): ToyServer {
  const events: ResponderEvent[] = [];
  let applied = 0;
  const answer = answerFrom(zone);
  const respond = createResponder({
    answer,
    lookupKey: (name) => keys.find((key) => key.name === name),
    update: (request) => {
      applied++;
      const outside = request.operations.some((operation) =>
        !isAtOrBelow(operation.kind === "add" ? operation.record.owner : operation.owner, ORIGIN)
      );
      if (outside) {
        const ede = { code: EDE.NOT_AUTHORITATIVE, text: `only ${ORIGIN} is served` };
        return Promise.resolve({ rcode: RCODE.NOTAUTH, ede });
      }
      const rcode = checkPrerequisites(zone, request.prerequisites);
      if (rcode === RCODE.NOERROR) applyTo(zone, request.operations);
      return Promise.resolve({ rcode });
    },
    now: Date.now,
    log: (event) => events.push(event),
    ...options,
  });
  return { respond, events, applied: () => applied, answer };
}

/** Serves over TCP while `body` runs. */
export async function overTcp(
  server: ToyServer,
  body: (address: { host: string; port: number }) => Promise<void>,
  limits: TcpLimits = {},
): Promise<void> {
  const started = startTcpServer({
    listen: { host: "127.0.0.1", port: 0 },
    answer: server.answer,
    respond: server.respond,
    limits,
  });
  if (!started.ok) throw started.error;
  try {
    await body({ host: "127.0.0.1", port: started.value.address.port });
  } finally {
    await started.value.stop();
  }
}

function answerFrom(zone: ToyZone): ResponderOptions["answer"] {
  return (query, out, transport) => {
    const parsed = parseMessage(query);
    if (!parsed.ok || opcodeOf(query) !== 0 || parsed.value.tsig !== undefined) return -1;
    const [question] = parsed.value.questions;
    if (question === undefined || question.type > 250 && question.type < 256) return -1;
    const found = zone.rrset(question.name, question.type);
    const response = responseTo(parsed.value, {
      authoritative: true,
      answers: (found?.rdatas ?? []).map((rdata) => ({
        owner: question.name,
        type: question.type,
        class: 1,
        ttl: found?.ttl ?? 0,
        rdata,
      })),
      edns: parsed.value.edns && plainEdns(),
    });
    const maxSize = transport.protocol === "tcp" ? out.length : Math.min(out.length, 1232);
    const wire = buildMessage(response, { maxSize });
    out.set(wire);
    return wire.length;
  };
}
