/** A port of 127.0.0.1 that was free a moment ago, for programs that cannot pick one themselves. */
export function freePort(): number {
  return freePorts(1)[0];
}

/** As many, all different. */
export function freePorts(count: number): number[] {
  const listeners = Array.from({ length: count }, () => Deno.listen({ hostname: "127.0.0.1", port: 0 }));
  const ports = listeners.map((listener) => listener.addr.port);
  for (const listener of listeners) listener.close();
  return ports;
}
