import type { Oid } from "../types.ts";
import { OidSet } from "../object/oid_set.ts";

/**
 * The objects that were found present by those who write, while any push, fetch or collection is under way: they are
 * counted on, and so is all they refer to. A collection takes them for roots, up to the moment at which it removes.
 */
export interface Reliance {
  /** From now on, until the function it gives is called, what is found is noted. */
  begin(): () => void;
  note(oid: Oid): void;
  /** How many pushes, fetches and collections there are at the moment. */
  readonly underWay: number;
  /** How many were noted so far: more of them later means that there is something new. */
  readonly size: number;
  oids(): Iterable<Oid>;
}

export function newReliance(): Reliance {
  let noted = new OidSet();
  let underWay = 0;
  return {
    begin() {
      underWay++;
      let ended = false;
      return () => {
        if (ended) return;
        ended = true;
        if (--underWay === 0) noted = new OidSet();
      };
    },
    note(oid) {
      if (underWay > 0) noted.addOid(oid);
    },
    get underWay() {
      return underWay;
    },
    get size() {
      return noted.size;
    },
    oids: () => noted.oids(),
  };
}
