/** A client of one server: queries and updates on one connection that is kept open, and made anew when it broke. */
import type { Flow, Result } from "../../conduit/mod.ts";
import { OPCODE, RCODE, rcodeName } from "../message/codes.ts";
import { buildMessage } from "../message/build.ts";
import { extendedErrorsOf } from "../message/edns.ts";
import { MAX_MESSAGE_OCTETS, opcodeOf, uint16 } from "../message/header.ts";
import { parseMessage } from "../message/parse.ts";
import { plainEdns, queryFor } from "../message/respond.ts";
import { CLASS, RRTYPE, typeName } from "../rr/types.ts";
import { signatureOctets, signRequest } from "../tsig/sign.ts";
import { verifyResponse } from "../tsig/verify.ts";
import type { Message, Name, Prerequisite, Question, TsigKey, UpdateOperation } from "../types.ts";
import { buildUpdate } from "../update/sections.ts";
import { type Connection, createConnection, type Outcome } from "./connection.ts";
import type { DnsClientError } from "./errors.ts";

export interface DnsClientOptions {
  /** Makes a connection to the server: a stream on which DNS messages go with their length before them. */
  readonly open: () => Promise<Result<Flow, unknown>>;
  /** Signs updates, and queries where that is asked for. */
  readonly key?: TsigKey | undefined;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** That many random octets; IDs come from it. */
  readonly random: (octets: number) => Uint8Array;
  /** How long an answer may take, a new connection included. */
  readonly timeoutMs: number;
}

export interface DnsClient {
  /**
   * Asks for an RRset. NXDOMAIN is an answer, told by `rcode`; every other response code than NOERROR is an error.
   * A query that its connection's end cut off is asked once more on a new one.
   */
  query(
    name: Name,
    type: number,
    options?: { readonly signed?: boolean | undefined },
  ): Promise<Result<Message, DnsClientError>>;
  /**
   * Sends an update, signed where there is a key. It is never sent twice: after `timeout` and `lost` it is open whether
   * it was carried out, and a query tells.
   */
  update(request: {
    readonly zone: Name;
    readonly prerequisites?: readonly Prerequisite[] | undefined;
    readonly operations: readonly UpdateOperation[];
  }): Promise<Result<Message, DnsClientError>>;
  /** Ends the connection. What waits for an answer gets `lost`. */
  close(): void;
}

export function createDnsClient(options: DnsClientOptions): DnsClient {
  const { key, timeoutMs } = options;
  let current: Connection | undefined;
  let opening: Promise<Result<Connection, unknown>> | undefined;
  let closed = false;

  const connection = async (): Promise<Result<Connection, unknown>> => {
    if (current?.usable) return { ok: true, value: current };
    opening ??= open().finally(() => opening = undefined);
    return await opening;
  };
  const open = async (): Promise<Result<Connection, unknown>> => {
    if (closed) return { ok: false, error: new Error("the client was closed") };
    const flow = await options.open();
    if (!flow.ok) return flow;
    current = createConnection(flow.value);
    if (closed) current.close();
    return { ok: true, value: current };
  };

  const freshId = (taken: (id: number) => boolean): number => {
    for (;;) {
      const id = uint16(options.random(2), 0);
      if (!taken(id)) return id;
    }
  };

  const exchange = async (
    what: string,
    build: (id: number) => Uint8Array,
    question: Question,
    signingKey: TsigKey | undefined,
  ): Promise<Result<Message, DnsClientError>> => {
    const connected = await inTime(connection(), timeoutMs);
    if (connected === undefined) {
      return failure({ code: "timeout", message: `${what}: no connection in time` });
    }
    if (!connected.ok) {
      const cause = connected.error;
      return failure({ code: "unreachable", message: `${what}: no connection: ${textOf(cause)}`, cause });
    }
    const id = freshId(connected.value.has);
    const overhead = signingKey === undefined ? 0 : signatureOctets(signingKey);
    const request = built(() => build(id), MAX_MESSAGE_OCTETS - overhead);
    if (request === undefined) {
      return failure({ code: "too-long", message: `${what}: the request takes more than 65535 octets` });
    }
    const signed = signingKey && signRequest(request, signingKey, { now: options.now() / 1000 });
    const outcome = await connected.value.ask(signed?.bytes ?? request, timeoutMs);
    if (outcome.kind !== "answered") return failure(withoutAnswer(what, outcome, timeoutMs));

    let bytes = outcome.bytes;
    if (signed !== undefined && signingKey !== undefined) {
      const verified = verifyResponse(bytes, signingKey, signed.mac, options.now() / 1000);
      if (!verified.ok) {
        const { code: reason, message, tsigError } = verified.error;
        return failure({ code: "untrusted", message: `${what}: ${message}`, reason, tsigError });
      }
      bytes = verified.value.message;
    }
    return judge(what, bytes, request, question);
  };

  return {
    async query(name, type, queryOptions = {}) {
      const question = { name, type, class: CLASS.IN };
      const build = (id: number) => buildMessage(queryFor(question, { id, edns: plainEdns() }));
      const what = `query for ${name} ${typeName(type)}`;
      const signingKey = queryOptions.signed ? key : undefined;
      if (queryOptions.signed && key === undefined) {
        throw new RangeError("a client without a key cannot sign");
      }
      const first = await exchange(what, build, question, signingKey);
      const again = !first.ok && first.error.code === "lost" && !closed;
      return again ? await exchange(what, build, question, signingKey) : first;
    },
    update({ zone, prerequisites = [], operations }) {
      const build = (id: number) => buildUpdate({ id, zone, prerequisites, operations, edns: plainEdns() });
      const what = `update of ${zone}`;
      return exchange(what, build, { name: zone, type: RRTYPE.SOA, class: CLASS.IN }, key);
    },
    close() {
      closed = true;
      current?.close();
    },
  };
}

