/** The server's side of smart HTTP (gitprotocol-http): both services, over the web platform's Request and Response. */
import { mayServeOpenly } from "../face/serve_openly.ts";
import type { Repository } from "../types.ts";
import { StoreError } from "../types.ts";
import type { ChannelBounds } from "./channel.ts";
import type { GitService } from "./git_command.ts";
import { exchange } from "./http_server_flow.ts";
import { encodePkt, FLUSH } from "./pkt_line.ts";
import type { AdmitPush, PushResult } from "./admit_push.ts";
import { type ReceiveLimits, serveReceivePack } from "./receive_pack.ts";
import { serveUploadPack } from "./serve.ts";
import { requestedVersion } from "./requested_version.ts";
import type { UploadLimits } from "./upload_pack.ts";

export interface GitHttpOptions<Who> {
  readonly repository: Repository;
  /** Where the repository is on the server. Default `/zones.git`. */
  readonly path?: string | undefined;
  readonly authorize: AuthorizeHttp<Who>;
  /** Judges what a known client pushes. Without it nothing can be pushed. */
  readonly admit?: ((who: Who) => AdmitPush) | undefined;
  /** Which refs may be fetched. Default: all. */
  readonly visible?: ((name: string) => boolean) | undefined;
  readonly limits?: GitHttpLimits | undefined;
  readonly bounds?: Partial<ChannelBounds> | undefined;
  readonly agent?: string | undefined;
  /** Told how each conversation ended: worth a line in a log. */
  readonly report?: ((served: HttpServed<Who>) => void) | undefined;
}

export interface GitHttpLimits {
  readonly upload?: Partial<UploadLimits> | undefined;
  readonly receive?: Partial<ReceiveLimits> | undefined;
  /** Bytes of a request to fetch, as they are when inflated. Default 32 MiB. */
  readonly fetchRequestBytes?: number | undefined;
  /** Bytes of a push, pack and all, as they are when inflated. Default 300 MiB. */
  readonly pushRequestBytes?: number | undefined;
  /** Conversations at a time; more are answered 503. Default 32. */
  readonly concurrent?: number | undefined;
}

/** Whether a request may do what it asks for; asked at each request, before anything else is looked at. */
export type AuthorizeHttp<Who> = (
  request: Request,
  service: GitService,
) => Promise<HttpVerdict<Who>> | HttpVerdict<Who>;

export type HttpVerdict<Who> =
  | { readonly kind: "known"; readonly who: Who }
  /** May fetch, as anybody may, while the repository holds no TSIG keys; never pushes. */
  | { readonly kind: "anonymous" }
  /** Is asked for a name and password (401, Basic). */
  | { readonly kind: "unauthorized"; readonly realm?: string | undefined }
  | { readonly kind: "forbidden"; readonly reason: string };

export interface HttpServed<Who> {
  readonly service: GitService;
  readonly who: Who | undefined;
  /** Of a push, by ref. */
  readonly results: ReadonlyMap<string, PushResult>;
  readonly failure: StoreError | undefined;
}

/** A handler for `Deno.serve`, Hono or a test. Whatever a client sends, it gets a response. */
export function createGitHttpHandler<Who>(
  options: GitHttpOptions<Who>,
): (request: Request) => Promise<Response> {
  const most = options.limits?.concurrent ?? 32;
  let open = 0;
  return async (request) => {
    const asked = askedFor(request, options.path ?? "/zones.git");
    if (asked instanceof Response) return asked;
    const { service, step } = asked;
    try {
      const verdict = await options.authorize(request, service);
      const refusal = refused(verdict, service, options) ?? await closed(verdict, options);
      if (refusal !== undefined) return refusal;
      if (open >= most) return said(503, "too many conversations at a time", { "retry-after": "5" });
      open++;
      const who = verdict.kind === "known" ? verdict.who : undefined;
      const admit = verdict.kind === "known" ? options.admit?.(verdict.who) : undefined;
      return exchange(request, {
        type: `application/x-${service}-${step === "refs" ? "advertisement" : "result"}`,
        maximum: service === "git-upload-pack"
          ? options.limits?.fetchRequestBytes ?? 32 << 20
          : options.limits?.pushRequestBytes ?? 300 << 20,
        serve: (flow) => converse(flow, request, { service, step, who, admit, options }),
        done: (cause) => {
          open--;
          if (cause !== undefined) options.report?.(failed(service, cause));
        },
      });
    } catch (cause) {
      options.report?.(failed(service, cause));
      return said(500, "internal error");
    }
  };
}

interface Conversation<Who> {
  readonly service: GitService;
  readonly step: "refs" | "request";
  readonly who: Who | undefined;
  readonly admit: AdmitPush | undefined;
  readonly options: GitHttpOptions<Who>;
}

