import { serialGreater, serialNext } from "../../dns/mod.ts";

/**
 * The serial a zone is served under. It rises exactly when what is served changes, and never falls: the file's
 * serial is a floor, not the truth, because people forget it and roll it back (RFC 1982 throughout).
 *
 * @param input.previous the serial served last under this name, `undefined` for a zone never served
 * @param input.file the serial in the SOA of the zone file
 * @param input.changed whether anything served, the SOA's serial aside, differs from what was served last
 */
export function servedSerial(
  input: { previous: number | undefined; file: number; changed: boolean },
): number {
  const { previous, file, changed } = input;
  if (previous === undefined) return file;
  if (!changed) return previous;
  return serialGreater(file, previous) ? file : serialNext(previous);
}
