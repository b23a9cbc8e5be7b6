/** The types of RFC 1035 and those shaped like them. */
import type { Descriptor } from "./descriptor.ts";
import {
  characterString,
  characterStrings,
  domainName,
  duration,
  EXPANDED,
  LOWERED,
  uint,
  WELL_KNOWN,
} from "./fields.ts";

function oneName(what: string): Descriptor {
  return { fields: [domainName(what, WELL_KNOWN)] };
}

/** RFC 1035 §3.3.11 */
export const NS: Descriptor = oneName("the name server");
/** RFC 1035 §3.3.1 */
export const CNAME: Descriptor = oneName("the canonical name");
/** RFC 1035 §3.3.12 */
export const PTR: Descriptor = oneName("the target");
/** RFC 1035 §3.3.3 to §3.3.8: MB, MD, MF, MG, MR */
export const MAILBOX_NAME: Descriptor = oneName("the name");

/** RFC 1035 §3.3.13 */
export const SOA: Descriptor = {
  fields: [
    domainName("the primary server (MNAME)", WELL_KNOWN),
    domainName("the mailbox (RNAME)", WELL_KNOWN),
    uint(4, "the serial"),
    duration("the refresh time"),
    duration("the retry time"),
    duration("the expire time"),
    duration("the negative TTL (MINIMUM)"),
  ],
};

/** RFC 1035 §3.3.9 */
export const MX: Descriptor = {
  fields: [uint(2, "the preference"), domainName("the mail server", WELL_KNOWN)],
};

/** RFC 1035 §3.3.7 */
export const MINFO: Descriptor = {
  fields: [
    domainName("the responsible mailbox", WELL_KNOWN),
    domainName("the error mailbox", WELL_KNOWN),
  ],
};

/** RFC 1035 §3.3.14 */
export const TXT: Descriptor = { fields: [characterStrings("the text")] };

/** RFC 1035 §3.3.2 */
export const HINFO: Descriptor = { fields: [characterString("the CPU"), characterString("the system")] };

/** RFC 6672: never compressed when sent */
export const DNAME: Descriptor = { fields: [domainName("the target", LOWERED)] };

/** RFC 1183 §2.2 */
export const RP: Descriptor = {
  fields: [domainName("the mailbox", EXPANDED), domainName("the name of the TXT record", EXPANDED)],
};

/** RFC 1183 §1; RT (§3.3) has the same shape */
export const AFSDB: Descriptor = {
  fields: [uint(2, "the subtype"), domainName("the host", EXPANDED)],
};

/** RFC 2163 §4 */
export const PX: Descriptor = {
  fields: [
    uint(2, "the preference"),
    domainName("the RFC 822 domain", EXPANDED),
    domainName("the X.400 domain", EXPANDED),
  ],
};
