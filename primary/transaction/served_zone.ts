import type { Fault, Name, RRset, Zone } from "../../dns/mod.ts";
import type { Oid } from "../../store/mod.ts";
import type { Contents } from "../layers/contents.ts";
import type { HeldBack, People } from "../layers/merge.ts";

/** A zone as it is served, or as a change proposes to serve it. Never altered: a change makes a new one. */
export interface ServedZone {
  readonly origin: Name;
  /** What was read last for the zone on `main`, good or not; the same again is not parsed again. */
  readonly source: ZoneSource;
  /** Why what was read last is not served; empty where it is. */
  readonly faults: readonly Fault[];
  /** People's layer as served; `undefined` for a zone that was never good, which answers SERVFAIL. */
  readonly good: GoodLayer | undefined;
  readonly machine: Contents;
  readonly dnames: ReadonlySet<Name>;
  readonly heldBack: readonly HeldBack[];
  /**
   * What is answered from: a version of people's zone with the machine's names laid over it and the serial served, or the
   * placeholder of a zone that was never good.
   */
  readonly served: Zone;
  /** The serial served; 0 for a zone that was never good. */
  readonly serial: number;
}

/** The files a zone was read from, included ones too, with what they held (`undefined`: not there). */
export interface ZoneSource {
  readonly file: string;
  readonly inputs: ReadonlyMap<string, Oid | undefined>;
}

export interface GoodLayer extends People {
  readonly file: string;
  /** The commit it comes from, where that is no longer the one served for `main`. */
  readonly heldAt: Oid | undefined;
  readonly zone: Zone;
  /** As the file has it. */
  readonly soa: RRset;
}

/** The same zone under another serial. */
export function withServedSerial(zone: ServedZone, serial: number): ServedZone {
  return { ...zone, serial, served: numbered(zone.served, serial) };
}

export function numbered(zone: Zone, serial: number): Zone {
  return zone.serial === serial ? zone : zone.withSerial(serial);
}

/** Versions of one zone that share their cells have the same. */
export function memoryOf(zone: Zone): ArrayBufferLike {
  return zone.image.bytes.buffer;
}
