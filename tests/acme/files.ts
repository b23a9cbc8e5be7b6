/** A folder in memory, for the puller. */
import type { PullerFiles } from "../../acme/mod.ts";

export interface MemoryFiles extends PullerFiles {
  text(name: string): string;
  mode(name: string): number;
}

export function memoryFiles(): MemoryFiles {
  const files = new Map<string, { content: string; mode: number }>();
  return {
    read: (name) => Promise.resolve(files.get(name)?.content),
    writeNew(name, content, mode) {
      if (files.has(name)) return Promise.resolve(false);
      files.set(name, { content, mode });
      return Promise.resolve(true);
    },
    replace(name, content, mode) {
      files.set(name, { content, mode });
      return Promise.resolve();
    },
    text: (name) => files.get(name)?.content ?? "",
    mode: (name) => files.get(name)?.mode ?? 0,
  };
}
