/** The server's side of `git://` (gitprotocol-pack "Git Transport"): one request packet, then upload-pack. */
import type { Flow, Result } from "../../conduit/mod.ts";
import { mayServeOpenly } from "../face/serve_openly.ts";
import type { Repository } from "../types.ts";
import { StoreError } from "../types.ts";
import { oneLine, type ProtocolVersion } from "./advertisement.ts";
import { Channel, type ChannelBounds, DEFAULT_BOUNDS } from "./channel.ts";
import { repositoryPath } from "./git_command.ts";
import { encodePkt } from "./pkt_line.ts";
import { serveUploadPack } from "./serve.ts";
import { requestedVersion } from "./requested_version.ts";
import type { UploadLimits, UploadSummary } from "./upload_pack.ts";

export interface GitDaemonOptions {
  readonly flow: Flow;
  /**
   * The repository at a path (without a leading slash, never out of the served root), or `undefined` for none. Nobody
   * proves who he is here, so one that holds TSIG keys is not served (`mayServeOpenly`).
   */
  readonly find: (
    path: string,
    host: string | undefined,
  ) => Promise<Repository | undefined> | Repository | undefined;
  /** Which refs may be seen. Default: all. */
  readonly visible?: ((name: string) => boolean) | undefined;
  readonly limits?: Partial<UploadLimits> | undefined;
  readonly bounds?: Partial<ChannelBounds> | undefined;
  readonly agent?: string | undefined;
}

/** What a client of `git://` asks for. */
export interface DaemonRequest {
  readonly service: string;
  readonly path: string;
  readonly host: string | undefined;
  readonly version: ProtocolVersion;
}

/**
 * Serves one client of `git://`: fetches only. Ends our side of the flow; closing it is the caller's. A client that asks for
 * something else is told so and is an error here.
 */
export async function serveGitDaemon(options: GitDaemonOptions): Promise<Result<UploadSummary, StoreError>> {
  const { flow, find, visible, limits, bounds, agent } = options;
  const channel = new Channel(flow, { ...DEFAULT_BOUNDS, ...bounds });
  let request: DaemonRequest;
  let repository: Repository | undefined;
  try {
    const pkt = await channel.expect("a request");
    if (pkt.kind !== "data") throw new StoreError("protocol", `a ${pkt.kind} packet where a request was due`);
    request = parseDaemonRequest(pkt.payload);
    const path = repositoryPath(request.path);
    if (request.service !== "git-upload-pack") {
      throw new StoreError(
        "protocol",
        `${oneLine(request.service).slice(0, 100)} is not served here: git-upload-pack is`,
      );
    }
    repository = path === undefined ? undefined : await find(path, request.host);
    // As git's daemon: what is not there and what is not for you look the same.
    if (repository === undefined) {
      throw new StoreError("protocol", `access denied or repository not exported: ${oneLine(request.path)}`);
    }
    const open = await mayServeOpenly(repository, { visible });
    if (!open.ok) throw open.error;
  } catch (error) {
    const failure = error instanceof StoreError
      ? error
      : new StoreError("io", "internal error while opening a repository", { cause: error });
    await refuse(channel, failure);
    return { ok: false, error: failure };
  } finally {
    channel.release();
  }
  return await serveUploadPack({
    repository,
    flow: rest(channel, flow),
    version: request.version,
    visible,
    limits,
    bounds,
    agent,
  });
}

/** @throws {StoreError} `protocol`, `limit` */
export function parseDaemonRequest(payload: Uint8Array): DaemonRequest {
  if (payload.length > MAX_REQUEST) {
    throw new StoreError("limit", `a request of more than ${MAX_REQUEST} bytes`);
  }
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(payload);
  } catch (cause) {
    throw new StoreError("protocol", "a request that is not UTF-8", { cause });
  }
  const [command = "", ...parameters] = text.split("\0");
  const space = command.indexOf(" ");
  if (space <= 0) throw new StoreError("protocol", "not a request of git://");
  // Two NULs part the host from the parameters that came later; older clients send none of these.
  const host = parameters.find((part) => part.startsWith("host="))?.slice(5);
  const extra = parameters.filter((part) => part !== "" && !part.startsWith("host=")).join(":");
  return {
    service: command.slice(0, space),
    path: command.slice(space + 1).replace(/\n$/, ""),
    host,
    version: requestedVersion(extra),
  };
}

/** git's daemon takes no longer ones. */
const MAX_REQUEST = 4096;
const DRAIN = 65536;

async function refuse(channel: Channel, failure: StoreError): Promise<void> {
  if (failure.code === "unreachable") return;
  // Where the keys lie is nothing for everybody to read.
  const text = failure.code === "protocol" || failure.code === "limit"
    ? failure.message
    : failure.code === "fsck"
    ? "access denied: served to nobody unknown"
    : "internal error";
  try {
    await channel.write(encodePkt(`ERR ${oneLine(text)}`));
    await channel.finish(DRAIN);
  } catch (error) {
    // The client is gone: the failure that is returned was first.
    if (!(error instanceof StoreError)) throw error;
  }
}

/** The flow from where the channel has read to: what came with the request belongs to the conversation. */
function rest(channel: Channel, flow: Flow): Flow {
  const chunks = channel.raw();
  return {
    description: flow.description,
    peer: flow.peer,
    secure: flow.secure,
    read: async () => (await chunks.next()).value ?? undefined,
    write: (bytes) => flow.write(bytes),
    end: () => flow.end(),
    close: () => flow.close(),
    diagnostics: () => flow.diagnostics(),
  };
}
