/** Zones that packets are thrown at: plain ones, signed ones, and ones with changes laid over them. */
import { createImageSet, type ImageSet, nameFrom, type OwnerRRsets, type Zone } from "../../dns/mod.ts";
import { allZones, questionNames, recordsOf, zoneOf } from "../dns/answer_zones.ts";

export interface World {
  readonly name: string;
  readonly zones: readonly Zone[];
  readonly images: ImageSet;
  /** Names to ask for. */
  readonly names: readonly string[];
}

export function worlds(): World[] {
  const plain = allZones();
  const signed = ["nsec", "nsec3", "opt-out"].map((kind) => {
    const text = Deno.readTextFileSync(new URL(`seeds/${kind}.zone`, import.meta.url));
    return zoneOf(`${kind}.test.`, text);
  });
  return [world("plain", plain), world("signed", signed), world("patched", plain.map(patched))];
}

function world(name: string, zones: readonly Zone[]): World {
  return {
    name,
    zones,
    images: createImageSet(zones.map((zone) => zone.image)),
    names: questionNames(zones),
  };
}

/** Three versions on: names taken out, put back, replaced, and new ones at all depths. */
function patched(zone: Zone): Zone {
  const owners = [...zone.owners()].filter((owner) => owner !== zone.origin);
  const third = owners.filter((_, index) => index % 3 === 0);
  const other = owners.filter((_, index) => index % 3 === 1);
  let version = changed(zone, third.map((owner) => ({ owner, rrsets: [] })));
  version = changed(version, third.slice(1).map((owner) => ({ owner, rrsets: zone.rrsets(owner) })));
  const extra = recordsOf(
    zone.origin,
    `$TTL 60\nnew A 192.0.2.99\na.b.c.new TXT "new"\n*.new.wild MX 1 new\n`,
  );
  return changed(version, [
    ...other.slice(0, 5).map((owner) => ({ owner, rrsets: zone.rrsets(owner).slice(0, 1) })),
    ...extra.map((record) => ({ owner: record.owner, rrsets: [{ ...record, rdatas: [record.rdata] }] })),
    { owner: nameFrom(zone.origin), rrsets: zone.rrsets(zone.origin) },
  ]);
}

function changed(zone: Zone, changes: readonly OwnerRRsets[]): Zone {
  const next = zone.patched(changes);
  if (!next.ok) throw new Error(next.error.message);
  return next.value;
}
