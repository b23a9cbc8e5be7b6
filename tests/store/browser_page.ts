/** What runs in the browser: a clone into memory over HTTP, a look at it, a change, and a push of that change. */
import {
  commitInfo,
  commitOn,
  fetchFrom,
  fetchHttpClient,
  httpOpener,
  initRepositoryOn,
  listFiles,
  memoryDevice,
  portableTools,
  publish,
  readPath,
  textOf,
  utf8,
} from "../../store/portable.ts";

const MAIN = "refs/heads/main";
const LIMITS = {
  packBytes: 1 << 24,
  objectBytes: 1 << 22,
  objects: 10_000,
  deltaDepth: 100,
  deltaWork: 1 << 28,
};

async function visit(): Promise<unknown> {
  const repository = await initRepositoryOn(memoryDevice(), portableTools);
  const open = httpOpener(fetchHttpClient(), `${location.origin}/zones.git`);
  const fetched = await fetchFrom({
    repository,
    open,
    refPrefixes: ["refs/heads/"],
    want: (refs) => [...refs.values()],
    limits: LIMITS,
  });
  if (!fetched.ok) throw fetched.error;
  const tip = fetched.value.refs.get(MAIN);
  if (tip === undefined) throw new Error("no main");
  const zone = textOf(await readPath(repository, tip, "zones/example.test") ?? new Uint8Array());
  const person = { name: "Browser", email: "browser@example.test", when: 1_700_000_500, zone: "+0000" };
  const made = await commitOn(repository, {
    base: tip,
    changes: new Map([["zones/example.test", utf8(`${zone}added IN A 192.0.2.77\n`)]]),
    author: person,
    message: "from a browser\n",
  });
  if (made.kind !== "committed") throw new Error("nothing changed");
  const outcome = await publish(
    { repository, open, ref: MAIN, base: tip, commit: made.commit, limits: LIMITS },
    portableTools,
  );
  return {
    objects: fetched.value.received?.objects,
    files: (await listFiles(repository, tip)).map(({ path }) => path),
    message: (await commitInfo(repository, tip)).message,
    zone,
    outcome: outcome.kind,
    made: made.commit,
  };
}

const said = await visit().catch((error) => ({ error: `${error?.stack ?? error}` }));
// The page is not loaded before the picture on it is, and that comes when this was said.
await fetch("/said", { method: "POST", body: JSON.stringify(said) });