/** What was built, unless it is too long. */
function built(build: () => Uint8Array, limit: number): Uint8Array | undefined {
  try {
    const request = build();
    return request.length > limit ? undefined : request;
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** Whether a response answers the request, and what it says. */
function judge(
  what: string,
  bytes: Uint8Array,
  request: Uint8Array,
  question: Question,
): Result<Message, DnsClientError> {
  const parsed = parseMessage(bytes);
  if (!parsed.ok) {
    return failure({ code: "malformed", message: `${what}: malformed response: ${parsed.error.message}` });
  }
  const message = parsed.value;
  const [asked] = message.questions;
  const isOurs = message.questions.length === 1 && asked.name === question.name &&
    asked.type === question.type && asked.class === question.class;
  // An error, and any response to an update (RFC 2136 §3.8), may come without the question.
  const mayOmit = message.questions.length === 0 &&
    (message.rcode !== RCODE.NOERROR || message.opcode === OPCODE.UPDATE);
  if (message.opcode !== opcodeOf(request) || !isOurs && !mayOmit) {
    return failure({ code: "malformed", message: `${what}: the response is to another question` });
  }
  const isQuery = message.opcode === OPCODE.QUERY;
  if (message.rcode === RCODE.NOERROR || isQuery && message.rcode === RCODE.NXDOMAIN) {
    return { ok: true, value: message };
  }
  const extended = extendedErrorsOf(message);
  const why = extended.map(({ text }) => text).filter((text) => text !== "").join("; ");
  return failure({
    code: "rcode",
    message: `${what}: the server answers ${rcodeName(message.rcode)}${why === "" ? "" : ` (${why})`}`,
    rcode: message.rcode,
    extended,
  });
}

function withoutAnswer(
  what: string,
  outcome: Exclude<Outcome, { kind: "answered" }>,
  timeoutMs: number,
): DnsClientError {
  return outcome.kind === "timeout"
    ? { code: "timeout", message: `${what}: no answer within ${timeoutMs} ms` }
    : {
      code: "lost",
      message: `${what}: the connection was lost: ${textOf(outcome.cause)}`,
      cause: outcome.cause,
    };
}

async function inTime<T>(work: Promise<T>, milliseconds: number): Promise<T | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const limit = new Promise<undefined>((resolve) =>
    timer = setTimeout(() => resolve(undefined), milliseconds)
  );
  try {
    return await Promise.race([work, limit]);
  } finally {
    clearTimeout(timer);
  }
}

function textOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

function failure(error: DnsClientError): { ok: false; error: DnsClientError } {
  return { ok: false, error };
}
