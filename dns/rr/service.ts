/** Types that lead to a service: SRV (RFC 2782), NAPTR (RFC 3403), KX (RFC 2230), URI (RFC 7553). */
import type { Descriptor } from "./descriptor.ts";
import { characterString, domainName, EXPANDED, LOWERED, textRest, uint } from "./fields.ts";

export const SRV: Descriptor = {
  fields: [
    uint(2, "the priority"),
    uint(2, "the weight"),
    uint(2, "the port"),
    domainName("the target", EXPANDED),
  ],
};

export const NAPTR: Descriptor = {
  fields: [
    uint(2, "the order"),
    uint(2, "the preference"),
    characterString("the flags"),
    characterString("the services"),
    characterString("the regular expression"),
    domainName("the replacement", EXPANDED),
  ],
};

export const KX: Descriptor = { fields: [uint(2, "the preference"), domainName("the exchanger", LOWERED)] };

/** RFC 7553 §4.4: the target is at least one octet long. */
export const URI: Descriptor = {
  fields: [uint(2, "the priority"), uint(2, "the weight"), textRest("the target", 1)],
};
