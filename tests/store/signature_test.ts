import { deepEqual, equal, match, ok } from "node:assert/strict";
import fc from "fast-check";
import { textOf, utf8 } from "../../store/object/bytes.ts";
import {
  type AllowedSigner,
  matchesPatterns,
  parseAllowedSigners,
} from "../../store/signature/allowed_signers.ts";
import { toBase64 } from "../../store/signature/base64.ts";
import { verifyCommitSignature, verifySignature } from "../../store/signature/commit_signature.ts";
import { splitSignature, withSignature } from "../../store/signature/signature_header.ts";
import { type Signer, signerFrom } from "../../store/signature/signer.ts";
import { parseSshSignature } from "../../store/signature/ssh_signature.ts";
import { realTest, run } from "../tools/real.ts";
import { git, gitBytes } from "./git_fixture.ts";

const now = 1_700_000_000;
const at = { at: now, namespace: "git" };

realTest("git takes the commits we sign", { needs: ["git", "ssh-keygen"] }, async ({ dir }) => {
  const { signer, key } = await newKey(dir, "server");
  await run("git", ["init", "-q", `${dir}/r`]);
  const tree = (await git(`${dir}/r`, "hash-object", "-t", "tree", "-w", "/dev/null")).trim();
  for (const message of ["Zones\n", "", "no newline at its end", "a\n\n gpgsig in the body\ngpgsig x\n"]) {
    const content = commitOf(tree, message);
    const signed = withSignature(content, signer.sign(content));
    const oid = textOf(
      await gitBytes(`${dir}/r`, ["hash-object", "-t", "commit", "-w", "--stdin"], signed),
    ).trim();
    const verified = await verifyCommit(dir, `${dir}/r`, oid, `server ${key}\n`);
    equal(verified.code, 0, verified.stderr);
    match(verified.stderr, /Good "git" signature for server with ED25519 key/);
    ok(verifyCommitSignature(signed, allow(`server ${key}`), at).ok);
    const { payload } = splitSignature(signed) ?? { payload: new Uint8Array() };
    deepEqual(payload, content);
    const other = textOf(signed).replace("1700000000", "1700000001");
    const forged = textOf(
      await gitBytes(`${dir}/r`, ["hash-object", "-t", "commit", "-w", "--stdin"], utf8(other)),
    ).trim();
    ok((await verifyCommit(dir, `${dir}/r`, forged, `server ${key}\n`)).code !== 0);
    equal(codeOf(utf8(other), allow(`server ${key}`)), "bad");
  }
});

for (
  const [type, ...more] of [
    ["ed25519"],
    ["ecdsa", "-b", "256"],
    ["ecdsa", "-b", "384"],
    ["ecdsa", "-b", "521"],
    ["rsa", "-b", "2048"],
    ["rsa", "-b", "3072"],
  ]
) {
  const name = [type, more[1]].join(" ").trim();
  realTest(
    `we take the commits that git signs with ${name}`,
    { needs: ["git", "ssh-keygen"] },
    async ({ dir }) => {
      const file = `${dir}/key`;
      await run("ssh-keygen", ["-q", "-t", type, ...more, "-N", "", "-C", "alice", "-f", file]);
      const key = (await Deno.readTextFile(`${file}.pub`)).trim();
      await run("git", ["init", "-q", `${dir}/r`]);
      // ECDSA's numbers are shorter now and then: several signatures.
      for (let i = 0; i < (type === "ecdsa" ? 20 : 2); i++) {
        await gitSigned(`${dir}/r`, file, "commit", "-q", "--allow-empty", "-S", "-m", `commit ${i}`);
        const content = await gitBytes(`${dir}/r`, ["cat-file", "commit", "HEAD"]);
        const good = verifyCommitSignature(content, allow(`alice@example.test ${key}`), at);
        ok(good.ok, good.ok ? "" : good.error.message);
        equal(good.value.principals, "alice@example.test");
        match(
          (await run("ssh-keygen", ["-lf", `${file}.pub`])).stdout,
          new RegExp(escaped(good.value.fingerprint)),
        );
        const changed = content.slice();
        changed[changed.length - 2] ^= 1;
        equal(codeOf(changed, allow(`alice@example.test ${key}`)), "bad");
      }
    },
  );
}

