/**
 * What not every program that opens a repository comes to do: it is loaded with the first call, for a server that answers
 * from its zones and is asked for nothing else should have neither its memory nor its time.
 */
import type { HttpClient } from "../conduit/mod.ts";
import type { HttpOpenerOptions } from "./protocol/http_exchange.ts";
import type { GitHttpOptions } from "./protocol/http_server.ts";
import type { OpenService } from "./protocol/remote.ts";

export const newCommits: typeof import("./protocol/new_commits.ts").newCommits = async (...given) =>
  await (await import("./protocol/new_commits.ts")).newCommits(...given);

export const isAncestor: typeof import("./protocol/serve.ts").isAncestor = async (...given) =>
  await (await import("./protocol/serve.ts")).isAncestor(...given);

export const serveUploadPack: typeof import("./protocol/serve.ts").serveUploadPack = async (...given) =>
  await (await import("./protocol/serve.ts")).serveUploadPack(...given);

export const serveReceivePack: typeof import("./protocol/receive_pack.ts").serveReceivePack = async (
  ...given
) => await (await import("./protocol/receive_pack.ts")).serveReceivePack(...given);

export const serveGitDaemon: typeof import("./protocol/daemon_server.ts").serveGitDaemon = async (...given) =>
  await (await import("./protocol/daemon_server.ts")).serveGitDaemon(...given);

export const fetchFrom: typeof import("./protocol/fetch.ts").fetchFrom = async (...given) =>
  await (await import("./protocol/fetch.ts")).fetchFrom(...given);

export const lsRefs: typeof import("./protocol/remote.ts").lsRefs = async (...given) =>
  await (await import("./protocol/remote.ts")).lsRefs(...given);

export const pushTo: typeof import("./face/push_to.ts").pushTo = async (...given) =>
  await (await import("./face/push_to.ts")).pushTo(...given);

export const mayServeOpenly: typeof import("./face/serve_openly.ts").mayServeOpenly = async (...given) =>
  await (await import("./face/serve_openly.ts")).mayServeOpenly(...given);

export const writeBundle: typeof import("./bundle/write_bundle.ts").writeBundle = async (...given) =>
  await (await import("./bundle/write_bundle.ts")).writeBundle(...given);

export const openBundle: typeof import("./bundle/open_bundle.ts").openBundle = async (...given) =>
  await (await import("./bundle/open_bundle.ts")).openBundle(...given);

/** See `protocol/http_client.ts`. */
export function httpOpener(client: HttpClient, url: string, options?: HttpOpenerOptions): OpenService {
  return async (service, version) => {
    const { httpOpener } = await import("./protocol/http_client.ts");
    return await httpOpener(client, url, options)(service, version);
  };
}

/** See `protocol/http_server.ts`. */
export function createGitHttpHandler<Who>(
  options: GitHttpOptions<Who>,
): (request: Request) => Promise<Response> {
  let handler: Promise<(request: Request) => Promise<Response>> | undefined;
  return async (request) => {
    handler ??= import("./protocol/http_server.ts").then((module) => module.createGitHttpHandler(options));
    return await (await handler)(request);
  };
}
