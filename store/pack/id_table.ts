/**
 * Numbers by ids of 20 bytes, in flat arrays. The hash is seeded, so that ids chosen by a peer do not fall into one
 * place.
 */
export interface IdTable {
  /** The number of an id; `undefined` where it is not there. */
  find(bytes: Uint8Array, at: number): number | undefined;
}

/** Of the `count` ids in `ids`, one after the other: each id has the number of the first of its kind. */
export function idTable(ids: Uint8Array, count: number): IdTable {
  let size = 16;
  while (size < count * 2) size *= 2;
  const mask = size - 1;
  // One more than the number, or 0. At most half full.
  const places = new Uint32Array(size);
  const seed = crypto.getRandomValues(new Uint32Array(3));

  const placeOf = (bytes: Uint8Array, at: number): number => {
    let place = hash(bytes, at, seed) & mask;
    for (;;) {
      const number = places[place] as number;
      if (number === 0 || same(ids, (number - 1) * 20, bytes, at)) return place;
      place = (place + 1) & mask;
    }
  };
  for (let number = 0; number < count; number++) {
    const place = placeOf(ids, number * 20);
    if (places[place] === 0) places[place] = number + 1;
  }
  return {
    find(bytes, at) {
      const number = places[placeOf(bytes, at)] as number;
      return number === 0 ? undefined : number - 1;
    },
  };
}

function hash(bytes: Uint8Array, at: number, seed: Uint32Array): number {
  const mixed = Math.imul(word(bytes, at) ^ (seed[0] as number), 0x9e3779b1) ^
    Math.imul(word(bytes, at + 8) ^ (seed[1] as number), 0x85ebca6b) ^
    Math.imul(word(bytes, at + 16) ^ (seed[2] as number), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 15)) >>> 0;
}

function word(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 24) | ((bytes[at + 1] as number) << 16) |
    ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number);
}

function same(a: Uint8Array, aAt: number, b: Uint8Array, bAt: number): boolean {
  for (let i = 0; i < 20; i++) if (a[aAt + i] !== b[bAt + i]) return false;
  return true;
}
