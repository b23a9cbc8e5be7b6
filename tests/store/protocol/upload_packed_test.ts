/** What is served out of packs large enough for short cuts: copied stretches, bitmaps; and what is wrong with those. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { openRepository } from "../../../store/repository/open.ts";
import { serveUploadPack } from "../../../store/protocol/serve.ts";
import { git } from "../git_fixture.ts";
import { makeHistory } from "../pack_fixture.ts";
import { realTest, run } from "../../tools/real.ts";
import { commits, fsck, gitV } from "./git_server.ts";
import { bufferFlow, fetchRequest, join, objectsIn, serving } from "./upload_server.ts";

realTest(
  "a pack is copied in stretches, also where much of it is left out",
  { needs: ["git"] },
  async ({ dir }) => {
    const path = await packed(dir, "-adfq");
    for (const [branch, revision] of [["main", "main"], ["old", "main~90"], ["older", "main~150"]]) {
      if (branch !== "main") await git(path, "branch", branch, revision);
      await serving(path, {}, async (url, sent) => {
        const clone = `${dir}/${branch}.git`;
        await gitV(2, ["clone", "-q", "--bare", "--single-branch", "-b", branch, url, clone]);
        deepEqual(await reached(clone, "HEAD"), await reached(path, revision));
        equal(sent[0], (await reached(path, revision)).length);
        await fsck(clone);
      });
    }
  },
);

realTest(
  "deltas come by their bases' ids to a client that wants it so",
  { needs: ["git"] },
  async ({ dir }) => {
    const path = await packed(dir, "-adfq");
    const main = (await git(path, "rev-parse", "main")).trim();
    await run("git", ["init", "-q", "--bare", `${dir}/empty.git`]);
    const repository = await openRepository(path);
    try {
      for (const flags of [[], ["ofs-delta"], ["thin-pack"]]) {
        const { flow, written } = bufferFlow(fetchRequest([main], [], flags));
        ok((await serveUploadPack({ repository, flow, version: 2, stateless: true, advertise: "skip" })).ok);
        const sent = await objectsIn(`${dir}/scratch`, join(written), `${dir}/empty.git`);
        deepEqual([...sent].sort(), await reached(path, "main"));
      }
    } finally {
      repository.close();
    }
  },
);

realTest(
  "a bitmap tells what a clone needs, with what came after it",
  { needs: ["git"] },
  async ({ dir }) => {
    const path = await packed(dir, "-adbfq");
    await git(path, "branch", "old", "main~77");
    await commits(path, 3, "later");
    await git(path, "tag", "-a", "-m", "t", "v1", "main~1");
    const bitmap = (await Array.fromAsync(Deno.readDir(`${path}/objects/pack`))).find(({ name }) =>
      name.endsWith(".bitmap")
    );
    ok(bitmap !== undefined, "git left a bitmap");
    const check = async (name: string) => {
      await serving(path, {}, async (url, sent) => {
        await gitV(2, ["clone", "-q", "--bare", url, `${dir}/${name}.git`]);
        deepEqual(await reached(`${dir}/${name}.git`, "--all"), await reached(path, "--all"));
        equal(sent[0], (await reached(path, "--all")).length);
        await fsck(`${dir}/${name}.git`);
        await gitV(2, [
          "clone",
          "-q",
          "--bare",
          "--single-branch",
          "-b",
          "old",
          "--no-tags",
          url,
          `${dir}/${name}-old.git`,
        ]);
        equal(sent[1], (await reached(path, "old")).length);
        await gitV(2, ["clone", "-q", "--bare", "--filter=blob:none", url, `${dir}/${name}-lazy.git`]);
        equal(sent[2], (await reached(path, "--all", "--filter=blob:none")).length);
        await gitV(2, ["clone", "-q", "--bare", "--depth=4", url, `${dir}/${name}-short.git`]);
        await fsck(`${dir}/${name}-short.git`);
        equal((await git(`${dir}/${name}-short.git`, "rev-list", "--count", "main")).trim(), "4");
      });
    };
    await check("whole");
    // Damaged, or another pack's: as if it were not there.
    const file = `${path}/objects/pack/${bitmap.name}`;
    await Deno.chmod(file, 0o644);
    const bytes = await Deno.readFile(file);
    for (
      const [name, at] of [["version", 5], ["checksum", 20], ["middle", bytes.length >> 1], [
        "end",
        bytes.length - 1,
      ]] as const
    ) {
      await Deno.writeFile(file, bytes.map((byte, i) => i === at ? byte ^ 0x11 : byte));
      await check(name);
    }
    await Deno.writeFile(file, bytes.subarray(0, 100));
    await check("short");
  },
);

realTest(
  "what is damaged in a pack comes from elsewhere, or not at all",
  { needs: ["git"] },
  async ({ dir }) => {
    const path = await packed(dir, "-adfq");
    const whole = `${dir}/whole.git`;
    await run("cp", ["-r", path, whole]);
    const packs = `${path}/objects/pack`;
    const pack = (await Array.fromAsync(Deno.readDir(packs))).find(({ name }) => name.endsWith(".pack"));
    ok(pack !== undefined);
    const bytes = await Deno.readFile(`${packs}/${pack.name}`);
    await Deno.chmod(`${packs}/${pack.name}`, 0o644);
    for (let at = 5000; at < bytes.length - 5000; at += 9000) bytes[at] ^= 0x40;
    await Deno.writeFile(`${packs}/${pack.name}`, bytes);

    await serving(path, {}, async (url, sent) => {
      const refused = await gitV(2, ["clone", "-q", "--bare", url, `${dir}/none.git`], { check: false });
      ok(refused.code !== 0);
      // It broke off in the middle.
      ok(sent.length <= 1);
    });
    // The same objects once more, each in a file.
    await run("git", ["init", "-q", "--bare", `${dir}/loose.git`]);
    await run("git", ["unpack-objects", "-q"], {
      cwd: `${dir}/loose.git`,
      stdin: await Deno.readFile(`${whole}/objects/pack/${pack.name}`),
    });
    await run("cp", ["-r", `${dir}/loose.git/objects/.`, `${path}/objects/`]);
    await serving(path, {}, async (url) => {
      await gitV(2, ["clone", "-q", "--bare", url, `${dir}/clone.git`]);
      deepEqual(await reached(`${dir}/clone.git`, "HEAD"), await reached(whole, "main"));
      await fsck(`${dir}/clone.git`);
    });
  },
);

/** A history of some 1,500 objects in one pack. */
async function packed(dir: string, how: string): Promise<string> {
  const path = `${dir}/h.git`;
  await makeHistory(path, { files: 120, commits: 200, changes: 3, lines: 30 });
  await git(path, "-c", "repack.writeBitmaps=false", "repack", how);
  return path;
}

async function reached(repository: string, ...revisions: string[]): Promise<string[]> {
  return (await git(repository, "rev-list", "--objects", "--no-object-names", ...revisions)).trim().split(
    "\n",
  ).sort();
}
