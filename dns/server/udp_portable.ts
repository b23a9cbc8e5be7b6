/** The UDP server where there is no FFI: the runtime's own sockets, in this thread, the same answers. */
import type { Result } from "../../conduit/mod.ts";
import { createAnswerContext } from "../answer/context.ts";
import { answerQuery, headerAnswer, SLOW_PATH, UDP_PAYLOAD } from "../answer/answer.ts";
import type { UdpError, UdpOptions, UdpServer } from "./udp.ts";
import { COUNT, countAnswer, createCounterRow, sumCounters } from "./udp_counters.ts";
import { isWildcard, toSockaddr } from "./udp_system.ts";

export function startPortableUdp(options: UdpOptions): Result<UdpServer, UdpError> {
  const counters = createCounterRow();
  const sockets: Deno.DatagramConn[] = [];
  for (const { host, port } of options.listen) {
    const bound = bind(host, port);
    if (!bound.ok) {
      for (const socket of sockets) socket.close();
      return bound;
    }
    sockets.push(bound.value);
  }
  let stopping = false;
  const loops = sockets.map(serve);
  return {
    ok: true,
    value: {
      addresses: sockets.map(({ addr }) => ({
        host: (addr as Deno.NetAddr).hostname,
        port: (addr as Deno.NetAddr).port,
      })),
      mode: "portable",
      async stop() {
        if (!stopping) { for (const socket of sockets) socket.close(); }
        stopping = true;
        await Promise.all(loops);
      },
      counters: () => sumCounters([counters]),
    },
  };

  async function serve(socket: Deno.DatagramConn): Promise<void> {
    const buffer = new Uint8Array(0xffff);
    const response = new Uint8Array(UDP_PAYLOAD);
    const under = new Set<Promise<void>>();
    let told = false;
    while (!stopping) {
      try {
        const [query, peer] = await socket.receive(buffer);
        counters[COUNT.queries]++;
        const answered = answer(query, response);
        if (answered === SLOW_PATH) {
          counters[COUNT.slow]++;
          if (under.size >= MAX_SLOW) counters[COUNT.slowDrops]++;
          else {
            const task = answerSlowly(socket, query.slice(), peer as Deno.NetAddr).finally(() =>
              under.delete(task)
            );
            under.add(task);
          }
        } else if (answered === 0) {
          counters[COUNT.drops]++;
        } else {
          countAnswer(counters, response);
          await reply(socket, response.subarray(0, answered), peer);
        }
      } catch (error) {
        if (stopping) break;
        if (!told) options.log(`UDP socket: ${error instanceof Error ? error.message : String(error)}`);
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

  function answer(query: Uint8Array, response: Uint8Array): number {
    try {
      return answerQuery(options.board.current(), query, query.length, response, CONTEXT);
    } catch (error) {
      if (counters[COUNT.faults]++ === 0) {
        options.log(
          `fault while answering a UDP query: ${error instanceof Error ? error.stack : String(error)}`,
        );
      }
      return headerAnswer(query, response, SERVFAIL);
    }
  }

  async function answerSlowly(
    socket: Deno.DatagramConn,
    query: Uint8Array,
    peer: Deno.NetAddr,
  ): Promise<void> {
    try {
      const response = await options.slow(query, { address: peer.hostname, port: peer.port });
      if (response !== undefined && !stopping) await reply(socket, response, peer);
    } catch (error) {
      options.log(
        `fault while answering a UDP message: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
  }
}

function bind(host: string, port: number): Result<Deno.DatagramConn, UdpError> {
  const place = `UDP ${host.includes(":") ? `[${host}]` : host}:${port}`;
  if (toSockaddr(host, port) === undefined) {
    return {
      ok: false,
      error: { code: "bad-address", message: `${host} is no numeric IP address to listen on` },
    };
  }
  if (isWildcard(host)) {
    const message =
      `${place} cannot be served without FFI: answers would leave from another address; list the addresses`;
    return { ok: false, error: { code: "bad-address", message } };
  }
  try {
    return { ok: true, value: Deno.listenDatagram({ transport: "udp", hostname: host, port }) };
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) {
      return { ok: false, error: { code: "port-in-use", message: `${place} is in use by another program` } };
    }
    if (error instanceof Deno.errors.PermissionDenied || error instanceof Deno.errors.NotCapable) {
      return {
        ok: false,
        error: { code: "not-permitted", message: `${place} may not be bound by this user` },
      };
    }
    if (error instanceof Deno.errors.AddrNotAvailable) {
      return {
        ok: false,
        error: { code: "address-not-here", message: `${place} is no address of this machine` },
      };
    }
    const reason = error instanceof Error ? error.message : String(error);
    return { ok: false, error: { code: "bind-failed", message: `${place} cannot be bound (${reason})` } };
  }
}

const CONTEXT = createAnswerContext("udp");
const SERVFAIL = 2;
const MAX_SLOW = 256;
