/** LOC (RFC 1876): where something stands on the Earth. */
import type { Descriptor, Field, RdataInput } from "./descriptor.ts";

/** Version, size, two precisions, then latitude, longitude and altitude as 32-bit numbers (§2). */
const OCTETS = 16;
/** The equator and the prime meridian in thousandths of an arc second. */
const MIDDLE = 2 ** 31;
/** Centimetres below the reference spheroid where altitudes start. */
const ALTITUDE_BASE = 10_000_000;
const DEGREE = 3_600_000;

const location: Field = {
  read(input, out) {
    const latitude = readAngle(input, "the latitude", 90, "N", "S");
    const longitude = readAngle(input, "the longitude", 180, "E", "W");
    const token = input.take("the altitude");
    const altitude = metres(input, token);
    if (altitude === undefined || altitude < -ALTITUDE_BASE || altitude + ALTITUDE_BASE > 0xffff_ffff) {
      throw bad(input, token, "the altitude", "metres from -100000.00 to 42849672.95");
    }
    // §3: size 1 m, horizontal precision 10 km, vertical precision 10 m where they are left out.
    const size = readSize(input, "the size", 0x12);
    const horizontal = readSize(input, "the horizontal precision", 0x16);
    const vertical = readSize(input, "the vertical precision", 0x13);
    out.octet(0, token);
    out.octet(size, token);
    out.octet(horizontal, token);
    out.octet(vertical, token);
    out.uint32(latitude, token);
    out.uint32(longitude, token);
    out.uint32(altitude + ALTITUDE_BASE, token);
  },
  print(wire) {
    wire.octet();
    const sizes = [wire.octet(), wire.octet(), wire.octet()].map(printSize);
    const latitude = printAngle(wire.uint32(), "N", "S");
    const longitude = printAngle(wire.uint32(), "E", "W");
    const altitude = wire.uint32() - ALTITUDE_BASE;
    return `${latitude} ${longitude} ${printMetres(altitude)} ${sizes.join(" ")}`;
  },
  skip(bytes, at, end) {
    if (at + OCTETS > end || bytes[at] !== 0) return -1;
    for (let i = at + 1; i < at + 4; i++) if (bytes[i] >>> 4 > 9 || (bytes[i] & 15) > 9) return -1;
    const view = new DataView(bytes.buffer, bytes.byteOffset + at, OCTETS);
    if (Math.abs(view.getUint32(4) - MIDDLE) > 90 * DEGREE) return -1;
    if (Math.abs(view.getUint32(8) - MIDDLE) > 180 * DEGREE) return -1;
    return at + OCTETS;
  },
};

export const LOC: Descriptor = {
  fields: [location],
  // Nothing times a power of ten has no text of its own.
  lossless: (rdata) => [1, 2, 3].every((i) => rdata[i] >>> 4 !== 0 || (rdata[i] & 15) === 0),
};

/** Degrees, minutes, seconds with up to three decimals, the last two optional, and a direction. */
function readAngle(input: RdataInput, what: string, limit: number, plus: string, minus: string): number {
  const first = input.next;
  const parts: string[] = [];
  for (;;) {
    const token = input.take(what);
    const word = (input.word(token) ?? "").toUpperCase();
    if (word === plus || word === minus) {
      const milliseconds = angle(parts, limit);
      if (milliseconds === undefined) throw badAngle(input, first, what, limit, plus, minus);
      return word === plus ? MIDDLE + milliseconds : MIDDLE - milliseconds;
    }
    if (parts.length === 3 || word === "") throw badAngle(input, token, what, limit, plus, minus);
    parts.push(word);
  }
}

function angle(parts: readonly string[], limit: number): number | undefined {
  const [degrees, minutes = "0", seconds = "0"] = parts;
  if (degrees === undefined || !/^[0-9]{1,3}$/.test(degrees) || !/^[0-9]{1,2}$/.test(minutes)) {
    return undefined;
  }
  const split = /^([0-9]{1,2})(?:\.([0-9]{1,3}))?$/.exec(seconds);
  if (split === null || Number(minutes) > 59 || Number(split[1]) > 59) return undefined;
  const total = Number(degrees) * DEGREE + Number(minutes) * 60_000 + Number(split[1]) * 1000 +
    Number((split[2] ?? "").padEnd(3, "0"));
  return total > limit * DEGREE ? undefined : total;
}

/** Centimetres of a token in metres, `m` behind it optional. */
function metres(input: RdataInput, token: number): number | undefined {
  const split = /^(-?)([0-9]{1,8})(?:\.([0-9]{1,2}))?m?$/i.exec(input.word(token) ?? "");
  if (split === null) return undefined;
  const centimetres = Number(split[2]) * 100 + Number((split[3] ?? "").padEnd(2, "0"));
  return split[1] === "-" ? -centimetres : centimetres;
}

/** A length as one digit times a power of ten, in centimetres (§2). */
function readSize(input: RdataInput, what: string, whenAbsent: number): number {
  if (!input.more) return whenAbsent;
  const token = input.take(what);
  const centimetres = metres(input, token);
  if (centimetres === undefined || centimetres < 0 || centimetres > 9e9) {
    throw bad(input, token, what, "metres from 0.00 to 90000000.00");
  }
  let mantissa = centimetres;
  let exponent = 0;
  while (mantissa > 9) {
    mantissa = Math.floor(mantissa / 10);
    exponent++;
  }
  return mantissa << 4 | exponent;
}

function printSize(octet: number): string {
  return printMetres((octet >>> 4) * 10 ** (octet & 15));
}

function printMetres(centimetres: number): string {
  const size = Math.abs(centimetres);
  const sign = centimetres < 0 ? "-" : "";
  return `${sign}${Math.floor(size / 100)}.${String(size % 100).padStart(2, "0")}m`;
}

function printAngle(value: number, plus: string, minus: string): string {
  const size = Math.abs(value - MIDDLE);
  const degrees = Math.floor(size / DEGREE);
  const minutes = Math.floor(size / 60_000) % 60;
  const seconds = `${Math.floor(size / 1000) % 60}.${String(size % 1000).padStart(3, "0")}`;
  return `${degrees} ${minutes} ${seconds} ${value < MIDDLE ? minus : plus}`;
}

function bad(input: RdataInput, token: number, what: string, wanted: string) {
  return input.fault(
    "bad-location",
    token,
    `${what} "${input.tokens.text(token)}" is wrong; write ${wanted}`,
  );
}

function badAngle(
  input: RdataInput,
  token: number,
  what: string,
  limit: number,
  plus: string,
  minus: string,
) {
  return bad(
    input,
    token,
    what,
    `degrees up to ${limit}, minutes and seconds if one likes, and ${plus} or ${minus}`,
  );
}
