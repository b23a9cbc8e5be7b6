/** What we send for given haves, in histories made at random, beside what git sends; and what is refused. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { memoryPair } from "../../../conduit/mod.ts";
import { openRepository } from "../../../store/repository/open.ts";
import { serveUploadPack } from "../../../store/protocol/serve.ts";
import { encodePkt, FLUSH } from "../../../store/protocol/pkt_line.ts";
import { git, gitBytes } from "../git_fixture.ts";
import { generator } from "../pack_fixture.ts";
import { realTest, run } from "../../tools/real.ts";
import { commits, workTree } from "./git_server.ts";
import { bufferFlow, fetchRequest, join, objectsIn } from "./upload_server.ts";

realTest(
  "a pack is as small as git's, to within a few objects, in any history",
  { needs: ["git"] },
  async ({ dir }) => {
    for (let seed = 1; seed <= 6; seed++) {
      const path = `${dir}/h${seed}.git`;
      const { oids, random } = await randomHistory(path, seed);
      const repository = await openRepository(path);
      try {
        for (let trial = 0; trial < 8; trial++) {
          const wants = pick(oids, 1 + random(2), random);
          const haves = pick(oids, random(4), random).filter((oid) => !wants.includes(oid));
          const cut = random(3) === 0 ? [`deepen ${1 + random(4)}`] : [];
          const filter = random(4) === 0 ? ["filter blob:none"] : [];
          const request = fetchRequest(wants, haves, [
            "ofs-delta",
            ...(random(2) === 0 ? ["thin-pack"] : []),
            ...cut,
            ...filter,
          ]);
          const { flow, written } = bufferFlow(request);
          const outcome = await serveUploadPack({
            repository,
            flow,
            version: 2,
            stateless: true,
            advertise: "skip",
          });
          ok(outcome.ok);
          const ours = await objectsIn(`${dir}/ours`, join(written), path);
          const theirs = await objectsIn(`${dir}/theirs`, await gitAnswer(path, request), path);
          const context = `seed ${seed}, trial ${trial}: ${cut} ${filter} ${haves.length} haves`;
          ok(ours.size <= theirs.size + 3, `${context}: ${ours.size} objects where git sends ${theirs.size}`);
          if (haves.length === 0) deepEqual([...ours].sort(), [...theirs].sort(), context);
          // Nothing that is needed is left out: commits, and what the client cannot have.
          const needed = await neededObjects(path, wants, haves, cut, filter);
          for (const oid of needed) ok(ours.has(oid), `${context}: ${oid} is missing`);
        }
      } finally {
        repository.close();
      }
    }
  },
);

realTest(
  "a changed file goes to a client that has the old one as a delta on that",
  { needs: ["git"] },
  async ({ dir }) => {
    const path = `${dir}/zones.git`;
    await run("git", ["init", "-q", "--bare", "-b", "main", path]);
    const lines = Array.from(
      { length: 400 },
      (_, i) => `host${i} 300 IN A 192.0.2.${i % 256} ; ${i * 7919 % 10007}`,
    );
    const write = async (text: string, from: string) => {
      const stream =
        `commit refs/heads/main\ncommitter T <t@example.test> 1700000000 +0000\ndata 2\nc\n${from}` +
        `M 100644 inline zones/a.test.zone\ndata ${text.length}\n${text}\n`;
      await gitBytes(path, ["fast-import", "--quiet"], new TextEncoder().encode(stream));
      return (await git(path, "rev-parse", "main")).trim();
    };
    const old = await write(`${lines.join("\n")}\n`, "");
    lines[200] = "changed 300 IN A 198.51.100.1";
    const latest = await write(`${lines.join("\n")}\n`, "from refs/heads/main^0\n");
    for (const stored of ["one by one", "in a pack, as deltas"]) {
      if (stored === "one by one") await unpacked(path);
      else await git(path, "repack", "-adfq");
      const repository = await openRepository(path);
      try {
        const answer = async (...flags: string[]) => {
          const { flow, written } = bufferFlow(fetchRequest([latest], [old], ["ofs-delta", ...flags]));
          ok(
            (await serveUploadPack({ repository, flow, version: 2, stateless: true, advertise: "skip" })).ok,
          );
          return join(written);
        };
        const whole = await answer();
        const thin = await answer("thin-pack");
        ok(thin.length < whole.length / 4, `${stored}: ${thin.length} bytes thin, ${whole.length} whole`);
        equal((await objectsIn(`${dir}/thin`, thin, path)).size, 4);
      } finally {
        repository.close();
      }
    }
  },
);

realTest("what may not be had is refused: unreachable blobs, hidden trees, wants of nobody's", {
  needs: ["git"],
}, async ({ dir }) => {
  const work = await workTree(dir);
  await commits(work, 2);
  const seen = (await run("git", ["rev-parse", "main:zone-base"], { cwd: work })).stdout.trim();
  const older = (await run("git", ["rev-parse", "main~1:zone-base"], { cwd: work })).stdout.trim();
  const loose = (await run("git", ["hash-object", "-w", "--stdin"], { cwd: work, stdin: "unreachable\n" }))
    .stdout.trim();
  await run("git", ["checkout", "-q", "-b", "secret"], { cwd: work });
  await commits(work, 1, "secret");
  const hidden = (await run("git", ["rev-parse", "secret:zone-secret"], { cwd: work })).stdout.trim();
  const hiddenTree = (await run("git", ["rev-parse", "secret^{tree}"], { cwd: work })).stdout.trim();
  const repository = await openRepository(`${work}/.git`);
  try {
    const visible = (name: string) => name !== "refs/heads/secret";
    const ask = async (args: readonly string[], version: 0 | 2 = 2) => {
      const { flow, written } = bufferFlow(
        version === 2
          ? fetchRequest(args.filter((arg) => arg.length === 40), [], args.filter((arg) => arg.length !== 40))
          : join(
            [...args.map((line) => encodePkt(line)), FLUSH, encodePkt("done")],
          ),
      );
      const outcome = await serveUploadPack({
        repository,
        flow,
        version,
        visible,
        stateless: true,
        advertise: "skip",
      });
      return { outcome, text: new TextDecoder().decode(join(written)) };
    };
    for (const oid of [seen, older]) ok((await ask([oid])).outcome.ok, "what a visible ref reaches is given");
    for (const oid of [loose, hidden, hiddenTree, "1".repeat(40)]) {
      const { outcome, text } = await ask([oid]);
      equal(outcome.ok || outcome.error.code, "protocol");
      match(text, new RegExp(`ERR upload-pack: not our ref ${oid}`));
    }
    const main = (await run("git", ["rev-parse", "main"], { cwd: work })).stdout.trim();
    for (
      const [args, says] of [
        [[main, "want-ref refs/heads/secret"], /unknown ref/],
        [["want-ref refs/heads/main\0x"], /unknown ref/],
        [[main, "deepen 1", "deepen-not main"], /does not go with/],
        [[main, "deepen-not refs/heads/secret"], /not a ref/],
        [[main, "deepen-since 99999999999"], /no commits selected/],
        [[main, "filter object:type=blob"], /is not served/],
        [[main, "sideband-all"], /unexpected line/],
      ] as const
    ) {
      const { outcome, text } = await ask(args);
      equal(outcome.ok || outcome.error.code, "protocol", args.join());
      match(text, says);
    }
    for (
      const [lines, says] of [
        [["deepen 1"], /unexpected line/],
        [[`want ${main} push-options`], /was not offered/],
        [[`want ${main}`, "deepen x"], /unexpected line/],
        [[`want ${main}`, "filter tree:x"], /is not served/],
        [[`want ${hidden}`], /not our ref/],
      ] as const
    ) {
      const { outcome, text } = await ask(lines, 0);
      equal(outcome.ok || outcome.error.code, "protocol", lines.join());
      match(text, says);
    }
    // Shallow commits that nobody knows are the client's own affair.
    ok((await ask([main, `shallow ${"2".repeat(40)}`, "deepen 5"])).outcome.ok);
  } finally {
    repository.close();
  }
});

realTest(
  "a client that goes away while its pack is made costs no more",
  { needs: ["git"] },
  async ({ dir }) => {
    const work = await workTree(dir);
    await commits(work, 30);
    const repository = await openRepository(`${work}/.git`);
    try {
      const main = (await run("git", ["rev-parse", "main"], { cwd: work })).stdout.trim();
      const [near, far] = memoryPair();
      const serving = serveUploadPack({
        repository,
        flow: far,
        version: 2,
        stateless: true,
        advertise: "skip",
      });
      await near.write(fetchRequest([main], [], []));
      near.close();
      const outcome = await serving;
      equal(outcome.ok || outcome.error.code, "unreachable");
    } finally {
      repository.close();
    }
  },
);

/** Out of packs, each object in a file of its own. */
async function unpacked(path: string): Promise<void> {
  for (const { name } of await Array.fromAsync(Deno.readDir(`${path}/objects/pack`))) {
    if (!name.endsWith(".pack")) continue;
    const pack = await Deno.readFile(`${path}/objects/pack/${name}`);
    await Deno.remove(`${path}/objects/pack/${name}`);
    await Deno.remove(`${path}/objects/pack/${name.replace(".pack", ".idx")}`);
    await run("git", ["unpack-objects", "-q"], { cwd: path, stdin: pack });
  }
}

