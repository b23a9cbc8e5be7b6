import { deepEqual, equal, match, ok } from "node:assert/strict";
import {
  generateSshKey,
  knownHostsLine,
  parseAuthorizedKeys,
  parsePublicKey,
  publicKeyOf,
  sshFingerprint,
} from "../../conduit/mod.ts";
import { realTest, run } from "../tools/real.ts";
import { blobOf, installKey } from "./ssh_parties.ts";

const ED25519 = "AAAAC3NzaC1lZDI1NTE5AAAAIChqam216XXkHEAd4710PMSVXmrt1ujyFgMHChTp7ebi";
const LINE = `ssh-ed25519 ${ED25519}`;

realTest("ssh keys: ssh-keygen reads what is generated, and agrees on key and fingerprint", {
  needs: ["ssh-keygen"],
}, async ({
  dir,
}) => {
  for (const comment of ["", "a", "me@example", "with spaces and ümläuts", "x".repeat(90)]) {
    const pair = generateSshKey(comment);
    await installKey(`${dir}/key`, pair);
    equal((await run("ssh-keygen", ["-y", "-f", `${dir}/key`])).stdout.trimEnd(), pair.publicKey);
    const listed = (await run("ssh-keygen", ["-lf", `${dir}/key.pub`])).stdout;
    equal(listed.split(" ")[1], sshFingerprint(blobOf(pair)));
  }
});

Deno.test("ssh keys: every key that is generated is read again", async () => {
  for (let i = 0; i < 300; i++) {
    const pair = generateSshKey(`key ${i}`);
    const read = await publicKeyOf(pair.privateKey);
    ok(read.ok, "the private key is readable");
    deepEqual(read.value, { algorithm: "ssh-ed25519", blob: blobOf(pair) });
  }
  equal((await publicKeyOf("nonsense")).ok, false);
  equal((await publicKeyOf(LINE)).ok, false);
});

realTest(
  "ssh keys: ssh-keygen finds a host by its known_hosts line",
  { needs: ["ssh-keygen"] },
  async ({ dir }) => {
    const key = { algorithm: "ssh-ed25519", blob: blobOf(generateSshKey("")) };
    const hosts: [string, number, string][] = [
      ["127.0.0.1", 2222, "[127.0.0.1]:2222"],
      ["git.example", 22, "git.example"],
      ["::1", 2222, "[::1]:2222"],
    ];
    for (const [host, port, name] of hosts) {
      const line = knownHostsLine(host, port, key);
      ok(line.startsWith(`${name} ssh-ed25519 AAAA`));
      await Deno.writeTextFile(`${dir}/known_hosts`, line + "\n");
      match((await run("ssh-keygen", ["-F", name, "-f", `${dir}/known_hosts`])).stdout, /found: line 1/);
    }
  },
);

Deno.test("authorized_keys: plain keys, options, comments and blank lines", () => {
  const text = [
    "# people",
    "",
    `${LINE} me@example`,
    `read-only ${LINE} robot with a name`,
    `zones="a.test, B.test",read-only\t${LINE}`,
    `from="10.0.0.0/8,\\"x\\"",no-pty,zones="c.test" ${LINE} far away`,
  ].join("\r\n");
  const { entries, faults } = parseAuthorizedKeys(text);
  deepEqual(faults, []);
  deepEqual(
    entries.map(({ comment, options, line }) => ({ comment, ...options, line })),
    [
      { comment: "me@example", readOnly: false, zones: undefined, unknown: [], line: 3 },
      { comment: "robot with a name", readOnly: true, zones: undefined, unknown: [], line: 4 },
      { comment: "", readOnly: true, zones: ["a.test", "b.test"], unknown: [], line: 5 },
      {
        comment: "far away",
        readOnly: false,
        zones: ["c.test"],
        unknown: ['from="10.0.0.0/8,\\"x\\""', "no-pty"],
        line: 6,
      },
    ],
  );
  equal(entries[0].algorithm, "ssh-ed25519");
  equal(sshFingerprint(entries[0].blob), "SHA256:Ekj2+eMuMPYWTHDVNkR6c5Uog3+ogDG57QPJq/osdbo");
});

Deno.test("authorized_keys: a faulty line grants nothing, is named, and costs no other line", () => {
  const lines: [string, RegExp][] = [
    ["ssh-ed25519", /not a public key/],
    ["ssh-ed25519 %%%% x", /not base64/],
    ["ssh-ed25519 AAAA x", /not of type ssh-ed25519/],
    [`ecdsa-sha2-nistp256 ${ED25519}`, /not of type ecdsa-sha2-nistp256/],
    [`ssh-dss ${ED25519}`, /ssh-dss is not supported/],
    [`zones="a.test ${LINE}`, /not closed/],
    [`zones=a.test ${LINE}`, /quoted list/],
    [`zones="" ${LINE}`, /quoted list/],
    [`zones="a.test,,b.test" ${LINE}`, /quoted list/],
    [`read-only=yes ${LINE}`, /takes no value/],
    [`,read-only ${LINE}`, /an option is empty/],
    ["read-only", /not a public key/],
    [`${LINE} ${"x".repeat(20_000)}`, /longer than/],
  ];
  const { entries, faults } = parseAuthorizedKeys(
    [...lines.map(([line]) => line), `${LINE} good`].join("\n"),
  );
  deepEqual(entries.map(({ comment, line }) => [comment, line]), [["good", lines.length + 1]]);
  equal(faults.length, lines.length);
  for (const [index, [, reason]] of lines.entries()) {
    equal(faults[index].line, index + 1);
    match(faults[index].message, reason);
  }
});

Deno.test("authorized_keys: zones given twice leave what both allow", () => {
  const { entries } = parseAuthorizedKeys(`zones="a.test,b.test",zones="b.test,c.test" ${LINE}`);
  deepEqual(entries[0].options.zones, ["b.test"]);
});

Deno.test("a public key line is read whole or not at all", () => {
  equal(parsePublicKey("").ok, false);
  equal(parsePublicKey("ssh-ed25519").ok, false);
  equal(parsePublicKey(`${LINE}AA`).ok, false);
  equal(parsePublicKey(LINE).ok, true);
});
