/**
 * Installs the real programs that the tests run against. On Debian as root they are installed without starting
 * their services; elsewhere the tests that miss one are left out, each with its reason.
 */
const PACKAGES = [
  "git",
  "openssh-client",
  "openssh-server",
  "bind9",
  "bind9-dnsutils",
  "bind9-utils",
  "knot",
  "knot-dnsutils",
  "knot-dnssecutils",
  "nsd",
  "pebble",
  "ldnsutils",
  "dnsperf",
  "unbound",
  "unbound-host",
  "iproute2",
  "openssl",
  "procps",
  "chromium",
  "tinyproxy",
];

/** Debian's invoke-rc.d asks this file; 101 means that services must not be started. */
const POLICY = "/usr/sbin/policy-rc.d";

await main();

async function main(): Promise<void> {
  const missing = await missingPackages();
  if (missing === undefined) {
    console.error("this is not a Debian system: tests run with the programs that are there");
  } else if (missing.length === 0) {
    console.error("the tests' counterparts are installed");
  } else if (Deno.uid() !== 0) {
    console.error(`not root: cannot install ${missing.join(", ")}`);
  } else {
    console.error(`installing ${missing.join(", ")}`);
    await withoutStartingServices(async () => {
      if (!await aptGet(["update"])) console.error("apt-get update failed; going on with what is known");
      if (await aptGet(["install", "-y", "--no-install-recommends", ...missing])) return;
      // One package that cannot be had should cost its own tests only.
      for (const name of missing) {
        if (!await aptGet(["install", "-y", "--no-install-recommends", name])) {
          console.error(`cannot install ${name}`);
        }
      }
    });
  }
}

async function missingPackages(): Promise<string[] | undefined> {
  try {
    const { stdout } = await new Deno.Command("dpkg-query", {
      args: ["-W", "-f", "${Package} ${db:Status-Abbrev}\n", ...PACKAGES],
      stderr: "null",
    }).output();
    const installed = new Set(
      new TextDecoder().decode(stdout).split("\n").filter((line) => / ii /.test(`${line} `)).map((line) =>
        line.split(" ")[0]
      ),
    );
    return PACKAGES.filter((name) => !installed.has(name));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotCapable) return undefined;
    throw error;
  }
}

async function aptGet(args: readonly string[]): Promise<boolean> {
  const child = new Deno.Command("apt-get", {
    args: ["-q", ...args],
    clearEnv: true,
    env: { DEBIAN_FRONTEND: "noninteractive", PATH: Deno.env.get("PATH") ?? "/usr/sbin:/usr/bin:/sbin:/bin" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
  const { success, stderr } = await child.output();
  if (!success) console.error(new TextDecoder().decode(stderr).trimEnd());
  return success;
}

async function withoutStartingServices(body: () => Promise<void>): Promise<void> {
  let ours = false;
  try {
    await Deno.writeTextFile(POLICY, "#!/bin/sh\nexit 101\n", { createNew: true, mode: 0o755 });
    ours = true;
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  }
  try {
    await body();
  } finally {
    if (ours) await Deno.remove(POLICY);
  }
}
