/**
 * The runtime's zlib. Hot when a pack is indexed or made: most entries are small, and a new inflater or deflater for each
 * costs more than its work, so one is kept and reset where the runtime lets us. Benchmarks: tests/bench/pack_bench.ts,
 * tests/bench/transfer_bench.ts.
 */
import type { Buffer } from "node:buffer";
import * as zlib from "node:zlib";
import { equalBytes } from "./bytes.ts";
import { crc32 } from "./crc32.ts";
import type { Inflated, Inflater, InflateStep, Zlib } from "./zlib.ts";

/** Up to this size objects are inflated into one scratch buffer; larger ones are few. */
const scratchBytes = 65536;

const keptInflate = keptInflater();
/** Where the runtime's inside is not as expected; elsewhere nobody pays for it. */
const pako = keptInflate === undefined ? await import("./pako.ts") : undefined;

/** The runtime's zlib. */
export const nodeZlib: Zlib = {
  inflate: keptInflate ?? inflateOnce,
  inflater: () => {
    const inflater = nodeInflater() ?? pako?.pakoInflater();
    if (inflater === undefined) throw new Error("zlib is not what it was when this file was loaded");
    return inflater;
  },
  crc32: nativeCrc32(),
  // Trying a deflater takes a while, and who only reads needs none.
  deflate: (content) => (deflate ??= keptDeflater() ?? deflateOnce)(content),
};

let deflate: Zlib["deflate"] | undefined;

/** With a deflater of its own for each content. */
export function deflateOnce(content: Uint8Array): Uint8Array {
  return new Uint8Array(zlib.deflateSync(content));
}

/** With an inflater of its own for each stream: the documented way, good for large objects. */
function inflateOnce(input: Uint8Array, maximum: number): Inflated {
  try {
    // The types know nothing of `info`, which adds the engine and with it the count of consumed bytes.
    const options: object = {
      info: true,
      maxOutputLength: maximum + 1,
      // One piece where it may be: several are joined by a copy, and stay behind as garbage as large as the object.
      chunkSize: Math.max(64, Math.min(maximum + 1, input.length * 6, 1 << 26)),
    };
    const outcome: unknown = zlib.inflateSync(input, options);
    const { buffer, engine } = outcome as { buffer: Buffer; engine: { bytesWritten: number } };
    if (buffer.length > maximum) return tooMuch(maximum);
    const output = new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length);
    return { state: "done", output, consumed: engine.bytesWritten };
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "Z_BUF_ERROR") return { state: "more" };
    if (code === "ERR_BUFFER_TOO_LARGE") return tooMuch(maximum);
    if (typeof code === "string" && code.startsWith("Z_")) {
      return { state: "bad", message: error instanceof Error ? error.message : code };
    }
    throw error;
  }
}

/** What Node's and Deno's streams have inside: not documented, so it is tried before it is relied on. */
interface Handle {
  reset(): void;
  writeSync(
    flush: number,
    input: Uint8Array,
    inputAt: number,
    inputLength: number,
    output: Uint8Array,
    outputAt: number,
    outputLength: number,
  ): void;
  onerror: (message: string, status: number) => void;
}

/** One inflater, reset between streams; `undefined` where the runtime's inside is not as expected. */
export function keptInflater(): Zlib["inflate"] | undefined {
  const kept = keptHandle(zlib.createInflate());
  if (kept === undefined) return undefined;
  const { handle, left } = kept;
  const scratch = new Uint8Array(scratchBytes);
  let failure: { readonly message: string; readonly status: number } | undefined;
  handle.onerror = (message, status) => {
    failure = { message, status };
  };

  const inflate = (input: Uint8Array, maximum: number): Inflated => {
    if (maximum >= scratchBytes) return inflateOnce(input, maximum);
    failure = undefined;
    handle.reset();
    handle.writeSync(zlib.constants.Z_FINISH, input, 0, input.length, scratch, 0, maximum + 1);
    const produced = maximum + 1 - (left[0] ?? 0);
    if (produced > maximum) return tooMuch(maximum);
    if (failure !== undefined) {
      const { message, status }: { message: string; status: number } = failure;
      return status === zlib.constants.Z_BUF_ERROR ? { state: "more" } : { state: "bad", message };
    }
    return { state: "done", output: scratch.slice(0, produced), consumed: input.length - (left[1] ?? 0) };
  };
  return behaves(inflate) ? inflate : undefined;
}

