/**
 * Serves one push to a primary over standard input and output, for git's `ext::` transport. The second argument, if
 * any, is the step of a commit at which the process kills itself with SIGKILL. Where the folder holds `signing_ed25519` the
 * server signs with it, and where it holds `allowed_signers` whoever pushes has to sign.
 */
import type { Flow } from "../../conduit/mod.ts";
import {
  allowedSignersFile,
  commitJudge,
  openPrimary,
  openState,
  putDatabaseAside,
  type Signing,
} from "../../primary/mod.ts";
import { initRepository, serveReceivePack, signerFrom } from "../../store/mod.ts";

const [dir, dieAt] = Deno.args;
const repository = await initRepository(`${dir}/zones.git`, { owner: true });
const say = (message: string) => console.error(message);
const state = openState({
  path: `${dir}/state.db`,
  putAside: (path) => putDatabaseAside(path, "1"),
  report: say,
});
const primary = await openPrimary({
  repository,
  state,
  publish: () => {},
  judge: (operations) => ({ ok: true, operations }),
  clock: Date.now,
  log: { info: () => {}, warn: say, error: say },
  mode: { kind: "embedded" },
  signing: signing(),
  crashPoint: (step) => {
    if (step === dieAt) Deno.kill(Deno.pid, "SIGKILL");
  },
});
await serveReceivePack({
  repository,
  flow: standardFlow(),
  version: 0,
  admit: (proposal) => primary.admitPush(proposal, "git"),
});
await primary.close();
state.close();
repository.close();

function signing(): Signing | undefined {
  const folder = [...Deno.readDirSync(dir)].map((entry) => entry.name);
  if (!folder.includes("signing_ed25519")) return undefined;
  const signer = signerFrom(Deno.readTextFileSync(`${dir}/signing_ed25519`));
  if (!signer.ok) throw new Error(signer.error);
  const allowed = allowedSignersFile(`${dir}/allowed_signers`);
  const judge = commitJudge({ allowed, clock: Date.now });
  return { sign: signer.value.sign, judge: folder.includes("allowed_signers") ? judge : undefined };
}

function standardFlow(): Flow {
  const reader = Deno.stdin.readable.getReader();
  const writer = Deno.stdout.writable.getWriter();
  return {
    description: "standard input and output",
    peer: undefined,
    secure: false,
    read: async () => (await reader.read()).value,
    write: (bytes) => writer.write(bytes),
    end: () => writer.close(),
    close: () => {},
    diagnostics: () => "",
  };
}
