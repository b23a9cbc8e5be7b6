/** The smallest server round the answer path, for profiles: `bare_server.ts HOST:PORT WORKERS ORIGIN=FILE...`. */
import {
  createImageBoard,
  createZoneBuilder,
  nameFrom,
  parseZoneFile,
  startDnsServer,
  type Zone,
} from "../../../dns/mod.ts";

const [place, workers, ...files] = Deno.args;
const zones: Zone[] = [];
const started = performance.now();
for (const argument of files) {
  const [origin, path] = argument.split("=");
  const builder = createZoneBuilder(nameFrom(origin));
  const faults = parseZoneFile(
    { file: path, bytes: Deno.readFileSync(path), origin: nameFrom(origin) },
    (record) => {
      const error = builder.add(record);
      if (error !== undefined) throw new Error(error.message);
    },
  );
  if (faults.length > 0) throw new Error(`${path}: ${faults[0].message}`);
  const zone = builder.finish();
  if (!zone.ok) throw new Error(zone.error.message);
  zones.push(zone.value);
}
const loaded = performance.now() - started;
const colon = place.lastIndexOf(":");
const server = await startDnsServer({
  listen: [{ host: place.slice(0, colon), port: Number(place.slice(colon + 1)) }],
  workers: Number(workers),
  board: createImageBoard(zones),
  // Nothing but queries: no updates, no transfers.
  respond: () => Promise.resolve(undefined),
  tcp: { maxPerAddress: 20_000 },
  log: (line) => console.error(line),
});
if (!server.ok) throw new Error(server.error.message);
console.log(
  `ready ${server.value.addresses[0].port} ${server.value.mode} loaded in ${Math.round(loaded)} ms`,
);
Deno.addSignalListener("SIGTERM", async () => {
  await server.value.stop();
  console.error(JSON.stringify(server.value.counters()));
  Deno.exit(0);
});
