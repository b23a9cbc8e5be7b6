/** Web servers for tests: one for a handler of ours, one that runs git's own http-backend as a CGI program. */
import { listenHttp } from "../../../conduit/mod.ts";
import { findProgram, quietEnvironment } from "../../tools/real.ts";

/** Serves while `use` runs; the URL ends without a slash. */
export async function withWeb<T>(
  handler: (request: Request) => Promise<Response>,
  use: (origin: string) => Promise<T>,
): Promise<T> {
  const listening = listenHttp({ host: "127.0.0.1", port: 0 }, handler);
  if (!listening.ok) throw listening.error;
  const { address, stop } = listening.value;
  try {
    return await use(`http://127.0.0.1:${address.port}`);
  } finally {
    await stop({ graceMs: 2000 });
  }
}

/** git http-backend over the repositories of a folder (RFC 3875). */
export function httpBackend(root: string): (request: Request) => Promise<Response> {
  return async (request) => {
    const url = new URL(request.url);
    const child = new Deno.Command(findProgram("git") ?? "git", {
      args: ["http-backend"],
      clearEnv: true,
      env: {
        ...quietEnvironment(),
        GIT_PROJECT_ROOT: root,
        GIT_HTTP_EXPORT_ALL: "1",
        PATH_INFO: decodeURIComponent(url.pathname),
        QUERY_STRING: url.search.slice(1),
        REQUEST_METHOD: request.method,
        REMOTE_USER: "tester",
        REMOTE_ADDR: "127.0.0.1",
        CONTENT_TYPE: request.headers.get("content-type") ?? "",
        HTTP_CONTENT_ENCODING: request.headers.get("content-encoding") ?? "",
        GIT_PROTOCOL: request.headers.get("git-protocol") ?? "",
        ...(request.headers.has("content-length")
          ? { CONTENT_LENGTH: request.headers.get("content-length") ?? "" }
          : {}),
      },
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    const fed = request.body === null ? child.stdin.close() : request.body.pipeTo(child.stdin);
    const output = await new Response(child.stdout).bytes();
    await fed.catch(() => {}); // It may answer and leave before it has read everything.
    await child.status;
    return fromCgi(output);
  };
}

function fromCgi(output: Uint8Array<ArrayBuffer>): Response {
  const text = new TextDecoder("latin1").decode(output.subarray(0, 4096));
  const end = text.indexOf("\r\n\r\n");
  if (end < 0) throw new Error(`no headers: ${text.slice(0, 200)}`);
  const headers = new Headers();
  let status = 200;
  for (const line of text.slice(0, end).split("\r\n")) {
    const colon = line.indexOf(":");
    const [name, value] = [line.slice(0, colon), line.slice(colon + 1).trim()];
    if (name.toLowerCase() === "status") status = Number(value.slice(0, 3));
    else headers.set(name, value);
  }
  return new Response(output.subarray(end + 4), { status, headers });
}
