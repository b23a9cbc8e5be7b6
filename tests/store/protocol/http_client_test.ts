/** Fetching by HTTP: from git's own http-backend, from servers that are none, and from some that lie. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { createHttpClient } from "../../../conduit/mod.ts";
import type { HttpClient } from "../../../conduit/mod.ts";
import {
  createGitHttpHandler,
  fetchFrom,
  fetchHttpClient,
  httpOpener,
  lsRefs,
  openRepository,
} from "../../../store/mod.ts";
import type { HttpOpenerOptions, ProtocolVersion, StoreError } from "../../../store/mod.ts";
import { DELIM, encodePkt, FLUSH } from "../../../store/protocol/pkt_line.ts";
import { realTest, run } from "../../tools/real.ts";
import { fetchOptions, follow, history, marksOf, withRepository } from "./fetch_remotes.ts";
import { commits, fsck, workTree } from "./git_server.ts";
import { type Backend, type BackendOptions, withHttpBackend } from "./http_client_server.ts";

const CLIENTS = [["conduit's client", () => createHttpClient()], ["fetch", () => fetchHttpClient()]] as const;

for (const version of [0, 1, 2] as const) {
  for (const [name, newClient] of CLIENTS) {
    realTest(`fetches by HTTP from git http-backend by v${version} over ${name}`, {
      needs: ["git"],
    }, async ({ dir }) => {
      const work = await workTree(dir);
      await commits(work, 5);
      await serving({ root: dir }, newClient(), async ({ backend, open }) => {
        await withRepository(`${dir}/ours.git`, async (repository) => {
          const opener = open("/work/.git");
          const first = await follow(repository, opener, version);
          equal(first.received?.objects, 15);
          await commits(work, 2, "later");
          const second = await follow(repository, opener, version);
          equal(second.received?.objects, 6);
          equal((await follow(repository, opener, version)).received, undefined);
          deepEqual(await history(repository.path), await history(`${work}/.git`));
          await fsck(repository.path);
        });
        for (const { headers, method } of backend.asked) {
          equal(headers.get("git-protocol"), version === 0 ? null : `version=${version}`);
          if (method === "POST") {
            equal(headers.get("content-type"), "application/x-git-upload-pack-request");
          }
        }
      });
    });
  }

  realTest(
    `says everything again in each stateless request, and finds common ground far down, by v${version}`,
    {
      needs: ["git"],
    },
    async ({ dir }) => {
      const work = await workTree(dir);
      await commits(work, 5);
      await run("git", ["clone", "-q", "--bare", work, `${dir}/ours.git`]);
      await commits(`${dir}/ours.git`, 300, "mine");
      await commits(work, 3, "theirs");
      await serving({ root: dir }, createHttpClient(), async ({ backend, open }) => {
        await withRepository(`${dir}/ours.git`, async (repository) => {
          const outcome = await fetchFrom(fetchOptions(repository, open("/work/.git"), version));
          ok(outcome.ok, outcome.ok ? "" : outcome.error.message);
          equal(outcome.value.received?.objects, 9);
          const posts = backend.asked.filter(({ method }) => method === "POST");
          ok(posts.length >= 5, "several rounds");
          ok(posts.some(({ headers }) => headers.get("content-encoding") === "gzip"), "long ones compressed");
          await repository.refs.move({
            name: "refs/heads/theirs",
            old: undefined,
            new: outcome.value.refs.get("refs/heads/main"),
          });
        });
        await fsck(`${dir}/ours.git`);
      });
    },
  );

  realTest(
    `fetches shallow, deepens and unshallows by HTTP by v${version}`,
    { needs: ["git"] },
    async ({ dir }) => {
      const work = await workTree(dir);
      await commits(work, 40);
      await serving({ root: dir }, createHttpClient(), async ({ open }) => {
        await withRepository(`${dir}/ours.git`, async (repository) => {
          const opener = open("/work/.git");
          const count = async () => (await history(repository.path)).commits.length;
          await follow(repository, opener, version, { depth: 20 });
          equal(await count(), 20);
          // More haves than one window holds: in v0 every answer begins with the boundaries anew.
          await commits(work, 1, "later");
          await follow(repository, opener, version, { deepenBy: 5 });
          equal(await count(), 26);
          await follow(repository, opener, version, { depth: 3 });
          equal(await count(), 3);
          await follow(repository, opener, version, { unshallow: true });
          equal(await count(), 41);
          deepEqual(await marksOf(repository.path), []);
          await fsck(repository.path);
        });
      });
    },
  );

  realTest(
    `a request longer than is gathered is streamed, by v${version}`,
    { needs: ["git"] },
    async ({ dir }) => {
      const work = await workTree(dir);
      await commits(work, 3);
      await run("git", ["clone", "-q", "--bare", work, `${dir}/ours.git`]);
      await commits(`${dir}/ours.git`, 200, "mine");
      await commits(work, 1, "theirs");
      await serving({ root: dir }, createHttpClient(), async ({ backend, open }) => {
        await withRepository(`${dir}/ours.git`, async (repository) => {
          const opener = open("/work/.git", { gather: 100 });
          const outcome = await fetchFrom(fetchOptions(repository, opener, version));
          equal(outcome.ok && outcome.value.received?.objects, 3);
        });
        const posts = backend.asked.filter(({ method }) => method === "POST");
        ok(posts.some(({ headers }) => headers.get("transfer-encoding") === "chunked"), "none was chunked");
      });
    },
  );
}

for (const version of [0, 1, 2] as const) {
  realTest(`fetches by HTTP from our own server by v${version}`, { needs: ["git"] }, async ({ dir }) => {
    const work = await workTree(dir);
    await commits(work, 30);
    const theirs = await openRepository(`${work}/.git`);
    const handle = createGitHttpHandler({
      repository: theirs,
      path: "/zones.git",
      authorize: () => ({ kind: "known", who: "tester" }),
    });
    const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, handle);
    const client = createHttpClient();
    try {
      await withRepository(`${dir}/ours.git`, async (repository) => {
        const open = httpOpener(client, `http://127.0.0.1:${server.addr.port}/zones.git`);
        await follow(repository, open, version, { depth: 20 });
        equal((await history(repository.path)).commits.length, 20);
        await commits(work, 2, "later");
        equal((await follow(repository, open, version)).received?.objects, 6);
        await follow(repository, open, version, { unshallow: true });
        deepEqual(await history(repository.path), await history(`${work}/.git`));
        await fsck(repository.path);
      });
    } finally {
      client.close();
      await server.shutdown();
      theirs.close();
    }
  });
}

realTest("fetches by HTTPS from a server whose root we trust, and from no other", {
  needs: ["git", "openssl"],
}, async ({ dir }) => {
  const work = await workTree(dir);
  await commits(work, 3);
  const tls = await certificate(dir);
  await serving({ root: dir, tls }, createHttpClient({ roots: [tls.cert] }), async ({ backend, open }) => {
    ok(backend.url.startsWith("https:"));
    await withRepository(`${dir}/ours.git`, async (repository) => {
      equal((await follow(repository, open("/work/.git"), 2)).received?.objects, 9);
    });
    const stranger = createHttpClient();
    const refused = await lsRefs({ open: httpOpener(stranger, `${backend.url}/work/.git`), refPrefixes: [] });
    equal(refused.ok || refused.error.code, "unreachable");
    stranger.close();
  });
});

realTest("where the first answer came from, the others are asked; credentials stay with their origin", {
  needs: ["git"],
}, async ({ dir }) => {
  const work = await workTree(dir);
  await commits(work, 3);
  await withHttpBackend({ root: dir }, async (target) => {
    for (const client of [createHttpClient(), fetchHttpClient()]) {
      const away = (request: Request) =>
        request.url.includes("/moved.git/")
          ? Response.redirect(request.url.replace(/^.*\/moved\.git/, `${target.url}/work/.git`), 302)
          : undefined;
      await serving({ root: dir, before: away }, client, async ({ backend, open }) => {
        const before = target.asked.length;
        await withRepository(`${dir}/ours-${target.asked.length}.git`, async (repository) => {
          const opener = open("/moved.git", { authorization: "Basic c2VjcmV0" });
          equal((await follow(repository, opener, 2)).received?.objects, 9);
        });
        deepEqual(backend.asked.map(({ method }) => method), ["GET"]);
        equal(backend.asked[0].headers.get("authorization"), "Basic c2VjcmV0");
        const there = target.asked.slice(before);
        deepEqual(there.map(({ method }) => method), ["GET", "POST", "POST"]);
        for (const { headers } of there.slice(1)) equal(headers.get("authorization"), null);
      });
    }
  });
});

realTest("a push by the same opener: receive-pack is asked for, its answer read to the end", {
  needs: ["git"],
}, async ({ dir }) => {
  await run("git", ["init", "-q", "--bare", "-b", "main", `${dir}/theirs.git`]);
  await serving({ root: dir }, createHttpClient(), async ({ backend, open }) => {
    const opened = await open("/theirs.git")("git-receive-pack", 0);
    ok(opened.ok);
    const flow = opened.value;
    match(await textOf(flow.read), /capabilities\^\{\}\0.*report-status/);
    const zero = "0".repeat(40);
    await flow.write(encodePkt(`${zero} ${zero} refs/heads/none\0 report-status`));
    await flow.write(FLUSH);
    await flow.end();
    match(await textOf(flow.read), /unpack|ng|ok|0000/);
    flow.close();
    deepEqual(
      backend.asked.map(({ method, path }) => `${method} ${path}`),
      ["GET /theirs.git/info/refs?service=git-receive-pack", "POST /theirs.git/git-receive-pack"],
    );
  });
});

/** What stands where a repository is looked for, and what is said of it. */
const NO_SERVERS: readonly {
  name: string;
  answer: (request: Request) => Response;
  code: StoreError["code"];
  says: RegExp;
  version?: ProtocolVersion;
}[] = [
  {
    name: "a dumb server",
    answer: () =>
      new Response(`${"1".repeat(40)}\trefs/heads/main\n`, { headers: { "Content-Type": "text/plain" } }),
    code: "protocol",
    says: /^http 127\.0\.0\.1:\d+: a dumb HTTP server/,
  },
  {
    name: "a web page",
    answer: () => new Response("<html>", { headers: { "Content-Type": "text/html; charset=utf-8" } }),
    code: "protocol",
    says: /answers as text\/html: no smart git server/,
  },
  {
    name: "nothing there",
    answer: () =>
      new Response("Repository not found.\x1b[2J\n", {
        status: 404,
        headers: { "Content-Type": "text/plain" },
      }),
    code: "remote",
    says: /has no repository at \/x\.git, or shows none \(HTTP status 404\): Repository not found\. \[2J$/,
  },
  {
    name: "a question for credentials",
    answer: () => new Response("", { status: 401, headers: { "WWW-Authenticate": "Basic" } }),
    code: "remote",
    says: /wants credentials, or others than these \(HTTP status 401\)$/,
  },
  { name: "a ban", answer: () => new Response("", { status: 403 }), code: "remote", says: /forbids it/ },
  {
    name: "a breakdown",
    answer: () => new Response("", { status: 503 }),
    code: "remote",
    says: /status 503/,
  },
  {
    name: "a header of another service",
    answer: () => advertisement(encodePkt("# service=git-receive-pack\n"), FLUSH, FLUSH),
    code: "protocol",
    says: /no smart git server|not a smart git server/,
  },
  {
    name: "a header that does not end",
    answer: () => advertisement(encodePkt("# service=git-upload-pack\n"), encodePkt("more")),
    code: "protocol",
    says: /more where the service's header was to end/,
  },
  {
    name: "an advertisement cut off",
    answer: () => advertisement(encodePkt("# service=git-upload-pack\n")),
    code: "protocol",
    says: /ended in its advertisement/,
  },
  {
    name: "an error packet",
    answer: () =>
      advertisement(encodePkt("# service=git-upload-pack\n"), FLUSH, encodePkt("ERR no such thing")),
    code: "remote",
    says: /^http 127\.0\.0\.1:\d+: the server says: no such thing$/,
  },
  {
    name: "refs and then another page",
    answer: (request) =>
      request.method === "GET"
        ? advertisement(encodePkt("version 2"), encodePkt("ls-refs"), encodePkt("fetch"), FLUSH)
        : new Response("<html>", { headers: { "Content-Type": "text/html" } }),
    code: "protocol",
    says: /answers as text\/html where git's answer was due/,
  },
  {
    name: "refs and then a redirect",
    answer: (request) =>
      request.method === "GET"
        ? advertisement(encodePkt("version 2"), encodePkt("ls-refs"), encodePkt("fetch"), FLUSH)
        : Response.redirect(request.url.replace("x.git", "y.git"), 307),
    code: "protocol",
    says: /redirects a POST/,
  },
  {
    name: "a redirect to what is no repository",
    answer: (request) =>
      request.url.includes("x.git")
        ? Response.redirect(new URL("/login", request.url), 302)
        : new Response("", {
          headers: { "Content-Type": "application/x-git-upload-pack-advertisement" },
        }),
    code: "protocol",
    says: /redirects to .*\/login, which is no repository's address/,
  },
];

for (const { name, answer, code, says, version } of NO_SERVERS) {
  Deno.test(`${name} where a repository was due is told apart`, async () => {
    await serving({ root: "/nonexistent", before: answer }, createHttpClient(), async ({ open }) => {
      const outcome = await lsRefs({ open: open("/x.git"), refPrefixes: [], version });
      ok(!outcome.ok);
      equal(outcome.error.code, code, outcome.error.message);
      match(outcome.error.message, says);
    });
  });
}

Deno.test("URLs that are none of a repository are refused before anything is asked", async () => {
  const client = createHttpClient();
  for (
    const url of [
      "nonsense",
      "ftp://127.0.0.1/x.git",
      "file:///etc",
      "http://me:secret@127.0.0.1/x.git",
      "http://127.0.0.1/x.git?a=b",
      "http://127.0.0.1/x.git#b",
    ]
  ) {
    const outcome = await lsRefs({ open: httpOpener(client, url), refPrefixes: [] });
    ok(!outcome.ok);
    equal(outcome.error.code, "malformed", url);
    ok(!outcome.error.message.includes("secret"));
  }
  client.close();
});

Deno.test("a server that stalls in its answer is given up after its time", async () => {
  const timers = new Map<number, () => void>();
  const timer = (milliseconds: number, fire: () => void) => {
    timers.set(milliseconds, fire);
    return () => timers.delete(milliseconds);
  };
  let stalled: (() => void) | undefined;
  const reached = new Promise<void>((resolve) => stalled = resolve);
  const before = (request: Request) => {
    if (request.method === "GET") {
      return advertisement(encodePkt("version 2"), encodePkt("ls-refs"), encodePkt("fetch"), FLUSH);
    }
    stalled?.();
    return new Response(
      new ReadableStream({ start: (controller) => controller.enqueue(DELIM.subarray(0, 2)) }),
      {
        headers: { "Content-Type": "application/x-git-upload-pack-result" },
      },
    );
  };
  await serving({ root: "/nonexistent", before }, createHttpClient(), async ({ open }) => {
    const outcome = lsRefs({ open: open("/x.git"), refPrefixes: [], bounds: { idle: 1234, timer } });
    await reached;
    // The two bytes are read, or will be; then nothing comes.
    await new Promise((resolve) => setTimeout(resolve, 50));
    timers.get(1234)?.();
    const result = await outcome;
    equal(result.ok || result.error.code, "limit");
  });
});

async function serving(
  options: BackendOptions,
  client: HttpClient,
  use: (context: {
    readonly backend: Backend;
    readonly open: (path: string, options?: HttpOpenerOptions) => ReturnType<typeof httpOpener>;
  }) => Promise<void>,
): Promise<void> {
  try {
    await withHttpBackend(options, (backend) =>
      use({
        backend,
        open: (path, openerOptions) => httpOpener(client, backend.url + path, openerOptions),
      }).finally(() => client.close()));
  } finally {
    client.close();
  }
}

function advertisement(...packets: Uint8Array[]): Response {
  return new Response(new Blob(packets.map((packet) => new Uint8Array(packet))), {
    headers: { "Content-Type": "application/x-git-upload-pack-advertisement" },
  });
}

async function textOf(read: () => Promise<Uint8Array | undefined>): Promise<string> {
  let text = "";
  for (let bytes = await read(); bytes !== undefined; bytes = await read()) {
    text += new TextDecoder().decode(bytes);
  }
  return text;
}

async function certificate(dir: string): Promise<{ cert: string; key: string }> {
  await run("openssl", [
    "req",
    "-x509",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:P-256",
    "-nodes",
    "-keyout",
    `${dir}/key.pem`,
    "-out",
    `${dir}/cert.pem`,
    "-days",
    "2",
    "-subj",
    "/CN=127.0.0.1",
    "-addext",
    "subjectAltName=IP:127.0.0.1",
  ]);
  return { cert: await Deno.readTextFile(`${dir}/cert.pem`), key: await Deno.readTextFile(`${dir}/key.pem`) };
}