/** Commits with folders, merges, reverts and moved files; gives their ids, oldest first. */
async function randomHistory(path: string, seed: number) {
  const random = generator(seed);
  await run("git", ["init", "-q", "--bare", "-b", "main", path]);
  const count = 40;
  let stream = "";
  for (let i = 1; i <= count; i++) {
    const parents = i === 1
      ? []
      : [...new Set([Math.max(1, i - 1 - random(4)), ...(random(4) === 0 ? [1 + random(i - 1)] : [])])];
    stream += `commit refs/heads/b${i}\nmark :${i}\ncommitter T <t@example.test> ${
      1_700_000_000 + i * 60
    } +0000\ndata 2\nc\n`;
    for (const [index, parent] of parents.entries()) {
      stream += `${index === 0 ? "from" : "merge"} :${parent}\n`;
    }
    for (let change = 0; change <= random(3); change++) {
      const text = Array.from({ length: 12 }, (_, n) => `line ${n} ${random(6)}`).join("\n");
      stream += `M 100644 inline d${random(4)}/e${random(2)}/f${random(5)}\ndata ${text.length}\n${text}\n`;
    }
    stream += "\n";
  }
  await gitBytes(path, ["fast-import", "--quiet"], new TextEncoder().encode(stream));
  await git(path, "update-ref", "refs/heads/main", `refs/heads/b${count}`);
  if (seed % 2 === 0) await git(path, "repack", "-adfq");
  const oids = (await git(path, "rev-list", "--all", "--reverse")).trim().split("\n");
  return { oids, random };
}