realTest("a merge and a signed tag inside a commit do not confuse the signature", {
  needs: ["git", "ssh-keygen"],
}, async ({ dir }) => {
  const { file, key } = await newKey(dir, "alice");
  const repository = `${dir}/r`;
  await run("git", ["init", "-q", "-b", "main", repository]);
  await gitSigned(repository, file, "commit", "-q", "--allow-empty", "-S", "-m", "one");
  await gitSigned(repository, file, "checkout", "-q", "-b", "side");
  await gitSigned(repository, file, "commit", "-q", "--allow-empty", "-S", "-m", "two");
  await gitSigned(repository, file, "tag", "-s", "-m", "a tag", "v1");
  await gitSigned(repository, file, "checkout", "-q", "main");
  await gitSigned(repository, file, "commit", "-q", "--allow-empty", "-S", "-m", "three");
  await gitSigned(repository, file, "merge", "-q", "-S", "-m", "merge", "v1");
  const content = await gitBytes(repository, ["cat-file", "commit", "HEAD"]);
  match(textOf(content), /\nmergetag object /);
  ok(verifyCommitSignature(content, allow(`a ${key}`), at).ok);
});

realTest(
  "ssh-keygen takes what we sign, and we what it signs",
  { needs: ["ssh-keygen"] },
  async ({ dir }) => {
    const { signer, key, file } = await newKey(dir, "server", "file");
    const message = utf8("a message\0of bytes\xff");
    await Deno.writeFile(`${dir}/message`, message);
    await Deno.writeTextFile(`${dir}/message.sig`, signer.sign(message));
    await Deno.writeTextFile(`${dir}/allowed`, `server ${key}\n`);
    const verify = (namespace: string) =>
      run("ssh-keygen", [
        ...["-Y", "verify", "-f", `${dir}/allowed`, "-I", "server"],
        ...["-n", namespace, "-s", `${dir}/message.sig`],
      ], { stdin: message, check: false });
    equal((await verify("file")).code, 0);
    ok((await verify("git")).code !== 0);

    await Deno.remove(`${dir}/message.sig`);
    for (const hash of ["sha256", "sha512"]) {
      await run("ssh-keygen", [
        "-q",
        "-Y",
        "sign",
        "-f",
        file,
        "-n",
        "file",
        "-O",
        `hashalg=${hash}`,
        `${dir}/message`,
      ]);
      const armored = await Deno.readTextFile(`${dir}/message.sig`);
      equal(parseSshSignature(armored).hash, hash);
      ok(verifySignature(message, armored, allow(`server ${key}`), { at: now, namespace: "file" }).ok);
      const other = verifySignature(message, armored, allow(`server ${key}`), { at: now, namespace: "git" });
      equal(other.ok || other.error.code, "namespace");
      await Deno.remove(`${dir}/message.sig`);
    }
  },
);

realTest("who may sign, for what and when, is judged as ssh-keygen judges it", {
  needs: ["ssh-keygen"],
}, async ({ dir }) => {
  const { signer, key, file } = await newKey(dir, "alice");
  const { key: other } = await newKey(dir, "other");
  const content = commitOf("4b825dc642cb6eb9a060e54bf8d69288fbee4904", "x\n");
  const armored = signer.sign(content);
  await Deno.writeTextFile(`${dir}/sig`, armored);
  const lines: readonly (readonly [line: string, outcome: "good" | "unknown" | "namespace" | "time"])[] = [
    [`a ${key}`, "good"],
    [`a ${other}`, "unknown"],
    [`a namespaces="git" ${key}`, "good"],
    [`a namespaces="file,g*" ${key}`, "good"],
    [`a namespaces="file" ${key}`, "namespace"],
    [`a namespaces="*,!git" ${key}`, "namespace"],
    [`a valid-after="20231114" ${key}`, "good"],
    [`a valid-after="20231115000000" ${key}`, "time"],
    [`a valid-before="20231115" ${key}`, "good"],
    [`a valid-before="202311140000" ${key}`, "time"],
    [`a NAMESPACES="git",valid-after="20000101",valid-before="20400101" ${key}`, "good"],
    [`"a" ${key}`, "good"],
  ];
  for (const [line, expected] of lines) {
    await Deno.writeTextFile(`${dir}/allowed`, `# who may\n\n${line}\n`);
    const theirs = await run("ssh-keygen", [
      ...["-Y", "verify", "-f", `${dir}/allowed`, "-I", "a", "-n", "git", "-s", `${dir}/sig`],
      ...["-O", "verify-time=20231114221320"],
    ], { stdin: content, check: false, env: { TZ: "UTC" } });
    equal(theirs.code === 0, expected === "good", `${line}\n${theirs.stderr}${theirs.stdout}`);
    const ours = verifySignature(content, armored, allow(line), at);
    equal(ours.ok ? "good" : ours.error.code, expected, line);
  }
  ok(file.length > 0);
});

