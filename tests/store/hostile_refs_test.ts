/** Ref names and paths that lead elsewhere: on the wire from either side, on disk, and towards programs. */
import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import { memoryPair } from "../../conduit/mod.ts";
import {
  encodeTree,
  fetchFrom,
  initRepository,
  lsRefs,
  type Oid,
  openRepository,
  parseGitCommand,
  type Repository,
  StoreError,
  utf8,
} from "../../store/mod.ts";
import { composeCommit } from "../../store/object/commit.ts";
import { commandOpener, sshOpener } from "../../store/protocol/openers.ts";
import { encodePkt, FLUSH } from "../../store/protocol/pkt_line.ts";
import { HOSTILE_LIMITS } from "./hostile_packs.ts";

const BAD_NAMES = [
  "refs/heads/../../config",
  "../config",
  "/etc/passwd",
  "refs/heads/x.lock",
  "refs/heads/.x",
  "refs/heads//x",
  "refs/heads/a\\b",
  "refs/heads/x/",
  "refs/heads/a\x7f",
  "refs/heads/-/../x",
  "config",
];

Deno.test("a server's ref names that lead elsewhere are an error or are not heard", async () => {
  await withRepository(async (repository, tip) => {
    for (const name of BAD_NAMES) {
      for (const version of [0, 2]) {
        const line = `${tip} ${name}`;
        const wire = version === 2
          ? [
            encodePkt("version 2\n"),
            encodePkt("ls-refs\n"),
            encodePkt("fetch\n"),
            FLUSH,
            encodePkt(`${line}\n`),
            FLUSH,
          ]
          : [encodePkt(`${line}\0 agent=x\n`), FLUSH];
        const [near, far] = memoryPair({ capacity: 1 << 16 });
        for (const part of wire) await far.write(part);
        await far.end();
        const outcome = await lsRefs({
          open: () => Promise.resolve({ ok: true, value: near }),
          refPrefixes: [],
        });
        ok(
          !outcome.ok || ![...outcome.value.refs.keys()].includes(name),
          `v${version} ${JSON.stringify(name)}`,
        );
        far.close();
      }
    }
    deepEqual([...(await repository.refs.list()).keys()], ["refs/heads/main"]);
  });
});

Deno.test("a fetch does not reach for what a server names outside its refs", async () => {
  await withRepository(async (repository, tip) => {
    const [near, far] = memoryPair({ capacity: 1 << 16 });
    await far.write(encodePkt(`${tip} refs/heads/../../../x\0 agent=x\n`));
    await far.write(FLUSH);
    await far.end();
    const asked: string[] = [];
    const outcome = await fetchFrom({
      open: () => Promise.resolve({ ok: true, value: near }),
      repository,
      refPrefixes: [],
      want: (refs) => {
        asked.push(...refs.keys());
        return [];
      },
      limits: HOSTILE_LIMITS,
    });
    ok(!outcome.ok || asked.length === 0, JSON.stringify(asked));
    far.close();
  });
});

Deno.test("links and names on disk that lead elsewhere give nothing away", async () => {
  await withRepository(async (repository, tip, dir) => {
    const heads = `${dir}/zones.git/refs/heads`;
    await Deno.mkdir(`${dir}/elsewhere`);
    await Deno.writeTextFile(`${dir}/elsewhere/x`, `${tip}\n`);
    await Deno.symlink(`${dir}/elsewhere`, `${heads}/folder`);
    await Deno.writeTextFile(`${heads}/x.lock`, `${tip}\n`);
    await Deno.writeTextFile(`${heads}/a b`, `${tip}\n`);
    deepEqual([...(await repository.refs.list()).keys()], ["refs/heads/main"]);
    equal(await repository.refs.get("refs/heads/x.lock"), undefined);

    await Deno.writeTextFile(`${dir}/secret`, "password\n");
    await Deno.symlink(`${dir}/secret`, `${heads}/link`);
    await Deno.writeTextFile(`${heads}/climbs`, "ref: refs/heads/../../../secret\n");
    for (const name of ["refs/heads/link", "refs/heads/climbs"]) {
      await rejects(repository.refs.get(name), (error: unknown) => {
        ok(error instanceof StoreError && error.code === "corrupt");
        return !error.message.includes("password");
      });
    }
  });
});

