/** The server's side of a fetch: protocol v0, v1 and v2, over a standing flow or one request at a time (HTTP). */
import type { Flow, Result } from "../../conduit/mod.ts";
import type { NewSha1 } from "../object/hash.ts";
import type { ObjectReader, Oid, PackSummary, Pause, Refs } from "../types.ts";
import { StoreError } from "../types.ts";
import type { Zlib } from "../zlib/zlib.ts";
import type { ProtocolVersion } from "./advertisement.ts";
import { Channel, type ChannelBounds, DEFAULT_BOUNDS } from "./channel.ts";
import type { StreamSource } from "./upload/pack_stream.ts";
import { UploadSession } from "./upload/session.ts";
import { serveVersion0 } from "./upload/version0.ts";
import { serveVersion2 } from "./upload/version2.ts";
import type { UploadLimits } from "./upload_request.ts";

export type { UploadLimits } from "./upload_request.ts";

/** What is served. */
export interface UploadSource extends ObjectReader, StreamSource {
  readonly refs: Refs;
  /** Commits whose parents are not there. */
  readonly shallow?: { list(): Promise<ReadonlySet<Oid>> };
}

export interface UploadPackOptions {
  readonly repository: UploadSource;
  readonly flow: Flow;
  /** What the client asked for in `GIT_PROTOCOL`; see `requestedVersion`. */
  readonly version: ProtocolVersion;
  /**
   * The flow carries one request and its answer, as in smart HTTP (gitprotocol-http): the client repeats in the next what
   * this side would have to remember. Default false.
   */
  readonly stateless?: boolean | undefined;
  /** `only`: refs (v0, v1) or capabilities (v2), and nothing else; `skip`: the client has them already. Default `both`. */
  readonly advertise?: "only" | "skip" | "both" | undefined;
  /** Which refs the client may see; what only other refs reach cannot be fetched. Default: all. */
  readonly visible?: ((name: string) => boolean) | undefined;
  readonly limits?: Partial<UploadLimits> | undefined;
  readonly bounds?: Partial<ChannelBounds> | undefined;
  /** Default `bailiwick`. */
  readonly agent?: string | undefined;
}

/** What the runtime gives. Handed in, so that the protocol loads where there is no `node:` module. */
export interface PackTools {
  readonly zlib: Zlib;
  readonly newSha1: NewSha1;
  /** A pause for one conversation. */
  readonly newPause?: () => Pause;
}

export interface UploadSummary {
  /** The last pack that was sent; `undefined` where the client asked for refs alone. */
  readonly sent: PackSummary | undefined;
}

/**
 * Serves one client until it is content, then ends our side of the flow; closing it (an exit status, with SSH) is
 * the caller's. A fault is told to the client where it still listens, and returned.
 */
export async function uploadPack(
  options: UploadPackOptions,
  tools: PackTools,
): Promise<Result<UploadSummary, StoreError>> {
  const channel = new Channel(options.flow, { ...DEFAULT_BOUNDS, ...options.bounds });
  let session: UploadSession | undefined;
  try {
    const shallow = await options.repository.shallow?.list();
    session = new UploadSession({ ...options, shallow: shallow ?? new Set(), tools, channel });
    await (options.version === 2 ? serveVersion2(session) : serveVersion0(session, options.version));
    await channel.finish(DRAIN);
    return { ok: true, value: { sent: session.sent } };
  } catch (error) {
    const failure = error instanceof StoreError
      ? error
      : new StoreError("io", "internal error while serving a fetch", { cause: error });
    await session?.tell(failure, DRAIN);
    return { ok: false, error: failure };
  } finally {
    channel.release();
  }
}

/** What is still taken from a client that was told an error or has its pack. */
const DRAIN = 1 << 20;