/** For streams in pieces; `undefined` as above. */
function nodeInflater(): Inflater | undefined {
  // Whether the inside is as expected was found out once, when this file was loaded.
  if (nodeZlib.inflate === inflateOnce) return undefined;
  const kept = keptHandle(zlib.createInflate());
  if (kept === undefined) return undefined;
  const { handle, left } = kept;
  let failure: { readonly message: string; readonly status: number } | undefined;
  handle.onerror = (message, status) => {
    failure = { message, status };
  };
  return {
    reset: () => handle.reset(),
    push(input, output): InflateStep {
      failure = undefined;
      // "Finish" makes it say when it wants more: then it reports an error from which it goes on as if there were none.
      handle.writeSync(zlib.constants.Z_FINISH, input, 0, input.length, output, 0, output.length);
      const [room = 0, rest = 0] = left;
      const failed = failure as { readonly message: string; readonly status: number } | undefined;
      if (failed !== undefined && failed.status !== zlib.constants.Z_BUF_ERROR) {
        return { state: "bad", message: failed.message };
      }
      const state = room === 0 ? "full" : failed === undefined ? "done" : "more";
      return { state, consumed: input.length - rest, produced: output.length - room };
    },
  };
}

/** One deflater, reset between contents; `undefined` as above. Large contents have one of their own. */
export function keptDeflater(): Zlib["deflate"] | undefined {
  const kept = keptHandle(zlib.createDeflate());
  if (kept === undefined) return undefined;
  const { handle, left } = kept;
  // Room for the stream that is longest for its content: stored blocks and what frames them.
  const scratch = new Uint8Array(scratchBytes + 1024);
  let failed = false;
  handle.onerror = () => {
    failed = true;
  };
  const deflate = (content: Uint8Array): Uint8Array => {
    if (content.length > scratchBytes) return deflateOnce(content);
    failed = false;
    handle.reset();
    handle.writeSync(zlib.constants.Z_FINISH, content, 0, content.length, scratch, 0, scratch.length);
    const [room = 0, rest = 0] = left;
    // No room left would be a stream without its end.
    return failed || rest > 0 || room === 0 ? deflateOnce(content) : scratch.slice(0, scratch.length - room);
  };
  return deflatesWell(deflate) ? deflate : undefined;
}

function deflatesWell(deflate: Zlib["deflate"]): boolean {
  const compressible = Uint8Array.from({ length: 300 }, (_, i) => (i * i) & 63);
  let noise = 1;
  const incompressible = Uint8Array.from(
    { length: scratchBytes },
    () => (noise = Math.imul(noise, 48271) >>> 0) >>> 11,
  );
  try {
    return [compressible, incompressible, new Uint8Array(), compressible].every((content) =>
      equalBytes(deflate(content), deflateOnce(content))
    );
  } catch (error) {
    if (error instanceof Error) return false;
    throw error;
  }
}

/** A stream's inside, and where it notes after a write: how much room is left in the output, how much input not taken. */
function keptHandle(stream: object): { readonly handle: Handle; readonly left: Uint32Array } | undefined {
  const handle: unknown = Reflect.get(stream, "_handle");
  const left: unknown = Reflect.get(stream, "_writeState");
  if (!isHandle(handle) || !(left instanceof Uint32Array) || left.length !== 2) return undefined;
  return { handle, left };
}

function isHandle(value: unknown): value is Handle {
  return typeof value === "object" && value !== null && "reset" in value &&
    typeof value.reset === "function" &&
    "writeSync" in value && typeof value.writeSync === "function" && "onerror" in value;
}

/** A whole stream, one cut short, one changed, one that gives more, and again a whole one. */
function behaves(inflate: Zlib["inflate"]): boolean {
  const content = Uint8Array.from({ length: 300 }, (_, i) => (i * i) & 63);
  const stream = new Uint8Array(zlib.deflateSync(content));
  const followed = new Uint8Array(stream.length + 9);
  followed.set(stream);
  const changed = stream.slice();
  changed[stream.length - 1] = (changed[stream.length - 1] ?? 0) ^ 1;
  const whole = () => {
    const done = inflate(followed, 300);
    return done.state === "done" && done.consumed === stream.length && done.output.length === 300 &&
      done.output.every((byte, i) => byte === content[i]);
  };
  try {
    return whole() && inflate(stream.subarray(0, 20), 300).state === "more" && whole() &&
      inflate(stream.subarray(0, stream.length - 1), 300).state === "more" &&
      inflate(changed, 300).state === "bad" && whole() && inflate(stream, 299).state === "bad" && whole() &&
      inflate(new Uint8Array(), 300).state === "more" && whole();
  } catch (error) {
    // Another inside than the one we know: the documented way does the work.
    if (error instanceof Error) return false;
    throw error;
  }
}

function tooMuch(maximum: number): Inflated {
  return { state: "bad", message: `more than ${maximum} bytes` };
}

/** The runtime has one, which its types do not know yet. */
function nativeCrc32(): Zlib["crc32"] {
  const native: unknown = Reflect.get(zlib, "crc32");
  return typeof native === "function" ? native as Zlib["crc32"] : crc32;
}
