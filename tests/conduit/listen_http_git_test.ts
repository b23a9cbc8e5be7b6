/** git, with the store behind the HTTP listener: what is too large for any buffer in between. */
import { equal, ok } from "node:assert/strict";
import { type ListenEvent, listenHttp } from "../../conduit/mod.ts";
import { admitAll, createGitHttpHandler, initRepository } from "../../store/mod.ts";
import { realTest, run } from "../tools/real.ts";
import { noise, valueOf } from "./flows.ts";

realTest(
  "git pushes and clones 20 MB over the HTTP listener, under its idle limit",
  { needs: ["git"] },
  async ({ dir }) => {
    const repository = await initRepository(`${dir}/served`);
    const events: ListenEvent[] = [];
    const handler = createGitHttpHandler({
      repository,
      authorize: () => ({ kind: "known", who: "tester" }),
      admit: () => admitAll(repository),
    });
    const listener = valueOf(listenHttp({
      host: "127.0.0.1",
      port: 0,
      idleMs: 10_000,
      maxConnections: 8,
      report: (event) => events.push(event),
    }, handler));
    const url = `http://127.0.0.1:${listener.address.port}/zones.git`;
    try {
      const work = `${dir}/work`;
      await run("git", ["init", "-q", "-b", "main", work]);
      await Deno.writeFile(`${work}/noise`, noise(20 << 20));
      await run("git", ["add", "."], { cwd: work });
      await run("git", ["commit", "-q", "-m", "20 MB"], { cwd: work });
      await run("git", ["push", "-q", url, "main"], { cwd: work });
      await run("git", ["clone", "-q", url, `${dir}/clone`]);
      await run("git", ["fsck", "--strict"], { cwd: `${dir}/clone` });
      const head = async (path: string) => (await run("git", ["rev-parse", "HEAD"], { cwd: path })).stdout;
      equal(await head(`${dir}/clone`), await head(work));
      ok((await Deno.stat(`${dir}/clone/noise`)).size === 20 << 20);
      equal(events.length, 0, JSON.stringify(events));
    } finally {
      await listener.stop();
      repository.close();
    }
  },
);
