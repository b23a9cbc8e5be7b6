import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import { type Flow, pipeFlow } from "../../conduit/mod.ts";
import { realTest } from "../tools/real.ts";
import { noise, readAll, sha256, text, utf8 } from "./flows.ts";

interface Child {
  readonly flow: Flow;
  readonly status: Promise<Deno.CommandStatus>;
}

function spawn(script: string, more: { idleMs?: number } = {}): Child {
  const child = new Deno.Command("sh", {
    args: ["-c", script],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const flow = pipeFlow({
    readable: child.stdout,
    writable: child.stdin,
    diagnostics: child.stderr,
    description: "sh",
    onClose: () => {
      try {
        child.kill("SIGKILL");
      } catch (error) {
        ok(error instanceof TypeError, String(error)); // it has ended already
      }
    },
    ...more,
  });
  return { flow, status: child.status };
}

realTest(
  "pipes: 20 MB go through a child and back, half-close ends its input",
  { needs: ["sh"] },
  async () => {
    const { flow, status } = spawn("cat; echo beside >&2; echo done");
    const sent = noise(20_000_000);
    const writing = (async () => {
      await flow.write(sent);
      await flow.end();
    })();
    const back = await readAll(flow);
    await writing;
    equal(sha256(back.subarray(0, sent.length)), sha256(sent));
    equal(text(back.subarray(sent.length)), "done\n");
    equal((await status).code, 0);
    equal(await flow.read(), undefined);
    equal(flow.diagnostics(), "beside\n");
    flow.close();
    await rejects(flow.read(), { code: "closed" });
  },
);

realTest(
  "pipes: a talkative child's words are kept to their last 64 KiB and never stall it",
  { needs: ["sh"] },
  async () => {
    const { flow, status } = spawn("head -c 3000000 /dev/zero | tr '\\0' x >&2; echo the end >&2; echo done");
    equal(text(await readAll(flow)), "done\n");
    await status;
    equal(flow.diagnostics().length, 65536);
    match(flow.diagnostics(), /the end\n$/);
    flow.close();
  },
);

realTest("pipes: a child that reads nothing makes the writer wait, and the idle limit ends it", {
  needs: ["sh"],
}, async () => {
  const { flow, status } = spawn("exec sleep 1000", { idleMs: 150 });
  const chunk = noise(1 << 20);
  let written = 0;
  await rejects(async () => {
    for (; written < 100; written++) await flow.write(chunk);
  }, { code: "timeout" });
  ok(written < 8, `${written} MiB were taken from a writer whose peer reads nothing`);
  equal((await status).success, false);
  await rejects(flow.read(), { code: "timeout" });
});

realTest("pipes: a child that is gone is a reset for the writer and an end for the reader", {
  needs: ["sh"],
}, async () => {
  const { flow, status } = spawn("exec >&-; exit 3");
  equal((await status).code, 3);
  equal(await flow.read(), undefined);
  await rejects(async () => {
    for (let i = 0; i < 64; i++) await flow.write(noise(1 << 16));
  }, { code: "reset" });
  flow.close();
});

Deno.test("pipes: a write that is taken may be followed by the buffer's next use", async () => {
  const seen: string[] = [];
  const flow = pipeFlow({
    readable: new ReadableStream(),
    writable: new WritableStream({ write: (bytes) => void seen.push(text(bytes)) }),
    description: "streams",
  });
  const buffer = utf8("one");
  await flow.write(buffer);
  buffer.set(utf8("two"));
  await flow.write(buffer);
  deepEqual(seen, ["one", "two"]);
  flow.close();
  flow.close();
  await rejects(flow.write(buffer), { code: "closed" });
});
