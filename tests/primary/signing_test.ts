/** Signed commits: what the server asks of those who push, and what it signs itself, with git as the judge. */
import { deepEqual, equal, match, notEqual, ok } from "node:assert/strict";
import { nameFrom } from "../../dns/mod.ts";
import {
  allowedSignersFile,
  commitJudge,
  seedRepository,
  serverKeyFault,
  signerLine,
  type Signing,
} from "../../primary/mod.ts";
import {
  type AllowedSigner,
  newCommits,
  type Oid,
  parseAllowedSigners,
  type Signer,
  signerFrom,
} from "../../store/mod.ts";
import { realTest, run } from "../tools/real.ts";
import {
  add,
  assertSound,
  commitWithGit,
  type Fixture,
  openFixture,
  serialsOf,
  served,
  update,
  zoneText,
} from "./fixture.ts";

const needs = ["git", "ssh-keygen"];
/** What the fixture's clock says. */
const NOW = 1_700_000_000;
const DAY = 24 * 3600;

realTest("git pushes what is signed, and is told which commit is not", { needs }, async ({ dir }) => {
  const server = await newKey(dir, "signing_ed25519");
  const alice = await newKey(dir, "alice");
  await newKey(dir, "mallory");
  await Deno.writeTextFile(
    `${dir}/allowed_signers`,
    `${signerLine(server.signer)}\nalice@example.test namespaces="git" ${alice.line}\n`,
  );
  const work = await workTree(dir);
  await work.commit(zoneText(1, "www A 192.0.2.1"), "alice");
  const first = await work.push();
  equal(first.code, 0, first.stderr);

  const unsigned = await work.commit(zoneText(2, "www A 192.0.2.66"), undefined);
  const last = await work.commit(zoneText(2, "www A 192.0.2.66", "api A 192.0.2.2"), "alice");
  const refused = await work.push();
  notEqual(refused.code, 0);
  match(refused.stderr, new RegExp(`remote: commit ${unsigned}: error: it is not signed`));
  match(
    refused.stderr,
    new RegExp(`remote rejected\\] main -> main \\(commit ${unsigned}: it is not signed; sign `),
  );
  ok(!refused.stderr.includes(`commit ${last}: error`));

  await work.git("reset", "-q", "--hard", "HEAD~2");
  const foreign = await work.commit(zoneText(2, "www A 192.0.2.66"), "mallory");
  const stranger = await work.push();
  match(
    stranger.stderr,
    new RegExp(`commit ${foreign}: error: its signer's key SHA256:\\S+ is not among the allowed signers`),
  );

  await work.git("reset", "-q", "--hard", "HEAD~1");
  await work.commit(zoneText(2, "www A 192.0.2.2"), "alice");
  const mended = await work.push();
  equal(mended.code, 0, mended.stderr);
  await assertSound(dir);
  const fixture = await openFixture(dir);
  deepEqual(served(fixture, "example.test.", "www.example.test."), ["www.example.test. 300 IN A 192.0.2.2"]);
  await fixture.close();

  // A faulty file lets nobody in, and says why.
  await Deno.writeTextFile(`${dir}/allowed_signers`, `ca cert-authority ${alice.line}\n`);
  await work.commit(zoneText(3, "www A 192.0.2.3"), "alice");
  match((await work.push()).stderr, /allowed_signers:1: cert-authority is not supported/);
});

