/** What a zone was under an earlier serial. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { recordToText } from "../../dns/mod.ts";
import type { Oid } from "../../store/mod.ts";
import { realTest, run } from "../tools/real.ts";
import { accepted, add, type Fixture, named, openFixture, push, update, zoneText } from "./fixture.ts";

const ZONE = named("a.test");

realTest("what we served is in the journal, as exact differences", { needs: ["git"] }, async ({ dir }) => {
  const fixture = await openFixture(dir);
  await numbered(fixture, [1, 5, 9]);
  const found = await fixture.primary.historyOf(ZONE, 5);
  ok(found?.kind === "journal");
  deepEqual(found.deltas.map(({ from, to }) => [from, to]), [[5, 9]]);
  deepEqual(await fixture.primary.historyOf(ZONE, 9), { kind: "journal", deltas: [] });
  equal(await fixture.primary.historyOf(named("b.test"), 9), undefined);
  await fixture.close();
});

realTest(
  "before our time, the history of the file tells, where people number it",
  { needs: ["git"] },
  async ({ dir }) => {
    const { commits, fixture } = await adopted(dir, [2, 5, 9, 12], {});
    for (const [at, serial] of [[1, 5], [2, 9]] as const) {
      const found = await fixture.primary.historyOf(ZONE, serial);
      ok(found?.kind === "file", String(serial));
      equal(found.commit, commits[at]);
      const [soa, ...rest] = found.records.map((record) => recordToText(record));
      ok(soa.includes(` ${serial} 3600 `), soa);
      ok(rest.some((text) => text.includes(`192.0.2.${serial}`)), rest.join("\n"));
    }
    const first = await fixture.primary.historyOf(ZONE, 2);
    ok(first?.kind === "file" && first.commit === commits[0], "the first state has none before it");
    for (const never of [1, 3, 8, 13]) {
      equal(
        await fixture.primary.historyOf(ZONE, never),
        undefined,
        String(never),
      );
    }
    await fixture.close();
  },
);

realTest("where a number stands for two contents, or programs have records, no file tells", {
  needs: ["git"],
}, async ({ dir }) => {
  const forgotten = await adopted(dir, [2, 5, 5, 9], {});
  equal(await forgotten.fixture.primary.historyOf(ZONE, 5), undefined);
  equal(await forgotten.fixture.primary.historyOf(ZONE, 2), undefined);
  await forgotten.fixture.close();

  const { fixture } = await adopted(`${dir}/b`, [2, 5, 9], {});
  ok(await fixture.primary.historyOf(ZONE, 5));
  equal((await update(fixture, "a.test", add("_acme-challenge.a.test 60 TXT x"))).rcode, 0);
  equal(await fixture.primary.historyOf(ZONE, 5), undefined);
  await fixture.close();
});

realTest(
  "where the history was cut, more of it is asked for until it is found or ends",
  { needs: ["git"] },
  async ({ dir }) => {
    const { commits, fixture } = await adopted(dir, [1, 2, 3, 4, 5, 6], { depth: 1 });
    equal(await fixture.primary.historyOf(ZONE, 3), undefined, "with nobody to ask");
    let asked = 0;
    const deepen = async () => {
      asked++;
      const repository = fixture.repository.path;
      await run("git", ["-C", repository, "fetch", "-q", "--deepen=1", `file://${dir}/upstream.git`, "main"]);
      return true;
    };
    const found = await fixture.primary.historyOf(ZONE, 3, deepen);
    ok(found?.kind === "file" && found.commit === commits[2]);
    equal(asked, 4, "one further than the state: that the number is new there must be seen");
    let refused = 0;
    const away = () => {
      refused++;
      return Promise.resolve(false);
    };
    equal(await fixture.primary.historyOf(ZONE, 1, away), undefined);
    equal(refused, 1);
    await fixture.close();
  },
);

async function numbered(fixture: Fixture, serials: readonly number[]): Promise<void> {
  for (const serial of serials) {
    accepted(await push(fixture, { "a.test.zone": zoneText(serial, `www A 192.0.2.${serial}`) }));
  }
}

/** A primary that never served what an upstream had before its last commit. */
async function adopted(dir: string, serials: readonly number[], options: { readonly depth?: number }) {
  const upstream = `${dir}/upstream.git`;
  await Deno.mkdir(`${dir}/work`, { recursive: true });
  await run("git", ["init", "-q", "--bare", "-b", "main", upstream]);
  await run("git", ["init", "-q", "-b", "main", `${dir}/work`]);
  const git = async (...args: string[]) => (await run("git", args, { cwd: `${dir}/work` })).stdout.trim();
  const commits: string[] = [];
  for (const [at, serial] of serials.entries()) {
    await Deno.writeTextFile(
      `${dir}/work/a.test.zone`,
      zoneText(serial, `www A 192.0.2.${serial}`, `n TXT ${at}`),
    );
    await git("add", "-A");
    await git("commit", "-qm", `${serial}`);
    commits.push(await git("rev-parse", "HEAD"));
  }
  await git("push", "-q", upstream, "main");
  const mirror = `${dir}/zones.git`;
  const depth = options.depth === undefined ? [] : [`--depth=${options.depth}`];
  await run("git", ["clone", "-q", "--bare", ...depth, `file://${upstream}`, mirror]);
  const fixture = await openFixture(dir, { mode: { kind: "remote", upstream: "upstream" } });
  return { fixture, commits: commits as Oid[] };
}
