/**
 * Images as messages between threads. Deno's `receiveMessageOnPort` walks through every element of a typed array that it
 * receives, which for a zone of 200,000 records stops a worker for seconds; it passes shared memory as such. So each array
 * over shared memory is sent as where it lies, each piece of shared memory once, and everything else as it is. That holds
 * for any image, whatever its fields.
 */
export interface PackedImage {
  readonly id: number;
  readonly content: unknown;
}

/** Shared memory and the number by which images refer to it. */
export interface SharedPiece {
  readonly number: number;
  readonly memory: SharedArrayBuffer;
}

/** Images and the pieces they need that are not known to the other side yet. */
export interface ImageParcel {
  readonly images: readonly PackedImage[];
  readonly pieces: readonly SharedPiece[];
}

export interface ImagePacker<Image> {
  /** What is new with these images, and the numbers of pieces that none of them needs any more, with their octets in all. */
  change(images: readonly Image[]): ImageParcel & {
    readonly dropped: readonly number[];
    readonly droppedOctets: number;
  };
  /** The images of the last change, for who knows nothing. */
  everything(): ImageParcel;
}

/** Keeps account of what lies on the other side. */
export function createImagePacker<Image extends { readonly id: number }>(
  first: readonly Image[],
): ImagePacker<Image> {
  const images = new Map<number, { packed: PackedImage; pieces: readonly SharedPiece[] }>();
  const numbers = new Map<SharedArrayBuffer, { piece: SharedPiece; users: number }>();
  let lastNumber = 0;
  const packer: ImagePacker<Image> = {
    change(next) {
      const added: PackedImage[] = [];
      const pieces: SharedPiece[] = [];
      const dropped: number[] = [];
      let droppedOctets = 0;
      const kept = new Set<number>();
      for (const image of next) {
        kept.add(image.id);
        if (images.has(image.id)) continue;
        const used = new Set<SharedPiece>();
        const numberOf = (memory: SharedArrayBuffer): number => {
          let entry = numbers.get(memory);
          if (entry === undefined) {
            entry = { piece: { number: ++lastNumber, memory }, users: 0 };
            numbers.set(memory, entry);
            pieces.push(entry.piece);
          }
          if (!used.has(entry.piece)) entry.users++;
          used.add(entry.piece);
          return entry.piece.number;
        };
        const packed = { id: image.id, content: pack(image, numberOf) };
        images.set(image.id, { packed, pieces: [...used] });
        added.push(packed);
      }
      for (const [id, image] of images) {
        if (kept.has(id)) continue;
        images.delete(id);
        for (const piece of image.pieces) {
          const entry = numbers.get(piece.memory);
          if (entry === undefined || --entry.users > 0) continue;
          numbers.delete(piece.memory);
          dropped.push(piece.number);
          droppedOctets += piece.memory.byteLength;
        }
      }
      return { images: added, pieces, dropped, droppedOctets };
    },
    everything: () => ({
      images: Array.from(images.values(), ({ packed }) => packed),
      pieces: Array.from(numbers.values(), ({ piece }) => piece),
    }),
  };
  packer.change(first);
  return packer;
}

export interface ImageUnpacker<Image> {
  /** The images of a parcel. Pieces that are dropped live on in images that still have them. */
  unpack(parcel: ImageParcel & { readonly dropped: readonly number[] }): Image[];
}

export function createImageUnpacker<Image>(): ImageUnpacker<Image> {
  const pieces = new Map<number, SharedArrayBuffer>();
  return {
    unpack(parcel) {
      for (const { number, memory } of parcel.pieces) pieces.set(number, memory);
      const images = parcel.images.map(({ content }) => unpack(content, pieces) as Image);
      for (const number of parcel.dropped) pieces.delete(number);
      return images;
    },
  };
}

/** What no field of an image is called. */
const SECTION = "shared section";

/** An array over shared memory, as it travels. */
interface PackedArray {
  readonly [SECTION]: number;
  readonly kind: ArrayKind;
  readonly from: number;
  readonly length: number;
}

function pack(value: unknown, numberOf: (memory: SharedArrayBuffer) => number): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (ArrayBuffer.isView(value)) {
    if (!(value.buffer instanceof SharedArrayBuffer)) return value;
    const kind = ARRAY_KINDS.find((kind) => value instanceof ARRAYS[kind]);
    if (kind === undefined) throw new TypeError("an image has an array of a kind that is not packed");
    const length = value.byteLength / (ARRAYS[kind].BYTES_PER_ELEMENT ?? 1);
    return { [SECTION]: numberOf(value.buffer), kind, from: value.byteOffset, length } satisfies PackedArray;
  }
  if (Array.isArray(value)) return value.map((element) => pack(element, numberOf));
  return Object.fromEntries(Object.entries(value).map(([key, field]) => [key, pack(field, numberOf)]));
}

function unpack(value: unknown, pieces: ReadonlyMap<number, SharedArrayBuffer>): unknown {
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return value;
  if (Array.isArray(value)) return value.map((element) => unpack(element, pieces));
  if (SECTION in value) {
    const { [SECTION]: number, kind, from, length } = value as PackedArray;
    const memory = pieces.get(number);
    if (memory === undefined) throw new Error(`an image refers to memory ${number}, which never came`);
    return new ARRAYS[kind](memory, from, length);
  }
  return Object.fromEntries(Object.entries(value).map(([key, field]) => [key, unpack(field, pieces)]));
}

type ArrayKind = "DataView" | "Uint8Array" | "Int32Array" | "Uint32Array" | "Uint16Array" | "Float64Array";

const ARRAYS: Readonly<Record<ArrayKind, SharedArray>> = {
  DataView,
  Uint8Array,
  Int32Array,
  Uint32Array,
  Uint16Array,
  Float64Array,
};
const ARRAY_KINDS = [
  "DataView",
  "Uint8Array",
  "Int32Array",
  "Uint32Array",
  "Uint16Array",
  "Float64Array",
] as const;

interface SharedArray {
  new (memory: ArrayBufferLike, from: number, length: number): ArrayBufferView;
  /** A `DataView` has none, and counts octets. */
  readonly BYTES_PER_ELEMENT?: number;
}
