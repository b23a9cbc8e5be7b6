/**
 * A pack out of what is stored. Hot when a fetch is served: an object that a pack holds goes out with the bytes it lies
 * there with, a delta too where its base goes out with it; only the rest is read, and deflated anew.
 * Benchmark: tests/bench/transfer_bench.ts.
 */
import { StoreError } from "../error.ts";
import type { FoundDeltas } from "./find_deltas.ts";
import type { NewSha1, PackedEntry, PackKind, PackObject, Pause } from "./types.ts";
import { concatBytes } from "../zlib/bytes.ts";
import { idToBytes } from "./id.ts";
import type { Zlib } from "../zlib/zlib.ts";
import { createDelta } from "./create_delta.ts";
import { packHeader } from "./encode.ts";
import { encodeDeltaHeader, encodeEntryHeader } from "./entry.ts";

export interface PackSource<Id extends string = string> {
  read(oid: Id): Promise<PackObject | undefined>;
  /** As a pack holds it; `undefined` where none does. */
  storedEntry?(oid: Id): PackedEntry<Id> | undefined;
}

export interface WritePackOptions<Id extends string = string> {
  readonly zlib: Zlib;
  readonly newSha1: NewSha1;
  /** Whether deltas may name their base by its place in the pack (`ofs-delta`) and not only by its id. */
  readonly offsetDeltas: boolean;
  /** What the receiver has already: a stored delta on such an object goes out alone, in a thin pack. Default: nothing. */
  readonly hasBase?: ((oid: Id) => boolean) | undefined;
  /** The longest chain of deltas. Default 50. */
  readonly depth?: number | undefined;
  /** Deltas to write besides those that are stored; see `findDeltas`. */
  readonly deltas?: FoundDeltas<Id> | undefined;
  readonly pause?: Pause | undefined;
}

/** The part of a pack that was written before, for one whose first entries come another way. */
export interface WrittenPart<Id extends string = string> {
  /** Where the next entry starts, in bytes from the start of the pack. */
  readonly end: number;
  /** Where an object's entry starts; `undefined` where it is not in that part. */
  offsetOf(oid: Id): number | undefined;
}

/**
 * The pack of these objects, each once, chunk by chunk as it is taken; memory holds an object and a few bytes for each id.
 * In their order, but a base stands before the deltas on it.
 * @throws {StoreError} `missing`, `corrupt`
 */
export async function* writePack<Id extends string>(
  oids: readonly Id[],
  source: PackSource<Id>,
  options: WritePackOptions<Id>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const sha1 = options.newSha1();
  const header = packHeader(oids.length);
  sha1.update(header);
  yield header;
  for await (
    const chunk of writeEntries(oids, source, { ...options, before: { end: 12, offsetOf: () => undefined } })
  ) {
    sha1.update(chunk);
    yield chunk;
  }
  yield sha1.digest();
}

/**
 * The entries alone, without what frames a pack, behind those that are there already.
 * @throws {StoreError} `missing`, `corrupt`
 */
