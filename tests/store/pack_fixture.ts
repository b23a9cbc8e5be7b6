import { run } from "../tools/real.ts";
import { gitBytes } from "./git_fixture.ts";

/** Chunks of one size (the last may be smaller). */
export function* inChunks(bytes: Uint8Array, size: number): Iterable<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.slice(at, at + size);
}

export async function* async<T>(items: Iterable<T>): AsyncIterable<T> {
  yield* items;
}

/** Numbers that look random and are the same in every run (a linear congruential generator). */
export function generator(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** A repository of zone files with a history, made by `git fast-import`. */
export async function makeHistory(
  path: string,
  shape: {
    readonly files: number;
    readonly commits: number;
    readonly changes: number;
    readonly lines: number;
  },
): Promise<void> {
  await run("git", ["init", "-q", "--bare", "-b", "main", path]);
  const random = generator(1);
  const zones = Array.from({ length: shape.files }, (_, i) => {
    const lines = [`$ORIGIN zone${i}.test.`, "@ 3600 IN SOA ns1 hostmaster 1 3600 900 1209600 300"];
    while (lines.length < shape.lines) {
      lines.push(`host${random(100000)} 300 IN A 192.0.${random(256)}.${random(256)}`);
    }
    return lines;
  });
  let when = 1_700_000_000;
  const script: string[] = [];
  const write = (index: number) => {
    const text = `${(zones[index] ?? []).join("\n")}\n`;
    script.push(`M 100644 inline zones/${index % 16}/zone${index}.test.zone\ndata ${text.length}\n${text}\n`);
  };
  for (let commit = 0; commit < shape.commits; commit++) {
    const message = `change ${commit}\n`;
    script.push(`commit refs/heads/main\ncommitter Test <test@example.test> ${when += 60} +0000\n`);
    script.push(`data ${message.length}\n${message}`);
    if (commit === 0) { for (let i = 0; i < shape.files; i++) write(i); }
    for (let change = 0; change < shape.changes && commit > 0; change++) {
      const index = random(shape.files);
      const zone = zones[index] ?? [];
      zone[2 + random(zone.length - 2)] = `new${random(1000000)} 300 IN TXT "${random(2 ** 31)}"`;
      if (random(4) === 0) zone.push(`more${random(1000000)} 300 IN A 198.51.${random(256)}.${random(256)}`);
      write(index);
    }
    script.push("\n");
  }
  await gitBytes(
    path,
    ["fast-import", "--quiet", "--date-format=raw"],
    new TextEncoder().encode(script.join("")),
  );
}
