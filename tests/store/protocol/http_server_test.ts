/** Our repository over smart HTTP: git as the client, our own client, and clients that mean no good. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import {
  admitAll,
  basicCredentials,
  commitOn,
  createGitHttpHandler,
  fetchFrom,
  fetchHttpClient,
  httpOpener,
  initRepository,
  mayServeOpenly,
  pushTo,
  utf8,
} from "../../../store/mod.ts";
import type { AdmitPush, GitHttpOptions, HttpServed, Oid, Repository } from "../../../store/mod.ts";
import { encodePkt, FLUSH } from "../../../store/protocol/pkt_line.ts";
import { realTest, run } from "../../tools/real.ts";
import { git } from "../git_fixture.ts";
import { commits, fsck, gitV, oidOf, workTree } from "./git_server.ts";
import { httpBackend, withWeb } from "./http_server_world.ts";
import { LIMITS, person, withLocal } from "./push_world.ts";

for (const version of [0, 1, 2]) {
  realTest(`git clones, pushes and fetches over HTTP by v${version}`, { needs: ["git"] }, async ({ dir }) => {
    const work = await workTree(dir);
    await commits(work, 30);
    await serving(dir, {}, async ({ url, repository }) => {
      await gitV(version, ["push", "-q", url, "main"], { cwd: work });
      equal(await repository.refs.get("refs/heads/main"), await oidOf(work, "main"));
      await gitV(version, ["clone", "-q", url, `${dir}/clone`]);
      equal(await oidOf(`${dir}/clone`, "HEAD"), await oidOf(work, "main"));
      await fsck(`${dir}/clone`);
      // Many haves make a request that git compresses; a history of its own makes it offer them.
      await commits(`${dir}/clone`, 200, "mine");
      await commits(work, 2, "more");
      await run("git", ["tag", "-a", "-m", "t", "v1"], { cwd: work });
      await gitV(version, ["push", "-q", url, "main", "v1"], { cwd: work });
      await gitV(version, ["fetch", "-q"], { cwd: `${dir}/clone` });
      equal(await oidOf(`${dir}/clone`, "origin/main"), await oidOf(work, "main"));
      equal(await oidOf(`${dir}/clone`, "v1"), await oidOf(work, "v1"));
      await fsck(`${dir}/clone`);
      const { stderr } = await gitV(version, ["push", url, "main"], { cwd: work });
      match(stderr, /Everything up-to-date/);
      // A pack over `http.postBuffer` is sent in chunks, after a probe.
      const noise = new Uint8Array(1 << 18);
      for (let at = 0; at < noise.length; at += 65536) crypto.getRandomValues(noise.subarray(at, at + 65536));
      await Deno.writeFile(`${work}/noise`, noise);
      await run("git", ["add", "."], { cwd: work });
      await run("git", ["commit", "-q", "-m", "noise"], { cwd: work });
      await gitV(version, ["-c", "http.postBuffer=65536", "push", "-q", url, "main"], { cwd: work });
      equal(await repository.refs.get("refs/heads/main"), await oidOf(work, "main"));
      await gitV(version, ["clone", "-q", "--depth=1", url, `${dir}/shallow`]);
      equal((await git(`${dir}/shallow`, "rev-list", "--count", "HEAD")).trim(), "1");
      await fsck(`${dir}/shallow`);
    });
  });

  realTest(
    `a refusal over HTTP is read by the pusher, by v${version}`,
    { needs: ["git"] },
    async ({ dir }) => {
      const work = await workTree(dir);
      await commits(work, 2);
      const admit = () => (): AdmitPush => async (proposal) => {
        await proposal.say("zones/example.test:14:9: no such type");
        return {
          results: new Map(proposal.moves.map(({ name }) => [name, { ok: false, reason: "1 fault" }])),
        };
      };
      await serving(dir, { admit }, async ({ url, repository, served }) => {
        const refused = await gitV(version, ["push", url, "main"], { cwd: work, check: false });
        equal(refused.code, 1);
        match(refused.stderr, /^remote: zones\/example\.test:14:9: no such type/m);
        match(refused.stderr, /\[remote rejected\] main -> main \(1 fault\)/);
        equal((await repository.refs.list()).size, 0);
        deepEqual(served.at(-1)?.results.get("refs/heads/main"), { ok: false, reason: "1 fault" });
      });
    },
  );
}

realTest(
  "who is not known fetches, who is known pushes, who is wrong does neither",
  { needs: ["git"] },
  async ({ dir }) => {
    const work = await workTree(dir);
    await commits(work, 2);
    const authorize: GitHttpOptions<string>["authorize"] = (request) => {
      const given = basicCredentials(request);
      if (given === undefined) return { kind: "anonymous" };
      if (given.user === "barred") return { kind: "forbidden", reason: "barred" };
      if (given.password !== "pä:ss") return { kind: "unauthorized", realm: 'zones "\n' };
      return { kind: "known", who: given.user };
    };
    const who: string[] = [];
    const admit = (repository: Repository) => (user: string) => {
      who.push(user);
      return admitAll(repository);
    };
    await serving(dir, { authorize, admit }, async ({ url, repository }) => {
      const as = (user: string, password: string) =>
        url.replace("://", `://${user}:${encodeURIComponent(password)}@`);
      const push = (to: string) => gitV(2, ["push", "-q", to, "main"], { cwd: work, check: false });
      match((await push(url)).stderr, /could not read Username|terminal prompts disabled/);
      match((await push(as("ann", "wrong"))).stderr, /Authentication failed|could not read/);
      match((await push(as("barred", "pä:ss"))).stderr, /403/);
      equal((await repository.refs.list()).size, 0);
      equal((await push(as("ann", "pä:ss"))).code, 0);
      deepEqual(who, ["ann", "ann"]);
      await gitV(2, ["clone", "-q", url, `${dir}/clone`]);
      equal(await oidOf(`${dir}/clone`, "HEAD"), await oidOf(work, "main"));
      const asked = await fetch(`${url}/info/refs?service=git-upload-pack`, {
        headers: { authorization: `Basic ${btoa("ann:wrong")}` },
      });
      await asked.body?.cancel();
      equal(asked.headers.get("www-authenticate"), 'Basic realm="zones ", charset="UTF-8"');
    });
  },
);

realTest("what holds TSIG keys is served to nobody unknown, from the push on that brings them", {
  needs: ["git"],
}, async ({ dir }) => {
  const work = await workTree(dir);
  await commits(work, 2);
  const authorize: GitHttpOptions<string>["authorize"] = (request, service) =>
    basicCredentials(request) !== undefined || service === "git-receive-pack"
      ? { kind: "known", who: "ann" }
      : { kind: "anonymous" };
  await serving(dir, { authorize }, async ({ url, repository, served }) => {
    await gitV(2, ["push", "-q", url, "main"], { cwd: work });
    ok((await mayServeOpenly(repository)).ok);
    await gitV(2, ["ls-remote", url]);
    await Deno.mkdir(`${work}/zones/deep`, { recursive: true });
    await Deno.writeTextFile(`${work}/zones/deep/example.test._keys`, "secret");
    await run("git", ["add", "."], { cwd: work });
    await run("git", ["commit", "-q", "-m", "keys"], { cwd: work });
    await gitV(2, ["push", "-q", url, "main:refs/heads/side"], { cwd: work });
    const may = await mayServeOpenly(repository);
    ok(!may.ok);
    match(may.error.message, /^zones\/deep\/example\.test\._keys in refs\/heads\/side holds TSIG keys/);
    const refused = await gitV(2, ["ls-remote", url], { check: false });
    match(refused.stderr, /could not read Username|terminal prompts disabled/);
    ok(!refused.stderr.includes("example.test"));
    match(served.at(-1)?.failure?.message ?? "", /example\.test\._keys/);
    ok((await mayServeOpenly(repository, { visible: (name) => name !== "refs/heads/side" })).ok);
    await gitV(2, ["clone", "-q", "-b", "side", url.replace("://", "://ann:x@"), `${dir}/clone`]);
    // Taken away again they are still in the history that a clone brings along.
    const keys = await oidOf(work, "HEAD");
    await run("git", ["rm", "-q", "-r", "zones"], { cwd: work });
    await run("git", ["commit", "-q", "-m", "no keys"], { cwd: work });
    await gitV(2, ["push", "-q", url, "main:refs/heads/side"], { cwd: work });
    const still = await mayServeOpenly(repository);
    ok(!still.ok);
    match(still.error.message, new RegExp(`in ${keys}, which refs/heads/side reaches`));
    ok((await mayServeOpenly(repository, { history: false })).ok);
  });
});

for (const name of ["git's http-backend", "our handler"]) {
  realTest(
    `our client pushes over HTTP and finds conflicts (${name})`,
    { needs: ["git"] },
    async ({ dir }) => {
      const path = `${dir}/zones.git`;
      await run("git", ["init", "-q", "--bare", "-b", "main", path]);
      const remote = await initRepository(path);
      const handler = name === "our handler" ? handlerFor(remote, {}, []) : httpBackend(dir);
      try {
        await withWeb(handler, async (origin) => {
          const client = fetchHttpClient();
          const open = httpOpener(client, `${origin}/zones.git`);
          await withLocal(`${dir}/local.git`, async (local) => {
            const one = await commit(local, undefined, "a", "one");
            const push = (base: Oid | undefined, made: Oid) =>
              pushTo({ repository: local, open, ref: "refs/heads/main", base, commit: made, limits: LIMITS });
            deepEqual(await push(undefined, one), { kind: "committed", commit: one });
            deepEqual(await push(undefined, one), { kind: "unchanged", commit: one });
            await run("git", ["clone", "-q", path, `${dir}/other`]);
            await commits(`${dir}/other`, 1, "theirs");
            await run("git", ["push", "-q", "origin", "main"], { cwd: `${dir}/other` });
            const theirs = await oidOf(`${dir}/other`, "main");
            const two = await commit(local, one, "a", "two");
            deepEqual(await push(one, two), {
              kind: "conflict",
              remote: theirs,
              base: one,
              ours: two,
              theirs,
            });
            // Over a megabyte a request is streamed.
            const noise = Array.from({ length: 80_000 }, () => crypto.randomUUID()).join("\n");
            const merged = await commit(local, theirs as Oid, "a", noise);
            deepEqual(await push(theirs as Oid, merged), { kind: "committed", commit: merged });
            const fetched = await fetchFrom({
              repository: local,
              open,
              refPrefixes: ["refs/heads/"],
              want: (refs) => [...refs.values()],
              limits: LIMITS,
            });
            ok(fetched.ok, fetched.ok ? "" : fetched.error.message);
          });
          client.close();
        });
      } finally {
        remote.close();
      }
      await fsck(path);
    },
  );
}

realTest("requests that are none get an answer that says so", { needs: [] }, async ({ dir }) => {
  await serving(dir, { admit: undefined }, async ({ url, origin }) => {
    const asked = async (path: string, init: RequestInit = {}) => {
      const response = await fetch(`${origin}${path}`, init);
      return [response.status, (await response.text()).trim()] as const;
    };
    const post = (type: string, more: Record<string, string> = {}) => ({
      method: "POST",
      body: "0000",
      headers: { "content-type": type, ...more },
    });
    const upload = "application/x-git-upload-pack-request";
    deepEqual(await asked("/"), [404, "not found"]);
    deepEqual(await asked("/zones.git"), [404, "not found"]);
    deepEqual(await asked("/zones.gitx/info/refs?service=git-upload-pack"), [404, "not found"]);
    deepEqual(await asked("/zones.git/HEAD"), [404, "not found"]);
    deepEqual(await asked("/zones.git/objects/info/packs"), [404, "not found"]);
    equal((await asked("/zones.git/%2e%2e/x/info/refs?service=git-upload-pack"))[0], 404);
    equal((await asked("/zones.git/info/refs"))[0], 403);
    equal((await asked("/zones.git/info/refs?service=git-shell"))[0], 403);
    equal((await asked("/zones.git/info/refs?service=git-upload-pack", { method: "POST" }))[0], 405);
    equal((await asked("/zones.git/git-upload-pack"))[0], 405);
    equal((await asked("/zones.git/git-upload-pack", post("text/plain")))[0], 415);
    equal((await asked("/zones.git/git-upload-pack", post(upload, { "content-encoding": "br" })))[0], 415);
    deepEqual(await asked("/zones.git/info/refs?service=git-receive-pack"), [
      403,
      "nothing can be pushed here",
    ]);
    const refs = await fetch(`${url}/info/refs?service=git-upload-pack`);
    match(await refs.text(), /^001e# service=git-upload-pack\n0000/);
    equal(refs.headers.get("content-type"), "application/x-git-upload-pack-advertisement");
    equal(refs.headers.get("cache-control"), "no-cache, max-age=0, must-revalidate");
    const v2 = await fetch(`${url}/info/refs?service=git-upload-pack`, {
      headers: { "git-protocol": "version=2" },
    });
    match(await v2.text(), /^000eversion 2\n/);
  });
});

realTest(
  "bodies that are bombs, garbage or cut off end in words and in nothing kept",
  { needs: ["git"] },
  async ({ dir }) => {
    const work = await workTree(dir);
    await commits(work, 2);
    const limits = { fetchRequestBytes: 100_000, pushRequestBytes: 200_000 };
    await serving(dir, { limits }, async ({ url, repository, served }) => {
      await gitV(2, ["push", "-q", url, "main"], { cwd: work });
      const send = async (service: string, body: BodyInit, encoding?: string) => {
        const response = await fetch(`${url}/${service}`, {
          method: "POST",
          body,
          headers: {
            "content-type": `application/x-${service}-request`,
            "git-protocol": service === "git-upload-pack" ? "version=2" : "",
            ...(encoding === undefined ? {} : { "content-encoding": encoding }),
          },
        });
        return await response.text();
      };
      // A thousand times its size, all of it nothing.
      const bomb = await gzip(new Uint8Array(1 << 26));
      const command = encodePkt(`${"0".repeat(40)} ${"1".repeat(40)} refs/heads/x\0 report-status`);
      match(await send("git-upload-pack", bomb, "gzip"), /ERR upload-pack: |^$/);
      match(served.at(-1)?.failure?.message ?? "", /bad packet length|more than 100000 bytes/);
      const valid = await gzip(joined([command, FLUSH, packOfNothing(1 << 24)]));
      match(await send("git-receive-pack", valid, "gzip"), /more than 200000 bytes/);
      const flood = joined(Array.from({ length: 5000 }, () => encodePkt(`have ${"1".repeat(40)}\n`)));
      match(
        await send("git-upload-pack", await gzip(joined([encodePkt("command=fetch"), flood])), "gzip"),
        /ERR/,
      );
      match(served.at(-1)?.failure?.message ?? "", /more than 100000 bytes|unexpected|delim/);
      match(await send("git-upload-pack", "this is no gzip", "gzip"), /ERR upload-pack: .*gzip/);
      match(await send("git-upload-pack", (await gzip(utf8("0000"))).subarray(0, 12), "gzip"), /ERR|^$/);
      match(await send("git-upload-pack", "zzzz"), /ERR upload-pack: bad packet length/);
      match(await send("git-receive-pack", joined([command, FLUSH, utf8("PACKgarbage")])), /unpack (?!ok)/);
      deepEqual([...(await repository.refs.list()).keys()], ["refs/heads/main"]);
    });
  },
);

realTest(
  "more conversations than are allowed at a time are told to come back",
  { needs: [] },
  async ({ dir }) => {
    const repository = await initRepository(`${dir}/zones.git`);
    try {
      const handler = handlerFor(repository, { limits: { concurrent: 1 } }, []);
      let feed: ReadableStreamDefaultController<Uint8Array> | undefined;
      const body = new ReadableStream<Uint8Array>({ start: (controller) => void (feed = controller) });
      const first = await handler(
        new Request("http://x/zones.git/git-upload-pack", {
          method: "POST",
          body,
          headers: { "content-type": "application/x-git-upload-pack-request", "git-protocol": "version=2" },
        }),
      );
      const asked = () => handler(new Request("http://x/zones.git/info/refs?service=git-upload-pack"));
      const second = await asked();
      deepEqual([second.status, second.headers.get("retry-after")], [503, "5"]);
      feed?.close();
      await first.text();
      // The end of an answer is on its way before its place is free.
      for (let tries = 0;; tries++) {
        const { status, body } = await asked();
        await body?.cancel();
        if (status === 200) break;
        deepEqual([status, tries < 1000], [503, true]);
        await new Promise((resolve) => setTimeout(resolve, 0));
      }
    } finally {
      repository.close();
    }
  },
);

realTest(
  "a client that stalls or goes away holds no place, and leaves nothing",
  { needs: [] },
  async ({ dir }) => {
    const repository = await initRepository(`${dir}/zones.git`);
    try {
      for (const how of ["stalls", "stalls in gzip", "goes away", "does not read"] as const) {
        const timers = new Map<() => void, number>();
        const timer = (milliseconds: number, fire: () => void) => {
          timers.set(fire, milliseconds);
          return () => void timers.delete(fire);
        };
        const ended = Promise.withResolvers<HttpServed<string>>();
        const handler = createGitHttpHandler<string>({
          repository,
          authorize: () => ({ kind: "known", who: "anybody" }),
          admit: () => admitAll(repository),
          bounds: { idle: 1000, timer },
          limits: { concurrent: 1 },
          report: ended.resolve,
        });
        const start = joined([
          encodePkt(`${"0".repeat(40)} ${"1".repeat(40)} refs/heads/x\0 report-status`),
          FLUSH,
          utf8("PACK"),
        ]);
        let feed: ReadableStreamDefaultController<Uint8Array> | undefined;
        const body = new ReadableStream<Uint8Array>({ start: (controller) => void (feed = controller) });
        feed?.enqueue(how === "stalls in gzip" ? (await gzip(start)).subarray(0, 40) : start);
        const response = await handler(
          new Request("http://x/zones.git/git-receive-pack", {
            method: "POST",
            body,
            headers: {
              "content-type": "application/x-git-receive-pack-request",
              ...(how === "stalls in gzip" ? { "content-encoding": "gzip" } : {}),
            },
          }),
        );
        if (how === "does not read") {
          feed?.enqueue(packOfNothing(1 << 16));
          feed?.close();
          await response.body?.cancel();
        } else if (how === "goes away") feed?.error(new Error("connection reset"));
        else {
          // Until the server has read what there is and waits for more.
          while (![...timers.values()].includes(1000)) await new Promise((resolve) => setTimeout(resolve, 0));
          for (const [fire, due] of [...timers]) if (due === 1000) fire();
        }
        const { failure, results } = await ended.promise;
        ok(failure !== undefined || [...results.values()].every((result) => !result.ok), how);
        if (how !== "does not read") match(failure?.code ?? "", /^(limit|unreachable)$/);
        await response.text().catch(() => {}); // What was given up has an end of its own.
        for (let tries = 0;; tries++) {
          const next = await handler(new Request("http://x/zones.git/info/refs?service=git-upload-pack"));
          await next.body?.cancel();
          if (next.status === 200) break;
          deepEqual([next.status, tries < 1000], [503, true]);
          await new Promise((resolve) => setTimeout(resolve, 0));
        }
      }
      for await (const entry of Deno.readDir(`${repository.path}/objects`)) {
        ok(
          !entry.name.startsWith("tmp_"),
          entry.name,
        );
      }
    } finally {
      repository.close();
    }
  },
);

realTest("a server that forbids is a rejection, not a lost connection", { needs: [] }, async ({ dir }) => {
  const authorize = () => ({ kind: "forbidden", reason: "on holiday" }) as const;
  await serving(dir, { authorize, admit: undefined }, async ({ url }) => {
    await withLocal(`${dir}/local.git`, async (local) => {
      const client = fetchHttpClient();
      const outcome = await pushTo({
        repository: local,
        open: httpOpener(client, url),
        ref: "refs/heads/main",
        base: undefined,
        commit: await commit(local, undefined, "a", "one"),
        limits: LIMITS,
      });
      ok(outcome.kind === "rejected", JSON.stringify(outcome));
      match(outcome.reason, /403/);
      client.close();
    });
  });
});

interface Serving {
  /** Of the repository. */
  readonly url: string;
  readonly origin: string;
  readonly repository: Repository;
  readonly served: HttpServed<string>[];
}

