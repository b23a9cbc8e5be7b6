import { StoreError } from "../error.ts";
import { concatBytes, latin1, utf8 } from "../object/bytes.ts";

/** Reads the data types of RFC 4251 §5 from bytes of unknown origin. */
export interface WireReader {
  /** @throws {StoreError} `malformed` where the bytes end too early; so do the others */
  take(count: number): Uint8Array;
  byte(): number;
  uint32(): number;
  string(): Uint8Array;
  /** A string of ASCII. */
  text(): string;
  /** A number that is not negative, without leading zeros. */
  number(): Uint8Array;
  /** @throws {StoreError} `malformed` where bytes are left */
  end(): void;
}

export function wireReader(bytes: Uint8Array): WireReader {
  let at = 0;
  const take = (count: number) => {
    if (count > bytes.length - at) throw new StoreError("malformed", "it is cut short");
    at += count;
    return bytes.subarray(at - count, at);
  };
  const uint32 = () => {
    const [a = 0, b = 0, c = 0, d = 0] = take(4);
    return ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
  };
  const string = () => take(uint32());
  return {
    take,
    byte: () => take(1)[0] ?? 0,
    uint32,
    string,
    text: () => latin1(string()),
    number() {
      const digits = string();
      if (((digits[0] ?? 0) & 0x80) !== 0) throw new StoreError("malformed", "it holds a negative number");
      const first = digits.findIndex((digit) => digit !== 0);
      return first < 0 ? new Uint8Array() : digits.subarray(first);
    },
    end() {
      if (at < bytes.length) throw new StoreError("malformed", "bytes are left at its end");
    },
  };
}

/** A string of RFC 4251 §5. */
export function wireString(content: string | Uint8Array): Uint8Array {
  const bytes = typeof content === "string" ? utf8(content) : content;
  return concatBytes([wireUint32(bytes.length), bytes]);
}

export function wireUint32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}
