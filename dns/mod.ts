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
