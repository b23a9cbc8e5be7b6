/** How a git service is asked for on each transport. */
import type { Flow, Result, SshEndpoint } from "../../conduit/mod.ts";
import type { ProtocolVersion } from "./advertisement.ts";
import { shellQuote } from "./git_command.ts";
import { encodePkt } from "./pkt_line.ts";
import type { OpenService } from "./remote.ts";

type Connect<Endpoint> = (endpoint: Endpoint) => Promise<Result<Flow, { readonly message: string }>>;

/** Where a repository lies that is reached by SSH. */
export interface SshRepository {
  readonly user?: string | undefined;
  readonly host: string;
  readonly port: number;
  readonly path: string;
}

/**
 * Asks by SSH: the service as a command, the version in `GIT_PROTOCOL`. `connect` is conduit's, with the registry
 * that holds the identity and the pinned host key.
 */
export function sshOpener(
  connect: Connect<SshEndpoint>,
  { user, host, port, path }: SshRepository,
): OpenService {
  return (service, version) =>
    connect({
      scheme: "ssh",
      host,
      port,
      user: user ?? "git",
      command: `${service} ${shellQuote(path)}`,
      ...(version === 0 ? {} : { env: { GIT_PROTOCOL: `version=${version}` } }),
    });
}

/** Asks a git daemon (`git://`): a first packet on a plain connection. Nobody is who he says here. */
export function daemonOpener(
  connect: () => Promise<Result<Flow, { readonly message: string }>>,
  { host, path }: { readonly host: string; readonly path: string },
): OpenService {
  return async (service, version) => {
    const opened = await connect();
    if (opened.ok) await opened.value.write(daemonRequest(service, path, host, version));
    return opened;
  };
}

/** The request of gitprotocol-pack "Git Transport"; older daemons stop reading before the version. */
export function daemonRequest(
  service: string,
  path: string,
  host: string,
  version: ProtocolVersion,
): Uint8Array {
  const extra = version === 0 ? "" : `\0version=${version}\0`;
  return encodePkt(`${service} ${path}\0host=${host}\0${extra}`);
}
