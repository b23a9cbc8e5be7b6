const UNITS = new Map([["ms", 1], ["s", 1000], ["m", 60_000], ["h", 3_600_000], ["d", 86_400_000]]);

/** Milliseconds of `500ms`, `30s`, `5m`, `1h`, `1d`; a bare number counts seconds; `undefined` for anything else. */
export function parseDuration(text: string): number | undefined {
  const match = /^(\d{1,9})(ms|s|m|h|d)?$/.exec(text);
  if (match === null) return undefined;
  return Number(match[1]) * (UNITS.get(match[2] ?? "s") ?? 1000);
}
