/** The portable part of the store in a browser: headless Chromium clones from us over HTTP, reads, commits and pushes. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { admitAll, createGitHttpHandler, initRepository } from "../../store/mod.ts";
import { findProgram, realTest, run } from "../tools/real.ts";
import { assertGitAccepts, git } from "./git_fixture.ts";
import { withWeb } from "./protocol/http_server_world.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

realTest(
  "what a browser imports of the store asks for nothing that a browser has not",
  { needs: [] },
  async ({ dir }) => {
    const bundle = await bundled(`${ROOT}store/portable.ts`, `${dir}/store.js`);
    const code = await Deno.readTextFile(bundle);
    ok(code.length > 100_000, "the bundle is too small to be the store");
    for (const foreign of [/["']node:/, /\bDeno\./, /\bprocess\./]) {
      equal(code.split("\n").find((line) => foreign.test(line)), undefined);
    }
  },
);

realTest("a browser clones a small repository from us, reads it and pushes to it", {
  needs: ["git", "chromium"],
}, async ({ dir }) => {
  const work = `${dir}/work`;
  await run("git", ["init", "-q", "-b", "main", work]);
  await Deno.mkdir(`${work}/zones`);
  let zone = "";
  for (let serial = 1; serial <= 5; serial++) {
    const hosts = Array.from({ length: 300 }, (_, i) => `host${i} IN A 192.0.2.${i % 200}\n`).join("");
    zone = `$ORIGIN example.test.\n@ IN SOA ns hostmaster ${serial} 1 1 1 1\n${hosts}`;
    await Deno.writeTextFile(`${work}/zones/example.test`, zone);
    await Deno.writeTextFile(`${work}/README`, "Zones. Grüße.\n");
    await run("git", ["add", "."], { cwd: work });
    await run("git", ["commit", "-q", "-m", `serial ${serial}`], { cwd: work });
  }
  const repository = await initRepository(`${dir}/zones.git`);
  try {
    const page = await bundled(new URL("browser_page.ts", import.meta.url).pathname, `${dir}/page.js`);
    const failures: Error[] = [];
    const served = createGitHttpHandler<string>({
      repository,
      authorize: () => ({ kind: "known", who: "browser" }),
      report: ({ failure }) => {
        if (failure !== undefined) failures.push(failure);
      },
      admit: () => admitAll(repository),
    });
    const said = Promise.withResolvers<string>();
    await withWeb(async (request) => {
      const { pathname } = new URL(request.url);
      if (pathname.startsWith("/zones.git/")) return await served(request);
      if (pathname === "/page.js") {
        return new Response(await Deno.readFile(page), { headers: { "content-type": "text/javascript" } });
      }
      if (pathname === "/said") {
        said.resolve(await request.text());
        return new Response(null, { status: 204 });
      }
      if (pathname === "/picture") {
        await said.promise;
        return new Response(null, { status: 204 });
      }
      return new Response(PAGE, { headers: { "content-type": "text/html; charset=utf-8" } });
    }, async (origin) => {
      await run("git", ["push", "-q", `${origin}/zones.git`, "main"], { cwd: work });
      await git(repository.path, "repack", "-adfq");
      const shown = show(dir, origin);
      const visit = JSON.parse(await Promise.race([said.promise, shown]));
      await shown;
      deepEqual(failures, []);
      const made = await repository.refs.get("refs/heads/main");
      deepEqual(visit, {
        // Five commits, five trees of two folders each, five zones and one README.
        objects: 5 * 4 + 1,
        files: ["README", "zones/example.test"],
        message: "serial 5\n",
        zone,
        outcome: "committed",
        made,
      });
      equal(await git(repository.path, "show", "main:zones/example.test"), `${zone}added IN A 192.0.2.77\n`);
      equal(await git(repository.path, "log", "-1", "--format=%an %s"), "Browser from a browser\n");
    });
  } finally {
    repository.close();
  }
  await assertGitAccepts(`${dir}/zones.git`);
});

const PAGE =
  `<!doctype html><title>store</title><body><img src="/picture"><script type="module" src="/page.js"></script>`;

/** Chromium ends when the page has loaded, picture and all. Gives what it printed, for the case that this is all there is. */
async function show(dir: string, url: string): Promise<string> {
  const output = await new Deno.Command(findProgram("chromium") ?? "chromium", {
    args: [
      "--headless",
      // There is no sandbox for root; what is shown is ours.
      "--no-sandbox",
      "--disable-gpu",
      "--disable-dev-shm-usage",
      "--no-first-run",
      `--user-data-dir=${dir}/chromium`,
      "--dump-dom",
      `${url}/`,
    ],
    clearEnv: true,
    env: { PATH: Deno.env.get("PATH") ?? "", HOME: dir, LC_ALL: "C.UTF-8" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    signal: AbortSignal.timeout(120_000),
  }).output();
  return JSON.stringify({
    printed: new TextDecoder().decode(output.stdout) + new TextDecoder().decode(output.stderr),
  });
}

async function bundled(entry: string, output: string): Promise<string> {
  const args = ["bundle", "--quiet", "--platform", "browser", "--output", output, entry];
  const outcome = await new Deno.Command(Deno.execPath(), {
    args,
    cwd: ROOT,
    stdout: "piped",
    stderr: "piped",
  }).output();
  if (outcome.code !== 0) throw new Error(`deno bundle: ${new TextDecoder().decode(outcome.stderr)}`);
  return output;
}
