import { CLASS, type ResourceRecord, type RRset } from "../../dns/mod.ts";

/** The records of an RRset, one each. */
export function recordsOf(set: RRset): ResourceRecord[] {
  const { owner, type, ttl } = set;
  return set.rdatas.map((rdata) => ({ owner, type, class: CLASS.IN, ttl, rdata }));
}
