/**
 * Our upload-pack over standard input and output, as sshd would start git's: `upload_command.ts REPOSITORY [FILE]`, the version
 * in `GIT_PROTOCOL`. A second argument names a file that gets the milliseconds of CPU that the process took.
 */
import process from "node:process";
import type { Flow } from "../../conduit/flow.ts";
import { requestedVersion } from "../../store/protocol/upload_pack.ts";
import { serveUploadPack } from "../../store/protocol/serve.ts";
import { openRepository } from "../../store/repository/open.ts";

const repository = await openRepository(Deno.args[0] ?? ".");
const outcome = await serveUploadPack({
  repository,
  flow: standardFlow(),
  version: requestedVersion(Deno.env.get("GIT_PROTOCOL")),
});
repository.close();
const cpuFile = Deno.args[1];
if (cpuFile !== undefined) {
  const { user, system } = process.cpuUsage();
  Deno.writeTextFileSync(cpuFile, `${(user + system) / 1000}\n`, { append: true });
}
if (!outcome.ok) {
  console.error(outcome.error.message);
  Deno.exit(1);
}
Deno.exit(0);

/** One process, one client: writing without leaving the thread is the cheapest, and back-pressure by itself. */
function standardFlow(): Flow {
  const room = new Uint8Array(65536);
  return {
    description: "standard input and output",
    peer: undefined,
    secure: true,
    async read() {
      const count = await Deno.stdin.read(room);
      return count === null ? undefined : room.slice(0, count);
    },
    write(bytes) {
      for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
      return Promise.resolve();
    },
    end() {
      Deno.stdout.close();
      return Promise.resolve();
    },
    close() {},
    diagnostics: () => "",
  };
}
