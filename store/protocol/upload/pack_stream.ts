/**
 * The pack that is sent: what packs hold copied in stretches, the rest entry by entry, framed and summed. Hot when a clone
 * is served. Benchmark: tests/bench/clone_bench.ts.
 */
import type { NewSha1 } from "../../object/hash.ts";
import type { OidSet } from "../../object/oid_set.ts";
import { packHeader } from "../../pack/encode.ts";
import type { PackReader } from "../../pack/read_pack.ts";
import { type PackSource, writeEntries } from "../../pack/write_pack.ts";
import type { Oid, Pause } from "../../types.ts";
import type { Zlib } from "../../zlib/zlib.ts";
import { copyEntries } from "./copy_entries.ts";
import { thinDeltas } from "./thin_deltas.ts";

export interface PackStreamOptions {
  readonly zlib: Zlib;
  readonly newSha1: NewSha1;
  /** Whether the client reads deltas that name their base by its place. */
  readonly offsetDeltas: boolean;
  /** What the client has, where it takes deltas on such objects (`thin-pack`). */
  readonly hasBase?: ((oid: Oid) => boolean) | undefined;
  /** For some of what is wanted, by number: what the client has in its place, to make deltas on. */
  readonly predecessors?: ReadonlyMap<number, Oid> | undefined;
  readonly pause?: Pause | undefined;
}

export interface StreamSource extends PackSource<Oid> {
  /** Packs that are whole as far as is known. */
  packReaders?(): readonly PackReader<Oid>[];
  /** The file of reachability bitmaps beside one of them. */
  bitmapFile?(pack: PackReader<Oid>): Uint8Array | undefined;
}

/** A pack of the objects of the set, chunk by chunk as it is taken. @throws {StoreError} `missing`, `corrupt` */
export async function* packStream(
  wanted: OidSet,
  source: StreamSource,
  options: PackStreamOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  const sha1 = options.newSha1();
  const header = packHeader(wanted.size);
  sha1.update(header);
  yield header;
  const copied = { offsets: new Float64Array(wanted.size), end: header.length };
  for (const pack of options.offsetDeltas && wanted.size >= WORTHWHILE ? source.packReaders?.() ?? [] : []) {
    for await (const chunk of copyEntries(pack, { ...options, wanted, copied, pause: options.pause })) {
      sha1.update(chunk);
      yield chunk;
    }
  }
  const rest: Oid[] = [];
  for (let number = 0; number < wanted.size; number++) {
    if (copied.offsets[number] === 0) rest.push(wanted.oidAt(number));
  }
  const { zlib, offsetDeltas, hasBase, pause } = options;
  const before = {
    end: copied.end,
    offsetOf: (oid: Oid) => copied.offsets[wanted.numberOfOid(oid)] || undefined,
  };
  const deltas = hasBase === undefined ? undefined : await thinDeltas(wanted, source, {
    ...options,
    isSent: (number) => copied.offsets[number] !== 0,
  });
  const entries = { zlib, offsetDeltas, hasBase, deltas, pause, before };
  for await (const chunk of writeEntries<Oid>(rest, source, entries)) {
    sha1.update(chunk);
    yield chunk;
  }
  yield sha1.digest();
}

/** Copying goes over whole indexes: for a few objects they are found one by one. */
const WORTHWHILE = 500;
