/** git as a client that takes less than everything: by depth, by date, without blobs, refs by their names. */
import { equal, match, ok } from "node:assert/strict";
import { realTest, run } from "../../tools/real.ts";
import { commits, fsck, gitV, oidOf, workTree } from "./git_server.ts";
import { serving, servingHttp } from "./upload_server.ts";

for (const version of [0, 1, 2]) {
  realTest(
    `a clone of some depth is deepened, shortened and made whole, by v${version}`,
    { needs: ["git"] },
    async ({ dir }) => {
      const work = await branched(dir);
      const clone = `${dir}/clone`;
      const git = (...args: string[]) => gitV(version, args, { cwd: clone });
      await serving(`${work}/.git`, {}, async (url, sent) => {
        await gitV(version, ["clone", "-q", "--depth=2", url, clone]);
        equal(await count(clone, "HEAD"), 2);
        await fsck(clone);

        sent.length = 0;
        await git("fetch", "-q", "--deepen=3");
        equal(await count(clone, "origin/main"), 5);
        // Three commits with a tree and a blob each, and nothing that was there.
        equal(sum(sent), 9);
        await fsck(clone);

        await git("fetch", "-q", "--depth=3");
        equal(await count(clone, "origin/main"), 3);
        await fsck(clone);

        await commits(work, 2, "later");
        await git("fetch", "-q");
        equal(await count(clone, "origin/main"), 5);
        await fsck(clone);

        await git("fetch", "-q", "--unshallow");
        equal(await count(clone, "origin/main"), await count(work, "main"));
        equal((await git("rev-parse", "--is-shallow-repository")).stdout, "false\n");
        await fsck(clone);
      });
    },
  );

  realTest(
    `a clone of what is young, or of what a ref has not, by v${version}`,
    { needs: ["git"] },
    async ({ dir }) => {
      const work = await branched(dir);
      const since = (await run("git", ["log", "-1", "--format=%ct", "main~3"], { cwd: work })).stdout.trim();
      await serving(`${work}/.git`, {}, async (url) => {
        await gitV(version, ["clone", "-q", `--shallow-since=${since}`, url, `${dir}/young`]);
        equal(await count(`${dir}/young`, "HEAD"), 4);
        await fsck(`${dir}/young`);

        await gitV(version, ["clone", "-q", "--shallow-exclude=v1", "--single-branch", url, `${dir}/new`]);
        equal(await count(`${dir}/new`, "HEAD"), await count(work, "v1..main"));
        await fsck(`${dir}/new`);
        await gitV(version, ["fetch", "-q", "--deepen=1"], { cwd: `${dir}/new` });
        equal(await count(`${dir}/new`, "origin/main"), await count(work, "v1..main") + 1);
        await fsck(`${dir}/new`);

        for (const [option, says] of [["since=2030-01-01", /no commits/], ["exclude=nowhere", /not a ref/]]) {
          const refused = await gitV(version, ["clone", "-q", `--shallow-${option}`, url, `${dir}/none`], {
            check: false,
          });
          ok(refused.code !== 0);
          match(refused.stderr, says as RegExp);
        }
      });
    },
  );

  realTest(`merges are cut where they are nearest, by v${version}`, { needs: ["git"] }, async ({ dir }) => {
    const work = await merged(dir);
    const reference = `file://${work}/.git`;
    await serving(`${work}/.git`, {}, async (url) => {
      for (const depth of [1, 2, 3, 5, 8]) {
        for (const [from, to] of [[url, `ours${depth}`], [reference, `theirs${depth}`]]) {
          await gitV(version, ["clone", "-q", `--depth=${depth}`, from, `${dir}/${to}`]);
        }
        equal(await history(`${dir}/ours${depth}`), await history(`${dir}/theirs${depth}`));
        await fsck(`${dir}/ours${depth}`);
        await gitV(version, ["fetch", "-q", "--deepen=2"], { cwd: `${dir}/ours${depth}` });
        await gitV(version, ["fetch", "-q", "--deepen=2"], { cwd: `${dir}/theirs${depth}` });
        equal(await history(`${dir}/ours${depth}`), await history(`${dir}/theirs${depth}`));
        await fsck(`${dir}/ours${depth}`);
      }
    });
  });

  realTest(
    `a clone without blobs fetches those that it needs later, by v${version}`,
    { needs: ["git"] },
    async ({ dir }) => {
      const work = await branched(dir);
      const clone = `${dir}/clone`;
      await serving(`${work}/.git`, {}, async (url, sent) => {
        await gitV(version, ["clone", "-q", "--no-checkout", "--filter=blob:none", url, clone]);
        equal(await kinds(clone), "commit,tag,tree");
        sent.length = 0;
        await gitV(version, ["checkout", "-q", "main"], { cwd: clone });
        equal(
          await Deno.readTextFile(`${clone}/zone-base`),
          await Deno.readTextFile(`${work}/zone-base`),
        );
        equal(sum(sent), 2);
        await gitV(version, ["checkout", "-q", "v1"], { cwd: clone });
        await fsck(clone);
        await commits(work, 1, "later");
        await gitV(version, ["pull", "-q", "origin", "main"], { cwd: clone, check: false });
        await gitV(version, ["checkout", "-q", "origin/main"], { cwd: clone });
        equal(
          await Deno.readTextFile(`${clone}/zone-later`),
          await Deno.readTextFile(`${work}/zone-later`),
        );
        await fsck(clone);
      });
    },
  );

  realTest(
    `blobs by size and trees by depth are left out as git leaves them out, by v${version}`,
    { needs: ["git"] },
    async ({ dir }) => {
      const work = await folders(dir);
      await run("git", ["config", "uploadpack.allowFilter", "true"], { cwd: work });
      await serving(`${work}/.git`, {}, async (url) => {
        for (
          const [index, filter] of ["blob:limit=60", "tree:0", "tree:1", "tree:2", "tree:3", "blob:limit=1k"]
            .entries()
        ) {
          const ours = `${dir}/ours${index}`;
          const theirs = `${dir}/theirs${index}`;
          const clone = ["clone", "-q", "--bare", `--filter=${filter}`];
          await gitV(version, [...clone, url, ours]);
          await gitV(version, [...clone, `file://${work}/.git`, theirs]);
          equal(await objects(ours), await objects(theirs), filter);
        }
      });
    },
  );
}