type Options = Partial<Omit<GitHttpOptions<string>, "admit">> & {
  readonly admit?: ((repository: Repository) => NonNullable<GitHttpOptions<string>["admit"]>) | undefined;
};

async function serving(
  dir: string,
  options: Options,
  use: (context: Serving) => Promise<void>,
): Promise<void> {
  const repository = await initRepository(`${dir}/zones.git`);
  const served: HttpServed<string>[] = [];
  try {
    await withWeb(
      handlerFor(repository, options, served),
      (origin) => use({ url: `${origin}/zones.git`, origin, repository, served }),
    );
  } finally {
    repository.close();
  }
  for await (const entry of Deno.readDir(`${repository.path}/objects`)) {
    ok(!entry.name.startsWith("tmp_"), entry.name);
  }
  if (options.admit !== undefined || !("admit" in options)) await fsck(repository.path);
}

function handlerFor(repository: Repository, options: Options, served: HttpServed<string>[]) {
  const admit = "admit" in options ? options.admit : (of: Repository) => () => admitAll(of);
  return createGitHttpHandler<string>({
    authorize: () => ({ kind: "known", who: "anybody" }),
    ...options,
    repository,
    admit: admit?.(repository),
    report: (one) => void served.push(one),
  });
}

async function commit(
  repository: Repository,
  base: Oid | undefined,
  path: string,
  content: string,
): Promise<Oid> {
  const changes = new Map([[path, utf8(content)]]);
  const made = await commitOn(repository, { base, changes, author: person("ours"), message: "a change\n" });
  if (made.kind !== "committed") throw new Error("nothing changed");
  return made.commit;
}

/** The beginning of a pack whose one object is said to be large. */
function packOfNothing(bytes: number): Uint8Array {
  const pack = new Uint8Array(bytes);
  pack.set([0x50, 0x41, 0x43, 0x4b, 0, 0, 0, 2, 0, 0, 0, 1, 0xbf, 0xff, 0xff, 0x07, 0x78, 0x01]);
  // Stored blocks of deflate, of nothing each.
  for (let at = 18; at + 5 <= bytes; at += 5) pack.set([0, 0, 0, 0xff, 0xff], at);
  return pack;
}

async function gzip(bytes: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  const stream = new Blob([bytes.slice()]).stream().pipeThrough(new CompressionStream("gzip"));
  return await new Response(stream).bytes();
}

function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
