/** Our upload-pack for git to fetch from: over a standing flow, and one request at a time over HTTP. */
import type { Flow } from "../../../conduit/flow.ts";
import { openRepository } from "../../../store/repository/open.ts";
import { serveUploadPack } from "../../../store/protocol/serve.ts";
import { requestedVersion } from "../../../store/protocol/requested_version.ts";
import { DELIM, encodePkt, FLUSH } from "../../../store/protocol/pkt_line.ts";
import { decodePackIndex } from "../../../store/pack/index_file.ts";
import { run } from "../../tools/real.ts";
import { withGitServer } from "./git_server.ts";

export interface Serving {
  readonly visible?: (name: string) => boolean;
}

/** Serves a repository as a git daemon would while `use` runs; `sent` gets the number of objects of each pack that left. */
export async function serving(
  path: string,
  options: Serving,
  use: (url: string, sent: number[]) => Promise<void>,
): Promise<void> {
  const repository = await openRepository(path);
  const sent: number[] = [];
  try {
    await withGitServer(async ({ flow, version }) => {
      await serveUploadPack({ repository, flow: counted(flow, sent), version, ...options });
    }, (url) => use(url, sent));
  } finally {
    repository.close();
  }
}

/** Notes each pack as it begins to leave: a client that has it may be done before our side knows that it is. */
function counted(flow: Flow, sent: number[]): Flow {
  return {
    ...flow,
    write(bytes) {
      for (let at = bytes.indexOf(0x50); at >= 0; at = bytes.indexOf(0x50, at + 1)) {
        const view = new DataView(bytes.buffer, bytes.byteOffset + at, bytes.length - at);
        if (view.byteLength < 12 || view.getUint32(0) !== 0x5041434b || view.getUint32(4) !== 2) continue;
        sent.push(view.getUint32(8));
      }
      return flow.write(bytes);
    },
  };
}

/** The same over smart HTTP (gitprotocol-http), as plainly as it can be done. */
export async function servingHttp(
  path: string,
  use: (url: string, sent: number[]) => Promise<void>,
): Promise<void> {
  const repository = await openRepository(path);
  const sent: number[] = [];
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
    const version = requestedVersion(request.headers.get("git-protocol") ?? undefined);
    const asked = request.method === "GET";
    const body = new Uint8Array(await request.arrayBuffer());
    const { flow, written } = bufferFlow(
      request.headers.get("content-encoding") === "gzip" ? await gunzip(body) : body,
    );
    if (asked && version !== 2) {
      written.push(encodePkt("# service=git-upload-pack\n"), FLUSH);
    }
    const outcome = await serveUploadPack({
      repository,
      flow,
      version,
      stateless: true,
      advertise: asked ? "only" : "skip",
    });
    if (outcome.ok && outcome.value.sent !== undefined) sent.push(outcome.value.sent.objects);
    const kind = asked ? "advertisement" : "result";
    return new Response(new Blob(written as BlobPart[]), {
      headers: { "content-type": `application/x-git-upload-pack-${kind}` },
    });
  });
  try {
    await use(`http://127.0.0.1:${server.addr.port}/zones.git`, sent);
  } finally {
    await server.shutdown();
    repository.close();
  }
}

/** A flow that gives these bytes and keeps what is written. */
export function bufferFlow(input: Uint8Array): { readonly flow: Flow; readonly written: Uint8Array[] } {
  const written: Uint8Array[] = [];
  let rest: Uint8Array | undefined = input.length > 0 ? input : undefined;
  return {
    written,
    flow: {
      description: "memory",
      peer: undefined,
      secure: false,
      read() {
        const bytes = rest;
        rest = undefined;
        return Promise.resolve(bytes);
      },
      write(bytes) {
        written.push(bytes.slice());
        return Promise.resolve();
      },
      end: () => Promise.resolve(),
      close() {},
      diagnostics: () => "",
    },
  };
}

async function gunzip(bytes: Uint8Array): Promise<Uint8Array> {
  const stream = new Blob([bytes as BlobPart]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** One v2 request for a fetch, its last. */
export function fetchRequest(
  wants: readonly string[],
  haves: readonly string[],
  args: readonly string[],
): Uint8Array {
  const lines = [...args, ...wants.map((oid) => `want ${oid}`), ...haves.map((oid) => `have ${oid}`), "done"];
  return join([
    encodePkt("command=fetch\n"),
    encodePkt("object-format=sha1\n"),
    DELIM,
    ...lines.map((line) => encodePkt(`${line}\n`)),
    FLUSH,
  ]);
}

/** The ids of what a v2 answer's pack holds, as git indexes it beside the objects that it may be thin on. */
export async function objectsIn(scratch: string, answer: Uint8Array, objects: string): Promise<Set<string>> {
  const parts: Uint8Array[] = [];
  for (let at = 0; at < answer.length;) {
    const length = parseInt(new TextDecoder().decode(answer.subarray(at, at + 4)), 16);
    if (length > 4 && answer[at + 4] === 1) parts.push(answer.subarray(at + 5, at + length));
    at += Math.max(4, length);
  }
  const pack = join(parts);
  const sent = new DataView(pack.buffer).getUint32(8);
  await run("rm", ["-rf", scratch]);
  await run("cp", ["-r", objects, scratch]);
  if (sent === 0) return new Set();
  const { stdout } = await run("git", ["index-pack", "--stdin", "--fix-thin", "--strict"], {
    cwd: scratch,
    stdin: pack,
  });
  const name = stdout.trim().split("\t")[1];
  const index = decodePackIndex(await Deno.readFile(`${scratch}/objects/pack/pack-${name}.idx`));
  // What completes a thin pack stands behind what was sent.
  const ranks = Array.from({ length: index.count }, (_, rank) => rank).sort((a, b) =>
    index.offsetAt(a) - index.offsetAt(b)
  );
  return new Set(ranks.slice(0, sent).map((rank) => index.oidAt(rank)));
}

export function join(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}