function pick(oids: readonly string[], count: number, random: (below: number) => number): string[] {
  return [...new Set(Array.from({ length: count }, () => oids[random(oids.length)]))];
}

async function gitAnswer(path: string, request: Uint8Array): Promise<Uint8Array> {
  const child = new Deno.Command("git", {
    args: ["-c", "uploadpack.allowFilter=true", "upload-pack", "--stateless-rpc", path],
    env: { GIT_PROTOCOL: "version=2" },
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(request);
  await writer.close();
  return (await child.output()).stdout;
}

/** What the wants reach and the haves do not, by git's own account; with a depth, the tips alone. */
async function neededObjects(
  path: string,
  wants: readonly string[],
  haves: readonly string[],
  cut: readonly string[],
  filter: readonly string[],
) {
  if (cut.length > 0) return [];
  const args = [
    "rev-list",
    "--objects",
    "--no-object-names",
    ...(filter.length > 0 ? ["--filter=blob:none"] : []),
  ];
  const { stdout } = await run("git", [
    "-C",
    path,
    ...args,
    ...wants,
    ...(haves.length > 0 ? ["--not", ...haves] : []),
  ]);
  const nearby = new Set<string>();
  for (const have of haves) {
    const { stdout: held } = await run("git", [
      "-C",
      path,
      "rev-list",
      "--objects",
      "--no-object-names",
      have,
    ]);
    for (const oid of held.trim().split("\n")) nearby.add(oid);
  }
  return stdout.trim().split("\n").filter((oid) => oid !== "" && !nearby.has(oid));
}
