/** Our ends of the protocol behind a loopback port, spoken to as a git daemon; and flows to git's own programs. */
import { FlowError, listenTcp } from "../../../conduit/mod.ts";
import type { Flow } from "../../../conduit/mod.ts";
import { findProgram, run } from "../../tools/real.ts";
import { PktDecoder } from "../../../store/protocol/pkt_line.ts";
import { requestedVersion } from "../../../store/protocol/requested_version.ts";
import type { ProtocolVersion } from "../../../store/protocol/advertisement.ts";

export interface ServedService {
  readonly service: string;
  readonly version: ProtocolVersion;
  readonly flow: Flow;
}

/** Serves while `use` runs. What a handler throws is thrown here. */
export async function withGitServer<T>(
  handle: (served: ServedService) => Promise<unknown>,
  use: (url: string) => Promise<T>,
): Promise<T> {
  const failures: unknown[] = [];
  const listening = listenTcp({ host: "127.0.0.1", port: 0 }, async (flow) => {
    try {
      const { request, rest } = await firstPacket(flow);
      const [command, , extra] = request.split("\0").filter((part) => part !== "");
      await handle({
        service: command.split(" ")[0],
        version: requestedVersion(extra),
        flow: prefixed(flow, rest),
      });
    } catch (error) {
      failures.push(error);
    }
  });
  if (!listening.ok) throw listening.error;
  let outcome: T;
  try {
    outcome = await use(`git://127.0.0.1:${listening.value.address.port}/zones.git`);
  } finally {
    await listening.value.stop({ graceMs: 5000 });
  }
  if (failures.length > 0) throw failures[0];
  return outcome;
}

/** git with a protocol version. */
export function gitV(version: number, args: readonly string[], options: Parameters<typeof run>[2] = {}) {
  return run("git", ["-c", `protocol.version=${version}`, ...args], options);
}

/** `git fsck --strict --full` must say nothing bad. */
export async function fsck(path: string): Promise<void> {
  await run("git", ["fsck", "--strict", "--full", "--no-dangling"], { cwd: path });
}

export async function oidOf(repository: string, revision: string): Promise<string> {
  return (await run("git", ["rev-parse", revision], { cwd: repository })).stdout.trim();
}

/** A new work tree on branch `main`. */
export async function workTree(dir: string): Promise<string> {
  await run("git", ["init", "-q", "-b", "main", `${dir}/work`]);
  return `${dir}/work`;
}

/** Commits that change one file each, a second apart so that their order by date is their order. */
export async function commits(work: string, count: number, what = "base"): Promise<void> {
  const start = 1_700_000_000 +
    Number((await run("git", ["rev-list", "--count", "--all"], { cwd: work })).stdout);
  let stream = "";
  const head = await run("git", ["rev-parse", "-q", "--verify", "HEAD"], { cwd: work, check: false });
  const branch = (await run("git", ["symbolic-ref", "HEAD"], { cwd: work })).stdout.trim();
  for (let i = 0; i < count; i++) {
    const text = `${what} ${i}\n`;
    stream += `commit ${branch}\ncommitter T <t@example.test> ${
      start + i
    } +0000\ndata ${text.length}\n${text}`;
    if (i === 0 && head.code === 0) stream += `from ${head.stdout.trim()}\n`;
    stream += `M 644 inline zone-${what}\ndata ${text.length}\n${text}\n`;
  }
  await run("git", ["-c", "fastimport.unpackLimit=100000", "fast-import", "--quiet"], {
    cwd: work,
    stdin: stream,
  });
  if (!work.endsWith(".git")) await run("git", ["reset", "-q", "--hard"], { cwd: work });
}

/** A flow to a program's standard input and output, as an SSH channel would give it. */
export function programFlow(
  program: string,
  args: readonly string[],
  env: Record<string, string> = {},
): { readonly flow: Flow; readonly ended: Promise<void> } {
  const child = new Deno.Command(findProgram(program) ?? program, {
    args: [...args],
    clearEnv: true,
    env: { PATH: Deno.env.get("PATH") ?? "", HOME: "/nonexistent", GIT_CONFIG_NOSYSTEM: "1", ...env },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  const reader = child.stdout.getReader();
  let diagnostics = "";
  const errors = (async () => {
    for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) diagnostics += text;
  })();
  let inputEnded = false;
  let closed = false;
  const endInput = async () => {
    if (inputEnded) return;
    inputEnded = true;
    await writer.close().catch(() => {}); // The program may have ended before.
  };
  const flow: Flow = {
    description: program,
    peer: undefined,
    secure: true,
    async read() {
      if (closed) throw new FlowError("closed", "closed on this side");
      const { value, done } = await reader.read();
      if (closed) throw new FlowError("closed", "closed on this side");
      if (done) await errors;
      return value;
    },
    async write(bytes) {
      try {
        await writer.write(bytes);
      } catch (cause) {
        throw new FlowError("reset", "the program has ended", { cause });
      }
    },
    end: endInput,
    close() {
      closed = true;
      void endInput();
      void reader.cancel();
    },
    diagnostics: () => diagnostics,
  };
  const ended = (async () => {
    await child.status;
    await errors;
    await endInput();
  })();
  return { flow, ended };
}

/** Reads a flow's first packet without losing what came with it. */
async function firstPacket(flow: Flow): Promise<{ request: string; rest: Uint8Array }> {
  const decoder = new PktDecoder();
  for (;;) {
    const pkt = decoder.next();
    if (pkt?.kind === "data") {
      return { request: new TextDecoder().decode(pkt.payload), rest: decoder.takeRest() };
    }
    const bytes = await flow.read();
    if (bytes === undefined) return { request: "", rest: new Uint8Array() };
    decoder.push(bytes);
  }
}

function prefixed(flow: Flow, first: Uint8Array): Flow {
  let rest: Uint8Array | undefined = first.length > 0 ? first : undefined;
  return {
    ...flow,
    read() {
      const bytes = rest;
      rest = undefined;
      return bytes === undefined ? flow.read() : Promise.resolve(bytes);
    },
  };
}
