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
    optionLike(path) ?? connect({
      scheme: "ssh",
      host,
      port,
      user: user ?? "git",
      command: `${service} ${shellQuote(path)}`,
      ...(version === 0 ? {} : { env: { GIT_PROTOCOL: `version=${version}` } }),
    });
}

/** A program to run, by its words, and what is to be in its environment. */
export interface ServiceCommand {
  readonly words: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/**
 * Asks a program on this machine: the service as a command with the path as its one argument, the version in
 * `GIT_PROTOCOL`. `start` runs it and gives its standard streams as a flow (conduit's `pipeFlow`).
 */
export function commandOpener(
  start: (command: ServiceCommand) => Promise<Result<Flow, { readonly message: string }>>,
  path: string,
): OpenService {
  return (service, version) =>
    optionLike(path) ?? start({
      words: [service, path],
      env: version === 0 ? {} : { GIT_PROTOCOL: `version=${version}` },
    });
}

/** A path that the program at the far end would take for an option, quoted or not. */
function optionLike(path: string): Promise<Result<Flow, { readonly message: string }>> | undefined {
  if (!path.startsWith("-")) return undefined;
  return Promise.resolve({
    ok: false,
    error: { message: `${JSON.stringify(path)} begins with a hyphen: that is an option, not a path` },
  });
}

/**
 * Speaks over a flow that is there already (this process's standard streams), whose far end serves. It carries one
 * conversation: asked for another, this fails. The version is the far end's choice.
 */
export function flowOpener(flow: Flow): OpenService {
  let taken = false;
  return () => {
    if (taken) {
      return Promise.resolve({
        ok: false,
        error: { message: `${flow.description}: its one conversation is over` },
      });
    }
    taken = true;
    return Promise.resolve({ ok: true, value: flow });
  };
}

/** Asks a git daemon (`git://`): a first packet on a plain connection. Nobody is who he says here. */
export function daemonOpener(
  connect: () => Promise<Result<Flow, { readonly message: string }>>,
  { host, path }: { readonly host: string; readonly path: string },
): OpenService {
  return async (service, version) => {
    // The request's parts are divided by NUL; a line end would end the path for some daemons.
    if (/[\0\n]/.test(path + host)) {
      return { ok: false, error: { message: `${JSON.stringify(path)} cannot be asked of a git daemon` } };
    }
    const opened = await connect();
    if (!opened.ok) return opened;
    try {
      await opened.value.write(daemonRequest(service, path, host, version));
    } catch (error) {
      opened.value.close();
      throw error;
    }
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
