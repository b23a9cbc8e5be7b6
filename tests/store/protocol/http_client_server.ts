/** `git http-backend` behind a small CGI runner (RFC 3875), with what servers before it are wont to do. */
import { findProgram, quietEnvironment } from "../../tools/real.ts";

export interface BackendOptions {
  /** Repositories below it are served. */
  readonly root: string;
  /** Answers before git does, where it gives a response. */
  readonly before?: ((request: Request) => Response | undefined) | undefined;
  readonly config?: readonly string[] | undefined;
  readonly tls?: { readonly cert: string; readonly key: string } | undefined;
}

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly headers: Headers;
}

export interface Backend {
  readonly url: string;
  /** Every request so far. */
  readonly asked: readonly Asked[];
}

export async function withHttpBackend<T>(
  options: BackendOptions,
  use: (backend: Backend) => Promise<T>,
): Promise<T> {
  const asked: Asked[] = [];
  const running: Promise<unknown>[] = [];
  const handle = (request: Request) => {
    const { pathname, search } = new URL(request.url);
    asked.push({ method: request.method, path: pathname + search, headers: request.headers });
    return options.before?.(request) ?? runCgi(request, options, running);
  };
  const listen = { hostname: "127.0.0.1", port: 0, onListen: () => {} };
  const server = options.tls === undefined
    ? Deno.serve(listen, handle)
    : Deno.serve({ ...listen, ...options.tls }, handle);
  try {
    const scheme = options.tls === undefined ? "http" : "https";
    return await use({ url: `${scheme}://127.0.0.1:${server.addr.port}`, asked });
  } finally {
    await server.shutdown();
    await Promise.all(running);
  }
}

async function runCgi(
  request: Request,
  { root, config = [] }: BackendOptions,
  running: Promise<unknown>[],
): Promise<Response> {
  const url = new URL(request.url);
  const child = new Deno.Command(findProgram("git") ?? "git", {
    args: [...config.flatMap((item) => ["-c", item]), "http-backend"],
    clearEnv: true,
    env: {
      ...quietEnvironment(),
      GIT_PROJECT_ROOT: root,
      GIT_HTTP_EXPORT_ALL: "1",
      REQUEST_METHOD: request.method,
      PATH_INFO: decodeURIComponent(url.pathname),
      QUERY_STRING: url.search.slice(1),
      CONTENT_TYPE: request.headers.get("content-type") ?? "",
      CONTENT_LENGTH: request.headers.get("content-length") ?? "",
      HTTP_CONTENT_ENCODING: request.headers.get("content-encoding") ?? "",
      GIT_PROTOCOL: request.headers.get("git-protocol") ?? "",
      REMOTE_USER: "tester",
      REMOTE_ADDR: "127.0.0.1",
    },
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  // git may answer, and leave, before it has read everything.
  const fed = (request.body ?? new Blob([]).stream()).pipeTo(child.stdin).catch(() => {});
  running.push(fed, child.status);
  const reader = child.stdout.getReader();
  let head = new Uint8Array();
  let end = -1;
  while (end < 0) {
    const { value, done } = await reader.read();
    if (done) break;
    head = new Uint8Array([...head, ...value]);
    end = new TextDecoder("latin1").decode(head).indexOf("\r\n\r\n");
  }
  const headers = new Headers();
  let status = 200;
  for (const line of new TextDecoder("latin1").decode(head.subarray(0, Math.max(end, 0))).split("\r\n")) {
    const [name, value = ""] = line.split(/:\s*/, 2);
    if (name.toLowerCase() === "status") status = parseInt(value);
    else if (name !== "") headers.append(name, value);
  }
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(head.subarray(end < 0 ? head.length : end + 4)),
    async pull(controller) {
      const { value, done } = await reader.read();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    cancel: () => reader.cancel(),
  });
  return new Response(body, { status: end < 0 ? 500 : status, headers });
}