realTest("the server's own commits are signed, and git finds them good", { needs }, async ({ dir }) => {
  const server = await newKey(dir, "signing_ed25519");
  const allowed = `${dir}/allowed_signers`;
  await Deno.writeTextFile(allowed, `${signerLine(server.signer)}\n`);
  await Deno.mkdir(`${dir}/zones`);
  await Deno.writeTextFile(`${dir}/zones/example.test.zone`, zoneText(1));
  const seeding = await openFixture(dir);
  await seeding.close();
  const repository = seeding.repository.path;
  const reopened = await reopen(dir, async (fixture) => {
    const seeded = await seedRepository({
      repository: fixture.repository,
      folder: `${dir}/zones`,
      clock: () => NOW * 1000,
      sign: server.signer.sign,
    });
    ok(seeded.ok);
  }, server.signing(allowed));
  equal((await update(reopened, "example.test.", add("a.example.test. 60 A 192.0.2.9"))).rcode, 0);
  const changed = await reopened.primary.change([add("b.example.test. 60 TXT hello")], {
    author: "provisioner",
    message: "A challenge",
  });
  ok(changed.ok);
  await reopened.close();
  const config = ["-c", `gpg.ssh.allowedSignersFile=${allowed}`, "-c", "gpg.format=ssh"];
  const refs = (await run("git", ["-C", repository, "for-each-ref", "--format=%(refname)"])).stdout.trim()
    .split("\n");
  deepEqual(refs, ["refs/bailiwick/serials", "refs/heads/machine", "refs/heads/main"]);
  for (const ref of refs) {
    const commits = (await run("git", ["-C", repository, "rev-list", ref])).stdout.trim().split("\n");
    for (const commit of commits) {
      const verified = await run("git", ["-C", repository, ...config, "verify-commit", commit], {
        check: false,
      });
      match(verified.stderr, /^Good "git" signature for bailiwick@localhost/, `${ref} ${commit}`);
    }
  }
  await assertSound(dir);
});

realTest(
  "in remote mode an unsigned range is not taken over, and what was served stays",
  { needs },
  async ({ dir }) => {
    const server = await newKey(dir, "signing_ed25519");
    const alice = await newKey(dir, "alice");
    const allowed = `${dir}/allowed_signers`;
    await Deno.writeTextFile(allowed, `${signerLine(server.signer)}\na ${alice.line}\n`);
    const mode = { kind: "remote", upstream: "ssh://git@upstream.test/zones.git" } as const;
    const fixture = await openFixture(dir, { mode, signing: server.signing(allowed) });
    const good = await signedCommit(fixture, dir, { "a.test.zone": zoneText(1) }, undefined, "alice");
    ok((await fixture.primary.adopt(good)).ok);
    const bad = await commitAt(fixture, { "a.test.zone": zoneText(2, "x A 192.0.2.1") }, [good], NOW);
    const above = await signedCommit(fixture, dir, { "b.test.zone": zoneText(1) }, bad, "alice");
    const refused = await fixture.primary.adopt(above, { track: "refs/remotes/upstream/main" });
    ok(!refused.ok);
    equal(refused.error.code, "refused");
    match(refused.error.message, new RegExp(`commit ${bad}: it is not signed`));
    deepEqual(serialsOf(fixture), { "a.test.": 1 });
    equal(await fixture.repository.refs.get("refs/heads/main"), good);
    equal(await fixture.repository.refs.get("refs/remotes/upstream/main"), undefined);
    ok(fixture.log.some((line) => line.includes(bad)));

    const mended = await signedCommit(
      fixture,
      dir,
      { "a.test.zone": zoneText(2, "y A 192.0.2.2") },
      good,
      "alice",
    );
    ok((await fixture.primary.adopt(mended)).ok);
    deepEqual(serialsOf(fixture), { "a.test.": 2 });
    await fixture.close();
  },
);

realTest(
  "history from before signatures were asked for stays, also as a side branch's base",
  { needs },
  async ({ dir }) => {
    const alice = await newKey(dir, "alice");
    const fixture = await openFixture(dir);
    const judge = judgeWith(`a ${alice.line}`);
    const chain: Oid[] = [];
    for (let i = 0; i < 5; i++) {
      chain.push(await commitAt(fixture, { f: `${i}` }, chain.slice(-1), NOW));
    }
    const [, fork, , , tip] = chain;
    const side = await signedCommit(fixture, dir, { g: "side" }, fork, "alice");
    const merge = await signedCommit(fixture, dir, { f: "merged" }, tip, "alice", { also: side });
    const move = { old: tip, new: merge, shallow: new Set<Oid>() };
    deepEqual(await judge(fixture.repository, move), { ok: true, value: undefined });
    const { oids } = await newCommits(fixture.repository, { tip: merge, known: tip });
    deepEqual(oids.toSorted(), [merge, side].toSorted());

    const unsigned = await commitAt(fixture, { g: "bad" }, [fork], NOW);
    const hidden = await signedCommit(fixture, dir, { f: "merged" }, tip, "alice", { also: unsigned });
    const refused = await judge(fixture.repository, { ...move, new: hidden });
    ok(!refused.ok);
    deepEqual(refused.error.lines, [`commit ${unsigned}: error: it is not signed`]);

    const all = await judge(fixture.repository, { ...move, old: undefined });
    ok(!all.ok);
    equal(all.error.lines.length, chain.length);
    await fixture.close();
  },
);

