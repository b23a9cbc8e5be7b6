import { isIP } from "node:net";
import { lookup } from "node:dns/promises";
import type { Result } from "./flow.ts";
import { type AttemptOptions, ConnectError } from "./protocol.ts";
import { attempt } from "./deadline.ts";

/** All addresses of a host name, in the order they should be tried. Rejects where there is none. */
export type Lookup = (host: string) => Promise<readonly string[]>;

/** The system's own resolution (`/etc/hosts` and all), in its order (RFC 6724). */
export const systemLookup: Lookup = async (host) => {
  const found = await lookup(host, { all: true, verbatim: true });
  return found.map(({ address }) => address);
};

/** The addresses of a host: itself if it is one. Each once, at most 16: a name is not a scan list. */
export async function addressesOf(
  host: string,
  lookup: Lookup,
  options: AttemptOptions,
): Promise<Result<readonly string[], ConnectError>> {
  if (isIP(host) !== 0) return { ok: true, value: [host] };
  const found = await attempt(options, async () => {
    try {
      return await lookup(host);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      throw new ConnectError("name", `${host} was not resolved: ${message}`, { cause: error });
    }
  }, () => {});
  if (!found.ok) return found;
  const addresses = [...new Set(found.value)].slice(0, 16);
  return addresses.length > 0
    ? { ok: true, value: addresses }
    : { ok: false, error: new ConnectError("name", `${host} has no address`) };
}