Deno.test("faults of an allowed-signers file are told by line, all of them", () => {
  const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIP//////////////////////////////////////////";
  const lines = [
    ["", undefined],
    ["  # remark", undefined],
    [`a@b.test,*@c.test ${key} comment with words`, undefined],
    [`ca cert-authority ${key}`, /cert-authority is not supported/],
    [`a ${key.replace("IP//", "IP/?")}`, /base64/],
    [`a`, /needed/],
    [`a ssh-dss AAAA`, /no public key/],
    [`a ssh-ed25519-cert-v01@openssh.com AAAA`, /certificates/],
    [`a ${key.replace("ssh-ed25519", "ssh-rsa")}`, /inside is not of type ssh-rsa/],
    [`a no-touch ${key}`, /no-touch is unknown/],
    [`a namespaces="git",namespaces="file" ${key}`, /twice/],
    [`a namespaces="" ${key}`, /needs a value/],
    [`a valid-after="2023" ${key}`, /not a time/],
    [`a valid-after="20230230Z" ${key}`, /not a time/],
    [`a valid-after="20240101",valid-before="20230101" ${key}`, /before it begins/],
    [`a namespaces="git ${key}`, /no public key|cannot be read/],
  ] as const;
  const parsed = parseAllowedSigners(lines.map(([line]) => line).join("\n"));
  ok(!parsed.ok);
  const expected = lines.flatMap(([, fault], index) => fault === undefined ? [] : [index + 1]);
  deepEqual(parsed.error.map(({ line }) => line), expected);
  for (const { line, message } of parsed.error) match(message, lines[line - 1][1] ?? /never/);
  const good = parseAllowedSigners(lines.slice(0, 3).map(([line]) => line).join("\r\n"));
  ok(good.ok);
  deepEqual(good.value.map(({ line, principals }) => [line, principals]), [[3, "a@b.test,*@c.test"]]);
});

Deno.test("patterns match as OpenSSH's do, and none is slow", () => {
  ok(matchesPatterns("git", "git"));
  ok(matchesPatterns("alice@example.test", "*@example.test"));
  ok(matchesPatterns("abc", "a?c"));
  ok(matchesPatterns("", "*"));
  ok(!matchesPatterns("abc", "a?"));
  ok(!matchesPatterns("a", ""));
  ok(!matchesPatterns("alice@example.test", "*,!alice@*"));
  ok(!matchesPatterns("a".repeat(5000), `${"*a".repeat(500)}*b`));
});

realTest("a commit without a signature, or with a strange one, says what is wrong", {
  needs: ["ssh-keygen"],
}, async ({ dir }) => {
  const { signer, key } = await newKey(dir, "alice");
  const allowed = allow(`a ${key}`);
  const content = commitOf("4b825dc642cb6eb9a060e54bf8d69288fbee4904", "x\n");
  const armored = signer.sign(content);
  equal(codeOf(content, allowed), "unsigned");
  const pgp = "-----BEGIN PGP SIGNATURE-----\n\nAAAA\n-----END PGP SIGNATURE-----\n";
  equal(codeOf(withSignature(content, pgp), allowed), "unsupported");
  const twice = withSignature(withSignature(content, armored), armored);
  equal(codeOf(twice, allowed), "malformed");
  for (const cut of [80, 150, 220]) {
    const lines = armored.split("\n");
    const short = [lines[0], lines.slice(1, -2).join("").slice(0, cut), ...lines.slice(-2)].join("\n");
    equal(codeOf(withSignature(content, short), allowed), "malformed");
  }
  // A signature of another key type, under the key that is allowed.
  const sent = toBase64(utf8("SSHSIG\0\0\0\x01"));
  const broken = `-----BEGIN SSH SIGNATURE-----\n${sent}\n-----END SSH SIGNATURE-----\n`;
  equal(codeOf(withSignature(content, broken), allowed), "malformed");
});

