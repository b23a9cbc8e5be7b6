/**
 * Packs that must not come in, sent by hand through OpenSSH's client to our SSH server: the pusher hears what is wrong, and
 * nothing of it stays.
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import {
  admitAll,
  encodeTree,
  initRepository,
  newSha1,
  objectOid,
  type Oid,
  type Repository,
  serveReceivePack,
  utf8,
} from "../../store/mod.ts";
import { concatBytes } from "../../store/object/bytes.ts";
import { composeCommit } from "../../store/object/commit.ts";
import { encodePkt, FLUSH } from "../../store/protocol/pkt_line.ts";
import { findProgram, realTest, run } from "../tools/real.ts";
import { listenOn, sshArgs, type TestServer } from "../conduit/ssh_parties.ts";
import { type Bytes, copy, deltaOf, handMadePack, insert, TYPE } from "./hostile_fixture.ts";
import { GIT_TAKES, HOSTILE_LIMITS, HOSTILE_PACKS } from "./hostile_packs.ts";
import { assertGitAccepts } from "./git_fixture.ts";

const ZERO = "0".repeat(40);
const GHOST = "1234567890".repeat(4);
const needs = ["ssh", "git"];

realTest(
  "a pusher hears of each hostile pack what is wrong with it, and nothing stays",
  { needs },
  async (context) => {
    await serving(context.dir, async ({ push, repository, tip }) => {
      const before = await everything(repository.path);
      for (const { name, pack, says } of HOSTILE_PACKS) {
        await context.step(name, async () => {
          const answer = await push(GHOST, pack());
          match(answer, /unpack (?!ok)/);
          match(answer, says);
          match(answer, /ng refs\/heads\/x unpacker error/);
          ok(!/internal error|TypeError|RangeError|undefined/.test(answer), answer);
        });
      }
      deepEqual(await everything(repository.path), before);
      deepEqual([...await repository.refs.list()], [["refs/heads/main", tip]]);
    });
  },
);

realTest("git's own index-pack refuses the same packs, but for what only our limits forbid", {
  needs: ["git"],
}, async ({ dir }) => {
  await run("git", ["init", "-q", "--bare", dir]);
  const taken: string[] = [];
  for (const { name, pack } of HOSTILE_PACKS) {
    const args = ["-C", dir, "index-pack", "--stdin", "--strict", "--fix-thin"];
    if ((await run("git", args, { stdin: pack(), check: false })).code === 0) taken.push(name);
  }
  deepEqual(new Set(taken), GIT_TAKES);
});

realTest("a sound pack by the same hand is taken", { needs }, async ({ dir }) => {
  await serving(dir, async ({ push, repository }) => {
    const tree = new Uint8Array();
    const content = commitOf(objectOid("tree", tree, newSha1));
    const oid = objectOid("commit", content, newSha1);
    const pack = handMadePack([{ type: TYPE.commit, data: content }, { type: TYPE.tree, data: tree }]);
    const answer = await push(oid, pack);
    match(answer, /unpack ok/);
    match(answer, /ok refs\/heads\/x/);
    equal(await repository.refs.get("refs/heads/x"), oid);
  });
});

realTest("a delta is taken on what a ref leads to, not on what lies about", { needs }, async ({ dir }) => {
  await serving(dir, async ({ push, repository, tip, shown }) => {
    const secret = utf8("the content of a file that was taken back");
    const hidden = await repository.write("blob", secret);
    await repository.sync();
    const before = await everything(repository.path);
    const deltaOn = (base: Oid, length: number) => {
      const made = concatBytes([base === hidden ? secret : shown.content, utf8("!")]);
      const oid = objectOid("blob", made, newSha1);
      const tree = encodeTree([{ mode: "100644", name: utf8("f"), oid }]);
      const content = commitOf(objectOid("tree", tree, newSha1), tip);
      const data = deltaOf(length, length + 1, copy(0, length), insert(utf8("!")));
      const pack = handMadePack([
        { type: TYPE.commit, data: content },
        { type: TYPE.tree, data: tree },
        { type: TYPE.refDelta, base, data },
      ]);
      return { pack, oid: objectOid("commit", content, newSha1) };
    };
    const stolen = deltaOn(hidden, secret.length);
    const refused = await push(stolen.oid, stolen.pack);
    match(refused, new RegExp(`unpack a delta is built on object ${hidden}, which no ref leads to`));
    deepEqual(await everything(repository.path), before);
    const honest = deltaOn(shown.oid, shown.content.length);
    match(await push(honest.oid, honest.pack), /ok refs\/heads\/x/);
  });
});

interface Pushing {
  readonly repository: Repository;
  /** The commit of `main`, and the blob in its tree. */
  readonly tip: Oid;
  readonly shown: { readonly oid: Oid; readonly content: Bytes };
  /** Proposes a commit as `refs/heads/x`, with a pack; everything the server says. */
  readonly push: (oid: string, pack: Bytes) => Promise<string>;
}

async function serving(dir: string, use: (pushing: Pushing) => Promise<void>): Promise<void> {
  const repository = await initRepository(`${dir}/zones.git`);
  const content = utf8("www A 192.0.2.1\n");
  const oid = await repository.write("blob", content);
  const tree = await repository.write("tree", encodeTree([{ mode: "100644", name: utf8("a.zone"), oid }]));
  const tip = await repository.write("commit", commitOf(tree));
  ok((await repository.refs.move({ name: "refs/heads/main", old: undefined, new: tip })).ok);
  await repository.sync();
  const server = await listenOn(dir, async (session) => {
    const outcome = await serveReceivePack({
      repository,
      flow: session.flow,
      version: 0,
      admit: admitAll(repository),
      limits: { pack: HOSTILE_LIMITS },
    });
    await session.exit(outcome.ok ? 0 : 1);
  });
  try {
    await use({
      repository,
      tip,
      shown: { oid, content },
      push: (oid, pack) => push(dir, server, oid, pack),
    });
  } finally {
    await server.stop();
    repository.close();
  }
  await assertGitAccepts(repository.path);
}

async function push(dir: string, server: TestServer, oid: string, pack: Bytes): Promise<string> {
  const child = new Deno.Command(findProgram("ssh") ?? "ssh", {
    args: [...sshArgs(dir, server), "git-receive-pack '/zones.git'"],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  const command = encodePkt(`${ZERO} ${oid} refs/heads/x\0 report-status`);
  // The server may have said no before it has heard everything.
  await writer.write(concatBytes([command, FLUSH, pack])).then(() => writer.close()).catch(() => {});
  const { stdout, stderr } = await child.output();
  return new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
}

function commitOf(tree: Oid, ...parents: Oid[]): Bytes {
  const person = "T <t@example.test> 1700000000 +0000";
  return composeCommit({ tree, parents, author: person, committer: person, message: "x\n" });
}

/** Every file of the repository. */
async function everything(path: string): Promise<string[]> {
  const found: string[] = [];
  const walk = async (folder: string) => {
    for await (const entry of Deno.readDir(folder)) {
      if (entry.isDirectory) await walk(`${folder}/${entry.name}`);
      else found.push(`${folder}/${entry.name}`);
    }
  };
  await walk(path);
  return found.sort();
}
