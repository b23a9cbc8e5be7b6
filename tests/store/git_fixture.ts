import { equal } from "node:assert/strict";
import { run } from "../tools/real.ts";

/** What git says of a repository after a test wrote to it: nothing wrong. */
export async function assertGitAccepts(repository: string): Promise<void> {
  const outcome = await run("git", ["-C", repository, "fsck", "--strict", "--full", "--no-dangling"], {
    check: false,
  });
  equal(outcome.stderr.replace(/^notice: .*\n/gm, ""), "");
  equal(outcome.stdout.replace(/^notice: .*\n/gm, ""), "");
  equal(outcome.code, 0);
}

export async function git(repository: string, ...args: string[]): Promise<string> {
  return (await run("git", ["-C", repository, ...args])).stdout;
}

/** A program's standard output as bytes. */
export async function gitBytes(repository: string, args: string[], stdin?: Uint8Array): Promise<Uint8Array> {
  const child = new Deno.Command("git", {
    args: ["-C", repository, ...args],
    stdin: stdin === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  if (stdin !== undefined) {
    const writer = child.stdin.getWriter();
    await writer.write(stdin);
    await writer.close();
  }
  const output = await child.output();
  if (output.code !== 0) throw new Error(`git ${args.join(" ")}: ${new TextDecoder().decode(output.stderr)}`);
  return output.stdout;
}