Deno.test("packed refs that lead elsewhere make the file damaged, not refs", async () => {
  await withRepository(async (repository, tip, dir) => {
    for (const name of BAD_NAMES) {
      await Deno.writeTextFile(
        `${dir}/zones.git/packed-refs`,
        `# pack-refs with: peeled fully-peeled sorted \n${tip} ${name}\n`,
      );
      const names = await listed(repository);
      ok(!names.includes(name), name);
    }
  });
});

Deno.test("HEAD that points out of the refs names no branch", async () => {
  await withRepository(async (repository, _, dir) => {
    for (const target of ["refs/../../secret", "../secret", "/etc/passwd"]) {
      await Deno.writeTextFile(`${dir}/zones.git/HEAD`, `ref: ${target}\n`);
      const head = await repository.refs.head().catch((error) => {
        if (!(error instanceof StoreError)) throw error;
        return error.code;
      });
      ok(head !== target, head);
    }
  });
});

Deno.test("a path that a program would take for an option goes to no program", async () => {
  const asked: unknown[] = [];
  const far = (command: unknown) => {
    asked.push(command);
    return Promise.resolve({ ok: false as const, error: { message: "asked" } });
  };
  for (const path of ["--upload-pack=touch /tmp/x", "-oProxyCommand=x", "-"]) {
    for (
      const open of [
        commandOpener(far, path),
        sshOpener(far, { user: "git", host: "host.test", port: 22, path }),
      ]
    ) {
      const outcome = await open("git-upload-pack", 2);
      ok(!outcome.ok);
      match(outcome.error.message, /begins with a hyphen/);
    }
  }
  deepEqual(asked, []);
  const plain = await commandOpener(far, "/srv/zones.git")("git-upload-pack", 2);
  ok(!plain.ok && plain.error.message === "asked");
});

Deno.test("paths that clients ask for stay below the root, and are one quoted word", () => {
  const bad = [
    "git-upload-pack '../zones.git'",
    "git-upload-pack '/../zones.git'",
    "git-upload-pack '/a/./b'",
    "git-upload-pack '-x'",
    "git-upload-pack '/-x/../..'",
    "git-upload-pack '~root/x'",
    "git-upload-pack '/a\\b'",
    "git-upload-pack '/a\nb'",
    "git-upload-pack ''",
    "git-upload-pack /zones.git",
    "git-upload-pack '/zones.git'; touch /tmp/x",
    "git-upload-pack '/zones.git' '/other.git'",
    "git-upload-pack '$(touch /tmp/x)",
    "git-upload-pack --strict '/zones.git'",
    "git-upload-archive '/zones.git'",
    "sh -c 'git-upload-pack'",
  ];
  for (const command of bad) ok(!parseGitCommand(command).ok, command);
  const good = parseGitCommand("git-upload-pack '/it'\\''s; $(here).git'");
  equal(good.ok && good.value.path, "it's; $(here).git");
});

async function listed(repository: Repository): Promise<string[]> {
  try {
    return [...(await repository.refs.list()).keys()];
  } catch (error) {
    if (error instanceof StoreError && error.code === "corrupt") return [];
    throw error;
  }
}

async function withRepository(
  use: (repository: Repository, tip: Oid, dir: string) => Promise<void>,
): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "bailiwick-test-" });
  (await initRepository(`${dir}/zones.git`)).close();
  const repository = await openRepository(`${dir}/zones.git`);
  try {
    const oid = await repository.write("blob", utf8("x"));
    const tree = await repository.write("tree", encodeTree([{ mode: "100644", name: utf8("f"), oid }]));
    const person = "T <t@example.test> 1700000000 +0000";
    const content = composeCommit({ tree, parents: [], author: person, committer: person, message: "x\n" });
    const tip = await repository.write("commit", content);
    ok((await repository.refs.move({ name: "refs/heads/main", old: undefined, new: tip })).ok);
    await use(repository, tip, dir);
  } finally {
    repository.close();
    await Deno.remove(dir, { recursive: true });
  }
}
