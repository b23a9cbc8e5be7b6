import { formatHostPort, type HostPort } from "./address.ts";
import { CliError } from "./errors.ts";
import type { ServeSettings } from "./settings.ts";

/**
 * Looks whether every address can be had, before anything is made or read, so that a start that must fail leaves
 * nothing behind. The servers bind again; whoever comes between is named then.
 *
 * @throws {CliError} naming the address
 */
export function probeAddresses(
  { dns, ssh, web, git }: Pick<ServeSettings, "dns" | "ssh" | "web" | "git">,
): void {
  for (const address of dns) {
    probe(address, ({ host, port }) => Deno.listenDatagram({ transport: "udp", hostname: host, port }));
  }
  for (const address of [...dns, ssh, web, git.daemon, git.http]) {
    if (address !== "off") probe(address, ({ host, port }) => Deno.listen({ hostname: host, port }));
  }
}

function probe(address: HostPort, bind: (address: HostPort) => { close(): void }): void {
  try {
    bind(address).close();
  } catch (error) {
    if (!(error instanceof Deno.errors.AddrInUse)) return; // the server itself says it better
    throw new CliError(`cannot listen on ${formatHostPort(address)}: the port is in use`);
  }
}