async function converse<Who>(
  flow: Parameters<Parameters<typeof exchange>[1]["serve"]>[0],
  request: Request,
  { service, step, who, admit, options }: Conversation<Who>,
): Promise<void> {
  const { repository, bounds, agent, visible, limits, report } = options;
  const version = requestedVersion(request.headers.get("git-protocol") ?? undefined);
  const advertise = step === "refs" ? "only" : "skip";
  // In v2 the capabilities come first and at once; before, the service is named.
  if (step === "refs" && (version !== 2 || service === "git-receive-pack")) {
    await flow.write(encodePkt(`# service=${service}\n`));
    await flow.write(FLUSH);
  }
  const common = { repository, flow, version, advertise, bounds, agent } as const;
  if (service === "git-upload-pack") {
    const outcome = await serveUploadPack({ ...common, stateless: true, visible, limits: limits?.upload });
    report?.({ service, who, results: new Map(), failure: outcome.ok ? undefined : outcome.error });
    return;
  }
  const outcome = await serveReceivePack({ ...common, admit: admit ?? refuseAll, limits: limits?.receive });
  report?.({
    service,
    who,
    results: outcome.ok ? outcome.value.results : new Map(),
    failure: outcome.ok ? undefined : outcome.error,
  });
}

/** What a request is for, or why it is for nothing that is here. */
function askedFor(
  request: Request,
  path: string,
): { readonly service: GitService; readonly step: "refs" | "request" } | Response {
  const url = new URL(request.url);
  if (!url.pathname.startsWith(`${path}/`)) return said(404, "not found");
  const below = url.pathname.slice(path.length + 1);
  if (below === "info/refs") {
    if (request.method !== "GET") return said(405, "GET", { allow: "GET" });
    const service = url.searchParams.get("service");
    if (!isService(service)) return said(403, "only git's smart HTTP protocol is served here");
    return { service, step: "refs" };
  }
  if (!isService(below)) return said(404, "not found");
  if (request.method !== "POST") return said(405, "POST", { allow: "POST" });
  if (request.headers.get("content-type") !== `application/x-${below}-request`) {
    return said(415, `the content type must be application/x-${below}-request`);
  }
  const encoding = request.headers.get("content-encoding") ?? "identity";
  if (!["identity", "gzip", "x-gzip"].includes(encoding)) {
    return said(415, "the content encoding may be gzip", { "accept-encoding": "gzip" });
  }
  return { service: below, step: "request" };
}

function refused<Who>(
  verdict: HttpVerdict<Who>,
  service: GitService,
  { admit }: GitHttpOptions<Who>,
): Response | undefined {
  if (verdict.kind === "unauthorized") return askForName(verdict.realm);
  if (verdict.kind === "anonymous" && service === "git-receive-pack" && admit !== undefined) {
    return askForName();
  }
  if (verdict.kind === "forbidden") return said(403, verdict.reason);
  if (service === "git-receive-pack" && admit === undefined) return said(403, "nothing can be pushed here");
  return undefined;
}

/** Nobody unknown is served what holds secrets. Which file it is, is for the log. */
async function closed<Who>(
  verdict: HttpVerdict<Who>,
  { repository, visible, report }: GitHttpOptions<Who>,
): Promise<Response | undefined> {
  if (verdict.kind !== "anonymous") return undefined;
  const may = await mayServeOpenly(repository, { visible });
  if (may.ok) return undefined;
  report?.({ service: "git-upload-pack", who: undefined, results: new Map(), failure: may.error });
  return askForName();
}

function askForName(realm = "git"): Response {
  return said(401, "a name and password are needed", {
    "www-authenticate": `Basic realm="${realm.replace(/[^\x20-\x7e]|["\\]/g, "")}", charset="UTF-8"`,
  });
}

const refuseAll: AdmitPush = ({ moves }) =>
  Promise.resolve({
    results: new Map(moves.map(({ name }) => [name, { ok: false, reason: "nothing can be pushed here" }])),
  });

function failed(service: GitService, cause: unknown): HttpServed<never> {
  const failure = cause instanceof StoreError
    ? cause
    : new StoreError("io", "internal error while serving a request", { cause });
  return { service, who: undefined, results: new Map(), failure };
}

function isService(name: string | null): name is GitService {
  return name === "git-upload-pack" || name === "git-receive-pack";
}

function said(status: number, text: string, headers: Record<string, string> = {}): Response {
  return new Response(`${text}\n`, {
    status,
    headers: { "content-type": "text/plain; charset=utf-8", "cache-control": "no-store", ...headers },
  });
}
