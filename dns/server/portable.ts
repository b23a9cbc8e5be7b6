/** The DNS server where there is no FFI: the runtime's own sockets, in this thread, the same answers. */
import type { Listener, ListenEvent, Result } from "../../conduit/mod.ts";
import { answerQuery, headerAnswer, SLOW_PATH, UDP_PAYLOAD } from "../answer/answer.ts";
import { type AnswerContext, createAnswerContext, DEFAULT_SETTINGS, RESPONSE } from "../answer/context.ts";
import { judge, VERDICT } from "../limit/limiter.ts";
import { slipAnswer } from "../limit/slip.ts";
import { COUNT, countAnswer, countLatency, countQuery, createCounterRow, sumCounters } from "./counters.ts";
import type { Transport } from "./responder.ts";
import type { DnsServer, DnsServerOptions } from "./server.ts";
import { addressOctetsOf, isWildcard } from "./socket_address.ts";
import type { DnsListenError, Place } from "./sockets.ts";
import { startTcpServer } from "./tcp.ts";
import { limiterOf } from "./udp_service.ts";

export function startPortable(options: DnsServerOptions): Result<DnsServer, DnsListenError> {
  const counters = createCounterRow();
  const contexts = {
    udp: createAnswerContext("udp", options.settings ?? DEFAULT_SETTINGS),
    tcp: createAnswerContext("tcp", options.settings ?? DEFAULT_SETTINGS),
  };
  let limiter = limiterOf(options.rateLimit, 1);
  const pairs: Pair[] = [];
  for (const place of options.listen) {
    const bound = bindPair(place, bindTcp);
    if (!bound.ok) {
      for (const { udp, tcp } of pairs) {
        udp.close();
        // Nobody has connected yet: there is nothing to wait for.
        void tcp.stop();
      }
      return bound;
    }
    pairs.push(bound.value);
  }
  let stopping = false;
  const loops = pairs.map(({ udp }) => serveUdp(udp));
  return {
    ok: true,
    value: {
      addresses: options.listen.map(({ host }, index) => ({ host, port: pairs[index].tcp.address.port })),
      mode: "portable",
      async stop() {
        if (!stopping) { for (const { udp } of pairs) udp.close(); }
        stopping = true;
        await Promise.all([...loops, ...pairs.map(({ tcp }) => tcp.stop({ graceMs: GRACE_MS }))]);
      },
      counters() {
        counters[COUNT.open] = pairs.reduce((open, { tcp }) => open + tcp.connections, 0);
        return sumCounters([counters]);
      },
      setSettings(settings, rateLimit) {
        contexts.udp.settings = contexts.tcp.settings = settings;
        limiter = limiterOf(rateLimit, 1);
      },
    },
  };

  function bindTcp(listen: Place) {
    return startTcpServer({
      listen,
      limits: options.tcp,
      report,
      onConnection: () => counters[COUNT.accepted]++,
      respond: options.respond,
      answer(query, out, transport) {
        const arrival = performance.now();
        const answered = answer(contexts.tcp, query, out, transport);
        if (answered > 0) countLatency(counters, 1, performance.now() - arrival);
        return answered;
      },
    });
  }

  function report(event: ListenEvent): void {
    if (event.kind === "refused") counters[COUNT.refused]++;
    if (event.kind === "handler-failed") options.log(`fault in a TCP connection: ${describe(event.cause)}`);
    if (event.kind === "accept-failed") {
      options.log(`a TCP connection was not accepted: ${describe(event.cause)}`);
    }
  }

  /** Counts besides: the octets written, 0 to send nothing, `SLOW_PATH`. */
  function answer(context: AnswerContext, query: Uint8Array, out: Uint8Array, { protocol, peer }: Transport) {
    const address = peer === undefined ? undefined : addressOctetsOf(peer.address);
    context.addressOctets = address?.length ?? 0;
    if (address !== undefined) context.address.set(address);
    context.now = Math.floor(Date.now() / 1000);
    countQuery(
      counters,
      query,
      query.length,
      (protocol === "tcp" ? 2 : 0) + (address?.length === 16 ? 1 : 0),
    );
    let answered = answerSafely(context, query, out);
    if (answered === SLOW_PATH) counters[COUNT.slow]++;
    if (answered === 0) counters[COUNT.drops]++;
    if (answered <= 0) return answered;
    const verdict = limiter === undefined ? VERDICT.send : judge(limiter, context, performance.now());
    if (verdict === VERDICT.drop) {
      counters[COUNT.limited]++;
      return 0;
    }
    if (verdict === VERDICT.slip) {
      counters[COUNT.slipped]++;
      answered = slipAnswer(out, answered);
    }
    countAnswer(counters, out, answered);
    return answered;
  }

  function answerSafely(context: AnswerContext, query: Uint8Array, out: Uint8Array): number {
    try {
      return answerQuery(options.board.current(), query, query.length, out, context);
    } catch (error) {
      if (counters[COUNT.faults]++ === 0) options.log(`fault while answering a query: ${describe(error)}`);
      context.kind = RESPONSE.error;
      context.flood = 0;
      context.cookieValid = false;
      return query.length < 12 ? 0 : headerAnswer(query, out, SERVFAIL);
    }
  }

  async function serveUdp(socket: Deno.DatagramConn): Promise<void> {
    const buffer = new Uint8Array(0xffff);
    const response = new Uint8Array(UDP_PAYLOAD);
    const under = new Set<Promise<void>>();
    let told = false;
    while (!stopping) {
      try {
        const [query, from] = await socket.receive(buffer);
        const arrival = performance.now();
        const { hostname: address, port } = from as Deno.NetAddr;
        const transport: Transport = { protocol: "udp", peer: { address, port } };
        const answered = answer(contexts.udp, query, response, transport);
        if (answered > 0) {
          await reply(socket, response.subarray(0, answered), from);
          countLatency(counters, 1, performance.now() - arrival);
        } else if (answered === SLOW_PATH && under.size >= MAX_SLOW) {
          counters[COUNT.slowDrops]++;
        } else if (answered === SLOW_PATH) {
          const task = answerSlowly(socket, query.slice(), transport, from).finally(() => under.delete(task));
          under.add(task);
        }
      } catch (error) {
        if (stopping) break;
        if (!told) options.log(`UDP socket: ${describe(error)}`);
        told = true;
        // An error of the socket itself comes at once again; others get their turn.
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    }
    await Promise.all(under);
  }

  /** What cannot be sent to one peer (no route, a port that is none) is counted and keeps nobody waiting. */
  async function reply(socket: Deno.DatagramConn, response: Uint8Array, peer: Deno.Addr): Promise<void> {
    try {
      await socket.send(response, peer);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      counters[COUNT.sendErrors]++;
    }
  }

  async function answerSlowly(
    socket: Deno.DatagramConn,
    query: Uint8Array,
    transport: Transport,
    to: Deno.Addr,
  ): Promise<void> {
    try {
      const response = await options.respond(query, transport);
      if (response !== undefined && !stopping) await reply(socket, response, to);
    } catch (error) {
      options.log(`fault while answering a message: ${describe(error)}`);
    }
  }
}

interface Pair {
  readonly udp: Deno.DatagramConn;
  readonly tcp: Listener;
}

/** Both on one port; one that is picked (0) is another one until it is free for both. */
function bindPair(
  place: Place,
  bindTcp: (place: Place) => ReturnType<typeof startTcpServer>,
): Result<Pair, DnsListenError> {
  for (let pick = 1;; pick++) {
    const udp = bindUdp(place);
    if (!udp.ok) return udp;
    const { port } = udp.value.addr as Deno.NetAddr;
    const tcp = bindTcp({ host: place.host, port });
    if (tcp.ok) return { ok: true, value: { udp: udp.value, tcp: tcp.value } };
    udp.value.close();
    const { code, message } = tcp.error;
    if (code === "in-use" && place.port === 0 && pick < PICKS) continue;
    return { ok: false, error: { code: CODES[code] ?? "bind-failed", message } };
  }
}

const CODES: Readonly<Record<string, DnsListenError["code"]>> = {
  "in-use": "port-in-use",
  "not-permitted": "not-permitted",
  "no-address": "address-not-here",
};
/** How often another port is picked when one that is free for UDP is taken for TCP. */
const PICKS = 20;

function bindUdp({ host, port }: Place): Result<Deno.DatagramConn, DnsListenError> {
  const place = `UDP ${host.includes(":") ? `[${host}]` : host}:${port}`;
  const failed = (code: DnsListenError["code"], message: string): Result<never, DnsListenError> => ({
    ok: false,
    error: { code, message },
  });
  if (addressOctetsOf(host) === undefined) {
    return failed("bad-address", `${host} is no numeric IP address to listen on`);
  }
  if (isWildcard(host)) {
    return failed(
      "bad-address",
      `${place} cannot be served without FFI: answers would leave from another address; list the addresses`,
    );
  }
  try {
    return { ok: true, value: Deno.listenDatagram({ transport: "udp", hostname: host, port }) };
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) {
      return failed("port-in-use", `${place} is in use by another program`);
    }
    if (error instanceof Deno.errors.PermissionDenied || error instanceof Deno.errors.NotCapable) {
      return failed("not-permitted", `${place} may not be bound by this user`);
    }
    if (error instanceof Deno.errors.AddrNotAvailable) {
      return failed("address-not-here", `${place} is no address of this machine`);
    }
    return failed("bind-failed", `${place} cannot be bound (${describe(error)})`);
  }
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

const SERVFAIL = 2;
/** Messages a socket may have under way in the full machinery. */
const MAX_SLOW = 256;
const GRACE_MS = 1000;