realTest("refs can be wanted by their names", { needs: ["git"] }, async ({ dir }) => {
  const work = await branched(dir);
  await serving(`${work}/.git`, { visible: (name) => name !== "refs/heads/side" }, async (url) => {
    await run("git", ["init", "-q", `${dir}/clone`]);
    const trace = `${dir}/trace`;
    await gitV(2, ["fetch", "-q", url, "refs/heads/main:refs/heads/got"], {
      cwd: `${dir}/clone`,
      env: { GIT_TRACE_PACKET: trace },
    });
    match(await Deno.readTextFile(trace), /want-ref refs\/heads\/main/);
    match(await Deno.readTextFile(trace), /wanted-refs/);
    equal(await oidOf(`${dir}/clone`, "got"), await oidOf(work, "main"));
    await fsck(`${dir}/clone`);
    await gitV(2, ["fetch", "-q", "--depth=1", url, "refs/heads/main:refs/heads/short"], {
      cwd: `${dir}/clone`,
    });
    equal(await count(`${dir}/clone`, "short"), 1);
    await fsck(`${dir}/clone`);
  });
});

realTest("a client learns what is common without fetching anything", { needs: ["git"] }, async ({ dir }) => {
  const work = await branched(dir);
  await serving(`${work}/.git`, {}, async (url, sent) => {
    await gitV(2, ["clone", "-q", url, `${dir}/clone`]);
    await commits(`${dir}/clone`, 3, "mine");
    const { stdout } = await gitV(2, ["fetch", "--negotiate-only", "--negotiation-tip=main", "origin"], {
      cwd: `${dir}/clone`,
    });
    const common = stdout.trim().split("\n");
    ok(common.includes(await oidOf(work, "main")));
    ok(!common.includes(await oidOf(`${dir}/clone`, "main")));
    equal(sent.length, 1);
  });
});

