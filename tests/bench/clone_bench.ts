/**
 * git clones over ssh from us and from git's own upload-pack, both commands of one OpenSSH sshd, by turns in one run; the
 * start of the process that serves is part of it. From a repository without reachability bitmaps, with those that
 * `git repack -ad` leaves beside the pack of a bare one, and with those of a collection. Prints medians, the ratio, and the
 * CPU that our process took.
 * Arguments: rounds (default 7).
 */
import process from "node:process";
import { openRepository } from "../../store/mod.ts";
import { git } from "../store/git_fixture.ts";
import { makeHistory } from "../store/pack_fixture.ts";
import { run } from "../tools/real.ts";
import { startSshd } from "../tools/sshd.ts";

const rounds = Number(process.argv[2] ?? 7);
const dir = await Deno.makeTempDir({ prefix: "bailiwick-bench-" });
try {
  await bench();
} finally {
  await Deno.remove(dir, { recursive: true });
}

async function bench(): Promise<void> {
  const plain = `${dir}/plain.git`;
  await makeHistory(plain, { files: 2000, commits: 3000, changes: 3, lines: 60 });
  await git(plain, "-c", "repack.writeBitmaps=false", "repack", "-adfq", "--depth=50", "--window=10");
  const bitmapped = `${dir}/bitmapped.git`;
  await run("cp", ["-r", plain, bitmapped]);
  await git(bitmapped, "repack", "-adbq");
  const collected = `${dir}/collected.git`;
  await run("cp", ["-r", plain, collected]);
  const start = performance.now();
  const repository = await openRepository(collected, { owner: true });
  await repository.collect({ graceMs: 86_400_000, now: Date.now(), full: true });
  repository.close();
  console.log(`bitmaps put beside the pack by a collection: ${(performance.now() - start).toFixed(0)} ms`);
  console.log(`repository: ${(await git(plain, "count-objects", "-v")).trim().replaceAll("\n", ", ")}`);

  const sshd = await startSshd(dir);
  try {
    const ssh = `ssh -p ${sshd.port} -i ${sshd.identity} -o StrictHostKeyChecking=no ` +
      `-o UserKnownHostsFile=${dir}/known_hosts -o BatchMode=yes -o LogLevel=ERROR`;
    const clone = async (from: string, command: string) => {
      const to = `${dir}/clone`;
      const start = performance.now();
      await run("git", [
        "clone",
        "-q",
        "--bare",
        `--upload-pack=${command}`,
        `ssh://root@127.0.0.1${from}`,
        to,
      ], {
        env: { GIT_SSH_COMMAND: ssh },
      });
      const taken = performance.now() - start;
      await git(to, "rev-list", "--objects", "--all", "--quiet");
      await Deno.remove(to, { recursive: true });
      return taken;
    };
    const kinds = [["without bitmaps", plain], ["git's bitmaps", bitmapped], [
      "our bitmaps",
      collected,
    ]] as const;
    for (const [kind, repository] of kinds) {
      const cpu = `${dir}/cpu`;
      await Deno.writeTextFile(cpu, "");
      const ours = await commandScript(cpu);
      await clone(repository, ours); // What is compiled once is compiled before.
      await Deno.writeTextFile(cpu, "");
      const times = { git: [] as number[], ours: [] as number[] };
      for (let round = 0; round < rounds; round++) {
        times.git.push(await clone(repository, "git-upload-pack"));
        times.ours.push(await clone(repository, ours));
      }
      const used = (await Deno.readTextFile(cpu)).trim().split("\n").map(Number);
      const [theirs, mine] = [median(times.git), median(times.ours)];
      console.log(
        `${kind.padEnd(15)}  git ${theirs.toFixed(0)} ms  ours ${mine.toFixed(0)} ms  ×${
          (mine / theirs).toFixed(2)
        }  our CPU ${median(used).toFixed(0)} ms`,
      );
      console.log(`  git ${shown(times.git)}\n  ours ${shown(times.ours)}`);
    }
  } finally {
    await sshd.stop();
  }
}

/** git adds the quoted path to what it is given, so the command is a script of one word. */
async function commandScript(cpu: string): Promise<string> {
  const command = new URL("./upload_command.ts", import.meta.url).pathname;
  const path = `${dir}/upload-pack`;
  const flags = "--no-prompt --cached-only --no-check --allow-read --allow-write --allow-env=GIT_PROTOCOL";
  await Deno.writeTextFile(path, `#!/bin/sh\nexec ${Deno.execPath()} run ${flags} ${command} "$1" ${cpu}\n`);
  await Deno.chmod(path, 0o755);
  return path;
}

function shown(times: readonly number[]): string {
  return times.map((time) => time.toFixed(0)).join(" ");
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? NaN;
}