export async function* writeEntries<Id extends string>(
  oids: readonly Id[],
  source: PackSource<Id>,
  options: Omit<WritePackOptions<Id>, "newSha1"> & { readonly before: WrittenPart<Id> },
): AsyncGenerator<Uint8Array, void, undefined> {
  const { zlib, before } = options;
  const deepest = Math.min(options.depth ?? 50, 65535);
  const numbers = new Map<Id, number>();
  for (const oid of oids) numbers.set(oid, numbers.size);
  if (numbers.size !== oids.length) throw new StoreError("malformed", "a pack with an object twice");
  // By number; 0 stands for not written yet, since nothing starts there.
  const offsets = new Float64Array(oids.length);
  const depths = new Uint16Array(oids.length);
  let offset = before.end;
  let last: { readonly number: number; readonly entry: Planned<Id> | undefined } | undefined;
  // Gathered, since what is done for each chunk costs more than the few bytes of most entries.
  let gathered: Uint8Array[] = [];
  let sent = offset;
  const put = (part: Uint8Array) => {
    gathered.push(part);
    offset += part.length;
  };
  const takeChunk = () => {
    const chunk = concatBytes(gathered);
    gathered = [];
    sent = offset;
    return chunk;
  };

  for (let number = 0; number < oids.length; number++) {
    await options.pause?.();
    for (const next of withBases(number)) {
      const { header, deflated } = await planned(next) ?? await made(next);
      offsets[next] = offset;
      put(header);
      put(deflated);
      if (offset - sent >= chunkBytes) yield takeChunk();
    }
  }
  if (offset > sent) yield takeChunk();

  /** What has to be written for this one, bases first. A circle (deltas of two packs on one another) is cut open. */
  function withBases(number: number): number[] {
    const chain: number[] = [];
    let at: number | undefined = number;
    while (at !== undefined && offsets[at] === 0 && chain.length <= deepest && !chain.includes(at)) {
      chain.push(at);
      const entry = stored(at);
      at = entry?.kind === "delta" ? numbers.get(entry.base) : undefined;
    }
    return chain.reverse();
  }

  /** The object as it is stored or was found to be written best, where it can go out like that. */
  async function planned(number: number): Promise<Written | undefined> {
    const entry = stored(number);
    if (entry === undefined) return undefined;
    if (entry.kind !== "delta") {
      return { header: encodeEntryHeader(entry.kind, entry.size), deflated: entry.deflated };
    }
    const base = numbers.get(entry.base);
    const baseAt = base === undefined ? before.offsetOf(entry.base) ?? 0 : offsets[base] ?? 0;
    const depth = (base === undefined ? 0 : depths[base] ?? 0) + 1;
    if (depth > deepest || (baseAt === 0 && options.hasBase?.(entry.base) !== true)) return undefined;
    const { size, deflated } = entry.deflated === undefined
      ? await madeAgain(number, entry.base)
      : { size: entry.size, deflated: entry.deflated };
    depths[number] = depth;
    const named = options.offsetDeltas && baseAt > 0 ? offset - baseAt : idToBytes(entry.base);
    return { header: encodeDeltaHeader(size, named), deflated };
  }

  /** A delta that was found, and not kept. */
  async function madeAgain(number: number, base: Id): Promise<{ size: number; deflated: Uint8Array }> {
    const from = await read(base);
    const delta = createDelta(from.content, (await read(oidOf(number))).content) as Uint8Array;
    return { size: delta.length, deflated: zlib.deflate(delta) };
  }

  /** Asked twice for the same one when its bases were looked for just before. */
  function stored(number: number): Planned<Id> | undefined {
    if (last?.number !== number) {
      const oid = oidOf(number);
      const found = options.deltas?.of(oid);
      const entry: Planned<Id> | undefined = found === undefined
        ? source.storedEntry?.(oid)
        : { kind: "delta", base: found.base, size: found.size, deflated: found.deflated };
      last = { number, entry };
    }
    return last.entry;
  }

  async function made(number: number): Promise<Written> {
    const { kind, content } = await read(oidOf(number));
    return { header: encodeEntryHeader(kind, content.length), deflated: zlib.deflate(content) };
  }

  async function read(oid: Id): Promise<PackObject> {
    const object = await source.read(oid);
    if (object === undefined) throw new StoreError("missing", `object ${oid} is not there`);
    return object;
  }

  function oidOf(number: number): Id {
    return oids[number] as Id;
  }
}

const chunkBytes = 65536;

interface Written {
  readonly header: Uint8Array;
  readonly deflated: Uint8Array;
}

/** As `PackedEntry`; a delta that was found and not kept has to be made again. */
type Planned<Id extends string> =
  | { readonly kind: PackKind; readonly size: number; readonly deflated: Uint8Array }
  | {
    readonly kind: "delta";
    readonly base: Id;
    readonly size: number;
    readonly deflated: Uint8Array | undefined;
  };