for (const version of [0, 1, 2]) {
  realTest(`what we serve may be shallow itself, by v${version}`, { needs: ["git"] }, async ({ dir }) => {
    const work = await branched(dir);
    const middle = `${dir}/middle.git`;
    await run("git", ["clone", "-q", "--bare", "--depth=3", "--no-single-branch", `file://${work}`, middle]);
    await serving(middle, {}, async (url) => {
      await gitV(version, ["clone", "-q", url, `${dir}/clone`]);
      equal(await count(`${dir}/clone`, "HEAD"), 3);
      equal(
        (await run("git", ["rev-parse", "--is-shallow-repository"], { cwd: `${dir}/clone` })).stdout,
        "true\n",
      );
      await fsck(`${dir}/clone`);
      await gitV(version, ["clone", "-q", "--depth=2", url, `${dir}/short`]);
      equal(await count(`${dir}/short`, "HEAD"), 2);
      await gitV(version, ["fetch", "-q", "--deepen=10"], { cwd: `${dir}/short` });
      equal(await count(`${dir}/short`, "origin/main"), 3);
      await fsck(`${dir}/short`);
    });
  });

  realTest(
    `request by request over HTTP: clone, depth, deepening, lazy blobs, a long negotiation, by v${version}`,
    { needs: ["git"] },
    async ({ dir }) => {
      const work = await branched(dir);
      await servingHttp(`${work}/.git`, async (url, sent) => {
        await gitV(version, ["clone", "-q", url, `${dir}/clone`]);
        equal(await oidOf(`${dir}/clone`, "HEAD"), await oidOf(work, "main"));
        await fsck(`${dir}/clone`);
        await gitV(version, ["clone", "-q", "--depth=1", url, `${dir}/short`]);
        equal(await count(`${dir}/short`, "HEAD"), 1);
        await gitV(version, ["fetch", "-q", "--deepen=2"], { cwd: `${dir}/short` });
        equal(await count(`${dir}/short`, "origin/main"), 3);
        await gitV(version, ["fetch", "-q", "--unshallow"], { cwd: `${dir}/short` });
        equal(await count(`${dir}/short`, "origin/main"), await count(work, "main"));
        await fsck(`${dir}/short`);
        await gitV(version, ["clone", "-q", "--filter=blob:none", url, `${dir}/lazy`]);
        await gitV(version, ["checkout", "-q", "v1"], { cwd: `${dir}/lazy` });
        await fsck(`${dir}/lazy`);

        await commits(`${dir}/clone`, 200, "mine");
        await commits(work, 2, "theirs");
        sent.length = 0;
        await gitV(version, ["fetch", "-q"], { cwd: `${dir}/clone` });
        equal(await oidOf(`${dir}/clone`, "origin/main"), await oidOf(work, "main"));
        equal(sum(sent), 6);
        await fsck(`${dir}/clone`);
      });
    },
  );
}

/** Ten commits on main, tagged `v1` in the middle, and a side branch. */
async function branched(dir: string): Promise<string> {
  const work = await workTree(dir);
  await commits(work, 5);
  await run("git", ["tag", "-a", "-m", "first", "v1"], { cwd: work });
  await run("git", ["branch", "side"], { cwd: work });
  await commits(work, 5, "more");
  await run("git", ["checkout", "-q", "side"], { cwd: work });
  await commits(work, 2, "side");
  await run("git", ["checkout", "-q", "main"], { cwd: work });
  return work;
}

/** Branches that part and meet again, at unequal distances from the tip. */
async function merged(dir: string): Promise<string> {
  const work = await branched(dir);
  const git = (...args: string[]) => run("git", args, { cwd: work });
  await git("merge", "-q", "-m", "merge", "side");
  await commits(work, 2, "after");
  await git("checkout", "-q", "-b", "other", "v1");
  await commits(work, 4, "other");
  await git("checkout", "-q", "main");
  await git("merge", "-q", "-m", "merge again", "other");
  return work;
}

/** Files of several sizes in folders of folders; one content at two depths. */
async function folders(dir: string): Promise<string> {
  const work = await workTree(dir);
  await Deno.mkdir(`${work}/a/b/c`, { recursive: true });
  const texts = { "same": 50, "a/small": 10, "a/b/large": 2000, "a/b/c/same": 50, "a/b/c/deep": 59 };
  for (const [name, size] of Object.entries(texts)) {
    await Deno.writeTextFile(`${work}/${name}`, "x".repeat(size));
  }
  await run("git", ["add", "-A"], { cwd: work });
  await run("git", ["commit", "-q", "-m", "folders"], { cwd: work });
  return work;
}

async function count(repository: string, revisions: string): Promise<number> {
  return Number((await run("git", ["rev-list", "--count", revisions], { cwd: repository })).stdout);
}

async function history(repository: string): Promise<string> {
  return (await run("git", ["rev-list", "--all", "--parents"], { cwd: repository })).stdout.split("\n").sort()
    .join("\n");
}

async function objects(repository: string): Promise<string> {
  const { stdout } = await run("git", ["cat-file", "--batch-all-objects", "--batch-check"], {
    cwd: repository,
  });
  return stdout.split("\n").sort().join("\n");
}

async function kinds(repository: string): Promise<string> {
  const all = (await objects(repository)).split("\n").filter((line) => line !== "");
  return [...new Set(all.map((line) => line.split(" ")[1]))].sort().join();
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, each) => total + each, 0);
}
