/** Packs that another program replaces at the worst moment: between two of our looks at their folder. */
import { equal, ok } from "node:assert/strict";
import { fileDevice, openRepositoryOn, runtimeTools } from "../../store/mod.ts";
import type { Device, Oid } from "../../store/mod.ts";
import { realTest } from "../tools/real.ts";
import { assertGitAccepts, git } from "./git_fixture.ts";
import { makeHistory } from "./pack_fixture.ts";

realTest(
  "a pack that is repacked away after the folder was listed is found under its new name",
  { needs: ["git"] },
  async ({ dir }) => {
    const { path, tip, inner } = await packed(dir);
    // Twice in a row: what is looked up in its place may go as well.
    let repacks = 2;
    const device: Device = {
      ...inner,
      async list(folder) {
        const listed = await inner.list(folder);
        if (folder === "objects/pack" && repacks > 0) {
          await git(path, "repack", "-adfq", `--depth=${repacks--}`);
        }
        return listed;
      },
    };
    const repository = await openRepositoryOn(device, runtimeTools);
    ok(await repository.has(tip));
    equal((await repository.read(tip))?.kind, "commit");
    equal(repacks, 0);
    repository.close();
    await assertGitAccepts(path);
  },
);

realTest(
  "a pack whose index came under the folder's same time of change is found",
  { needs: ["git"] },
  async ({ dir }) => {
    const { tip, inner } = await packed(dir);
    // The folder changed in the tick of its clock that still lasts, and we were held up just before we looked.
    const changed = 1_700_000_000_000;
    let now = changed - 1000;
    let looks = 0;
    const device: Device = {
      ...inner,
      look(at) {
        const look = inner.look(at);
        if (at !== "objects/pack" || look === undefined) return look;
        if (looks++ === 0) now = changed + 1;
        return { ...look, changed };
      },
      async list(folder) {
        const listed = await inner.list(folder);
        return looks === 1 && folder === "objects/pack"
          ? listed.filter(({ name }) => !name.endsWith(".idx"))
          : listed;
      },
    };
    const repository = await openRepositoryOn(device, { ...runtimeTools, clock: () => now });
    await repository.has(tip);
    now = changed + 1000;
    ok(await repository.has(tip));
    repository.close();
  },
);

async function packed(dir: string): Promise<{ path: string; tip: Oid; inner: Device }> {
  const path = `${dir}/h.git`;
  await makeHistory(path, { files: 10, commits: 10, changes: 2, lines: 20 });
  await git(path, "repack", "-adfq");
  return { path, tip: (await git(path, "rev-parse", "main")).trim() as Oid, inner: fileDevice(path) };
}
