/**
 * Our upload-pack over standard input and output, as sshd would start git's: `upload_command.ts REPOSITORY [FILE]`, the version
 * in `GIT_PROTOCOL`. A second argument names a file that gets the milliseconds of CPU that the process took.
 */
import process from "node:process";
import { pipeFlow } from "../../conduit/pipe.ts";
import { requestedVersion } from "../../store/protocol/requested_version.ts";
import { serveUploadPack } from "../../store/protocol/serve.ts";
import { openRepository } from "../../store/repository/open.ts";

const repository = await openRepository(Deno.args[0] ?? ".");
const outcome = await serveUploadPack({
  repository,
  flow: pipeFlow({
    readable: Deno.stdin.readable,
    writable: Deno.stdout.writable,
    description: "standard input and output",
  }),
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