realTest("commits dated before their ancestors are not asked for twice", { needs }, async ({ dir }) => {
  const alice = await newKey(dir, "alice");
  const fixture = await openFixture(dir);
  // The unsigned history runs backwards in time, so that a walk by dates meets its end too late.
  const chain: Oid[] = [];
  for (let i = 0; i < 6; i++) {
    chain.push(await commitAt(fixture, { f: `${i}` }, chain.slice(-1), NOW - i * 30 * DAY));
  }
  const old = chain[5];
  const tip = await signedCommit(fixture, dir, { g: "x" }, old, "alice", { also: chain[1], when: NOW });
  const judged = await judgeWith(`a ${alice.line}`)(fixture.repository, {
    old,
    new: tip,
    shallow: new Set(),
  });
  deepEqual(judged, { ok: true, value: undefined });
  await fixture.close();
});

realTest("a key that has run out is of no use by dating back", { needs }, async ({ dir }) => {
  const alice = await newKey(dir, "alice");
  const bob = await newKey(dir, "bob");
  const fixture = await openFixture(dir);
  const ended = new Date((NOW - 100 * DAY) * 1000).toISOString().slice(0, 10).replaceAll("-", "");
  const judge = judgeWith(`alice valid-before="${ended}Z" ${alice.line}\nbob ${bob.line}`);
  const base = await signedCommit(fixture, dir, { f: "0" }, undefined, "bob", { when: NOW - 10 * DAY });
  const refusal = async (commit: Oid, old: Oid | undefined = base) => {
    const judged = await judge(fixture.repository, { old, new: commit, shallow: new Set() });
    return judged.ok ? "taken" : judged.error.message;
  };
  const honest = await signedCommit(fixture, dir, { f: "1" }, base, "alice");
  match(await refusal(honest), /the key SHA256:\S+ is not valid at 2023-11-14/);
  const dated = await signedCommit(fixture, dir, { f: "1" }, base, "alice", { when: NOW - 200 * DAY });
  match(await refusal(dated), /dated before its parent/);
  const vouched = await signedCommit(fixture, dir, { f: "1" }, dated, "bob");
  match(await refusal(vouched), /dated before its parent/);
  const future = await signedCommit(fixture, dir, { f: "1" }, base, "bob", { when: NOW + 2 * DAY });
  match(await refusal(future), /dated in the future/);

  // What alice signed while her key was good comes in below a commit of one whose key still is, not by itself.
  const then = await signedCommit(fixture, dir, { f: "a" }, undefined, "alice", { when: NOW - 200 * DAY });
  match(await refusal(then, undefined), /is not valid at 2023-11-14/);
  equal(await refusal(await signedCommit(fixture, dir, { f: "b" }, then, "bob"), undefined), "taken");
  await fixture.close();
});

realTest(
  "a server whose key may not sign says so and gives the line that is missing",
  { needs },
  async ({ dir }) => {
    const server = await newKey(dir, "signing_ed25519");
    const alice = await newKey(dir, "alice");
    const fault = (text: string) => serverKeyFault(server.signer, allow(text), NOW * 1000);
    equal(fault(signerLine(server.signer)), undefined);
    match(
      fault(`a ${alice.line}`) ?? "",
      /may not sign: .* not among the allowed signers; add the line: bailiwick@localhost /,
    );
    match(fault(`a namespaces="file" ${server.line}`) ?? "", /may not sign for git/);
    match(fault(`a valid-before="20200101Z" ${server.line}`) ?? "", /is not valid at/);
    const missing = allowedSignersFile(`${dir}/nothing`)();
    ok(!missing.ok);
    match(missing.error, /nothing cannot be read/);
  },
);

interface Key {
  readonly signer: Signer;
  /** The public key with its comment. */
  readonly line: string;
  /** A server that signs with it and asks the same of others. */
  signing(allowed: string): Signing;
}

