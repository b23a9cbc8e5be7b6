/** A public authority's protocol for real: Pebble, refusing a fifth of all nonces, validates through our own DNS. */
import { deepEqual, equal, match } from "node:assert/strict";
import { dig } from "../tools/dig.ts";
import { startPebble } from "../tools/pebble.ts";
import { freePort } from "../tools/ports.ts";
import { realTest, run } from "../tools/real.ts";
import { runCommand, serverIn } from "../tools/server.ts";

const EXAMPLES = new URL("../../zones", import.meta.url).pathname;

realTest("Pebble issues apex and wildcard together through our DNS, and both tokens are gone afterwards", {
  needs: ["pebble", "openssl", "dig"],
}, async ({ dir }) => {
  // Pebble wants to know our address and we want its directory, so the DNS port is chosen first.
  const port = freePort();
  const pebble = await startPebble({ dir, dnsServer: `127.0.0.1:${port}`, nonceReject: 20 });
  try {
    await Deno.writeTextFile(`${dir}/pebble-ca.pem`, pebble.caCertificate);
    await Deno.writeTextFile(
      `${dir}/bailiwick.toml`,
      `dns = "127.0.0.1:${port}"\n[acme]\nauthority = "${pebble.directoryUrl}"\n` +
        `agree-terms = true\nroots = "pebble-ca.pem"\n`,
    );
    const args = ["--zones", EXAMPLES, "--config", "bailiwick.toml", "--dns", `127.0.0.1:${port}`];
    let server = await serverIn(dir, args);
    try {
      const certify = () =>
        runCommand(dir, "certify", [
          "example.test",
          ...["--san", "*.example.test", "--server", server.dns],
          ...["--key-file", `${dir}/.bailiwick/keys/admin.key`, "--out", "certs", "--timeout", "120"],
        ]);
      const issued = await certify();
      equal(issued.code, 0, `${issued.stderr}${server.log()}`);

      await Deno.writeTextFile(`${dir}/root.pem`, await pebble.issuingRoot());
      const pem = `${dir}/certs/example.test.pem`;
      const verified = await run("openssl", ["verify", "-CAfile", `${dir}/root.pem`, "-untrusted", pem, pem]);
      match(verified.stdout, /: OK/);
      const names = await run("openssl", ["x509", "-in", pem, "-noout", "-ext", "subjectAltName"]);
      match(names.stdout, /DNS:\*\.example\.test/);
      match(names.stdout, /DNS:example\.test/);
      equal(await eventually(() => dig(server.dns, ["+short", "_acme-challenge.example.test", "TXT"])), "");

      deepEqual(
        await tokenCounts(`${dir}/.bailiwick/zones.git`),
        [2, 0],
        "both were presented in one change",
      );

      // After a restart nothing is ordered again: the account and the certificate are known.
      equal(await server.stop(), 0);
      server = await serverIn(dir, args);
      const again = await certify();
      equal(again.code, 0, again.stderr);
      match(again.stdout, /is valid until/);
      const accounts = pebble.log().match(/There are now \d+ accounts in memory/g) ?? [];
      deepEqual(accounts, ["There are now 1 accounts in memory"]);
    } finally {
      equal(await server.stop(), 0);
    }
  } finally {
    await pebble.stop();
  }
});

/** How many challenge records stood at once, in the order of the commits on branch `machine` that changed them. */
async function tokenCounts(repository: string): Promise<number[]> {
  const git = async (...args: string[]) =>
    (await run("git", ["-C", repository, ...args], { check: false })).stdout.trim();
  const path = "*/_acme-challenge";
  const commits = (await git("log", "--reverse", "--format=%H", "machine", "--", path)).split("\n");
  return await Promise.all(commits.map(async (commit) => {
    const files = await git("ls-tree", "-r", "--name-only", commit);
    const file = files.split("\n").find((name) => name.endsWith("/_acme-challenge"));
    return file === undefined ? 0 : (await git("show", `${commit}:${file}`)).split("\n").length;
  }));
}

/** Asks until the answer is empty, or gives the last one. */
async function eventually(ask: () => Promise<string>): Promise<string> {
  const deadline = Date.now() + 15_000;
  for (;;) {
    const answer = await ask();
    if (answer === "" || Date.now() > deadline) return answer;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