realTest("no change of a signature is good, and none brings the verifier down", {
  needs: ["ssh-keygen"],
}, async ({ dir }) => {
  for (const type of ["ed25519", "ecdsa", "rsa"]) {
    const file = `${dir}/${type}`;
    await run("ssh-keygen", ["-q", "-t", type, "-N", "", "-f", file]);
    const key = (await Deno.readTextFile(`${file}.pub`)).trim();
    const allowed = allow(`a ${key}`);
    const message = utf8("message");
    await Deno.writeFile(`${file}.m`, message);
    await run("ssh-keygen", ["-q", "-Y", "sign", "-f", file, "-n", "git", `${file}.m`]);
    const lines = (await Deno.readTextFile(`${file}.m.sig`)).trim().split("\n");
    const blob = Uint8Array.from(atob(lines.slice(1, -1).join("")), (character) => character.charCodeAt(0));
    fc.assert(
      fc.property(fc.nat(blob.length - 1), fc.integer({ min: 1, max: 255 }), (place, change) => {
        const changed = blob.slice();
        changed[place] ^= change;
        const armored = [lines[0], toBase64(changed), lines.at(-1)].join("\n");
        const outcome = verifySignature(message, armored, allowed, at);
        ok(!outcome.ok, `${type}: byte ${place} ^ ${change}`);
      }),
      { numRuns: 300 },
    );
  }
});

realTest(
  "only an Ed25519 key without a passphrase makes a signer",
  { needs: ["ssh-keygen"] },
  async ({ dir }) => {
    const make = async (...args: string[]) => {
      const file = `${dir}/${crypto.randomUUID()}`;
      await run("ssh-keygen", ["-q", "-f", file, ...args]);
      const signer = signerFrom(await Deno.readTextFile(file));
      return signer.ok ? "made" : signer.error;
    };
    equal(await make("-t", "ed25519", "-N", ""), "made");
    match(await make("-t", "ed25519", "-N", "secret words"), /passphrase/);
    match(await make("-t", "ecdsa", "-N", ""), /make one of type ed25519/);
    match(await make("-t", "rsa", "-m", "PEM", "-N", ""), /not a private key in OpenSSH's form/);
    const nothing = signerFrom("nothing");
    ok(!nothing.ok);
  },
);

function codeOf(content: Uint8Array, allowed: readonly AllowedSigner[]): string {
  const outcome = verifyCommitSignature(content, allowed, at);
  return outcome.ok ? "good" : outcome.error.code;
}

function allow(line: string): readonly AllowedSigner[] {
  const parsed = parseAllowedSigners(line);
  ok(parsed.ok, JSON.stringify(parsed));
  return parsed.value;
}

function commitOf(tree: string, message: string): Uint8Array {
  const person = "Test <test@example.test> 1700000000 +0000";
  return utf8(`tree ${tree}\nauthor ${person}\ncommitter ${person}\n\n${message}`);
}

async function newKey(
  dir: string,
  name: string,
  namespace?: string,
): Promise<{ signer: Signer; key: string; file: string }> {
  const file = `${dir}/key-${name}`;
  await run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", name, "-f", file]);
  const signer = signerFrom(await Deno.readTextFile(file), namespace);
  ok(signer.ok, signer.ok ? "" : signer.error);
  const key = (await Deno.readTextFile(`${file}.pub`)).trim();
  equal(key, `${signer.value.publicKey} ${name}`);
  return { signer: signer.value, key, file };
}

async function gitSigned(repository: string, key: string, ...args: string[]): Promise<void> {
  const config = ["-c", "gpg.format=ssh", "-c", `user.signingkey=${key}`];
  await run("git", ["-C", repository, ...config, ...args]);
}

async function verifyCommit(dir: string, repository: string, oid: string, allowed: string) {
  const file = `${dir}/allowed_signers`;
  await Deno.writeTextFile(file, allowed);
  const config = ["-c", "gpg.format=ssh", "-c", `gpg.ssh.allowedSignersFile=${file}`];
  return await run("git", ["-C", repository, ...config, "verify-commit", "-v", oid], { check: false });
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&");
}
