/** dns: names, records, messages, zone files, zones, the image, answers, servers. The room's only door. */
export type {
  Edns,
  EdnsOption,
  Fault,
  Message,
  Name,
  Position,
  Prerequisite,
  Question,
  ResourceRecord,
  RRset,
  TsigAlgorithm,
  TsigKey,
  UpdateOperation,
  ZoneView,
} from "./types.ts";

// names and record types
export {
  compareNames,
  firstLabel,
  isAtOrBelow,
  isBelow,
  joinName,
  labelsOf,
  nameFrom,
  nameFromWire,
  nameOctets,
  nameToWire,
  parentName,
  parseName,
  relativeTo,
  ROOT,
  writeName,
} from "./name.ts";
export type { NameError, NameErrorCode } from "./name.ts";
export { CLASS, classFromName, className, RRTYPE, typeFromName, typeName } from "./rr/types.ts";
