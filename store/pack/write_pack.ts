/**
 * A pack out of what is stored. Hot when a fetch is served: an object that a pack holds goes out with the bytes it lies
 * there with, a delta too where its base goes out with it; only the rest is read, and deflated anew.
 * Benchmark: tests/bench/transfer_bench.ts.
 */
import { StoreError } from "../error.ts";
import type { NewSha1, PackedEntry, PackObject, Pause } from "./types.ts";
import { concatBytes } from "../zlib/bytes.ts";
import { idToBytes } from "./id.ts";
import type { Zlib } from "../zlib/zlib.ts";
import { packHeader } from "./encode.ts";
import { encodeDeltaHeader, encodeEntryHeader } from "./entry.ts";

export interface PackSource<Id extends string = string> {
  read(oid: Id): Promise<PackObject | undefined>;
  /** As a pack holds it; `undefined` where none does. */
  storedEntry?(oid: Id): PackedEntry<Id> | undefined;
}

export interface WritePackOptions {
  readonly zlib: Zlib;
  readonly newSha1: NewSha1;
  /** Whether deltas may name their base by its place in the pack (`ofs-delta`) and not only by its id. */
  readonly offsetDeltas: boolean;
  readonly pause?: Pause | undefined;
}

/**
 * The pack of these objects, each once, chunk by chunk as it is taken; memory holds an object and a few bytes for each id.
 * In their order, but a base stands before the deltas on it.
 * @throws {StoreError} `missing`, `corrupt`
 */
export async function* writePack<Id extends string>(
  oids: readonly Id[],
  source: PackSource<Id>,
  options: WritePackOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { zlib } = options;
  const sha1 = options.newSha1();
  const numbers = new Map<Id, number>();
  for (const oid of oids) numbers.set(oid, numbers.size);
  if (numbers.size !== oids.length) throw new StoreError("malformed", "a pack with an object twice");
  // By number; 0 stands for not written yet, since nothing starts there.
  const offsets = new Float64Array(oids.length);
  const depths = new Uint8Array(oids.length);
  let offset = 0;
  let last: { readonly number: number; readonly entry: PackedEntry<Id> | undefined } | undefined;
  // Gathered, since what is done for each chunk costs more than the few bytes of most entries.
  let gathered: Uint8Array[] = [];
  let sent = 0;
  const put = (part: Uint8Array) => {
    gathered.push(part);
    offset += part.length;
  };
  const takeChunk = () => {
    const chunk = concatBytes(gathered);
    gathered = [];
    sent = offset;
    sha1.update(chunk);
    return chunk;
  };

  put(packHeader(oids.length));
  for (let number = 0; number < oids.length; number++) {
    await options.pause?.();
    for (const next of withBases(number)) {
      const { header, deflated } = reused(next) ?? await made(next);
      offsets[next] = offset;
      put(header);
      put(deflated);
      if (offset - sent >= chunkBytes) yield takeChunk();
    }
  }
  yield takeChunk();
  yield sha1.digest();

  /** What has to be written for this one, bases first. A circle (deltas of two packs on one another) is cut open. */
  function withBases(number: number): number[] {
    const chain: number[] = [];
    let at: number | undefined = number;
    while (at !== undefined && offsets[at] === 0 && chain.length < deepestChain && !chain.includes(at)) {
      chain.push(at);
      const entry = stored(at);
      at = entry?.kind === "delta" ? numbers.get(entry.base) : undefined;
    }
    return chain.reverse();
  }

  /** The object as it is stored, where it can go out like that: whole, or with its base before it. */
  function reused(number: number): { header: Uint8Array; deflated: Uint8Array } | undefined {
    const entry = stored(number);
    if (entry === undefined) return undefined;
    const { size, deflated } = entry;
    if (entry.kind !== "delta") return { header: encodeEntryHeader(entry.kind, size), deflated };
    const base = numbers.get(entry.base);
    if (base === undefined) return undefined;
    const baseAt = offsets[base] ?? 0;
    const depth = (depths[base] ?? 0) + 1;
    if (baseAt === 0 || depth > deepestChain) return undefined;
    depths[number] = depth;
    const named = options.offsetDeltas ? offset - baseAt : idToBytes(entry.base);
    return { header: encodeDeltaHeader(size, named), deflated };
  }

  /** Asked twice for the same one when its bases were looked for just before. */
  function stored(number: number): PackedEntry<Id> | undefined {
    if (last?.number !== number) last = { number, entry: source.storedEntry?.(oidOf(number)) };
    return last.entry;
  }

  async function made(number: number): Promise<{ header: Uint8Array; deflated: Uint8Array }> {
    const oid = oidOf(number);
    const object = await source.read(oid);
    if (object === undefined) throw new StoreError("missing", `object ${oid} is not there`);
    const { kind, content } = object;
    return { header: encodeEntryHeader(kind, content.length), deflated: zlib.deflate(content) };
  }

  function oidOf(number: number): Id {
    return oids[number] as Id;
  }
}

const chunkBytes = 65536;

/** Chains of stored packs may meet in the new one; git makes none longer than this by default (`pack.depth`). */
const deepestChain = 50;