async function newKey(dir: string, name: string): Promise<Key> {
  await run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", name, "-f", `${dir}/${name}`]);
  const signer = signerFrom(await Deno.readTextFile(`${dir}/${name}`));
  ok(signer.ok);
  return {
    signer: signer.value,
    line: (await Deno.readTextFile(`${dir}/${name}.pub`)).trim(),
    signing: (allowed) => ({
      sign: signer.value.sign,
      judge: commitJudge({ allowed: allowedSignersFile(allowed), clock: () => NOW * 1000 }),
    }),
  };
}

function allow(text: string): readonly AllowedSigner[] {
  const parsed = parseAllowedSigners(text);
  ok(parsed.ok, JSON.stringify(parsed));
  return parsed.value;
}

function judgeWith(text: string) {
  return commitJudge({ allowed: () => ({ ok: true, value: allow(text) }), clock: () => NOW * 1000 });
}

/** Opens the fixture's repository for a change below the primary, and then the primary over it. */
async function reopen(
  dir: string,
  change: (fixture: Fixture) => Promise<void>,
  signing: Signing,
): Promise<Fixture> {
  const before = await openFixture(dir);
  await change(before);
  await before.close();
  const fixture = await openFixture(dir, { signing });
  ok(fixture.image.has(nameFrom("example.test.")));
  return fixture;
}

async function commitAt(
  fixture: Fixture,
  files: Record<string, string>,
  parents: readonly Oid[],
  when: number,
  sign: readonly string[] = [],
): Promise<Oid> {
  const repository = fixture.repository.path;
  const plain = await commitWithGit(repository, files, parents[0]);
  const git = async (...args: string[]) =>
    (await run("git", ["-C", repository, ...args], { env: { GIT_COMMITTER_DATE: `${when} +0000` } })).stdout
      .trim();
  const tree = await git("rev-parse", `${plain}^{tree}`);
  const heads = parents.flatMap((parent) => ["-p", parent]);
  return await git(
    ...sign.slice(0, -1),
    "commit-tree",
    ...sign.slice(-1),
    tree,
    ...heads,
    "-m",
    "A change",
  ) as Oid;
}

function signedCommit(
  fixture: Fixture,
  dir: string,
  files: Record<string, string>,
  parent: Oid | undefined,
  key: string,
  { also, when = NOW }: { also?: Oid; when?: number } = {},
): Promise<Oid> {
  const parents = [parent, also].filter((each) => each !== undefined);
  const sign = ["-c", "gpg.format=ssh", "-c", `user.signingkey=${dir}/${key}`, "-S"];
  return commitAt(fixture, files, parents, when, sign);
}

async function workTree(dir: string) {
  const tree = `${dir}/work`;
  await run("git", ["init", "-q", "-b", "main", tree]);
  const server = new URL("push_server.ts", import.meta.url).pathname;
  const config = new URL("../../deno.json", import.meta.url).pathname;
  const git = async (...args: string[]) => (await run("git", ["-C", tree, ...args])).stdout.trim();
  return {
    git,
    /** Commits the zone; signed with a key of the folder, or not at all. */
    commit: async (text: string, key: string | undefined) => {
      await Deno.writeTextFile(`${tree}/example.test.zone`, text);
      await git("add", "-A");
      const sign = key === undefined ? [] : ["-c", "gpg.format=ssh", "-c", `user.signingkey=${dir}/${key}`];
      await git(...sign, "commit", "-q", ...(key === undefined ? [] : ["-S"]), "-m", "A change");
      return await git("rev-parse", "HEAD");
    },
    push: () => {
      const remote =
        `ext::${Deno.execPath()} run --no-prompt --quiet --no-check --no-lock --config ${config} ` +
        `--allow-read --allow-write --allow-env ${server} ${dir}`;
      return run("git", ["-C", tree, "-c", "protocol.ext.allow=always", "push", remote, "main"], {
        check: false,
        env: {
          HOME: Deno.env.get("HOME") ?? dir,
          ...(Deno.env.has("DENO_DIR") ? { DENO_DIR: Deno.env.get("DENO_DIR") ?? "" } : {}),
        },
      });
    },
  };
}
