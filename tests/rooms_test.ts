/** The table of rooms in DESIGN: who may import whom, and that a room is entered by its door alone. */
import { deepEqual, ok } from "node:assert/strict";

const MAY_IMPORT: ReadonlyMap<string, readonly string[]> = new Map([
  ["main.ts", ["cli"]],
  ["cli", ["conduit", "store", "dns", "primary", "acme", "web"]],
  ["conduit", []],
  ["store", ["conduit"]],
  ["dns", ["conduit"]],
  ["primary", ["conduit", "store", "dns"]],
  ["acme", ["conduit", "dns"]],
  ["web", ["dns", "store", "acme", "primary"]],
]);

/** Loadable in a browser: no Deno or Node interface, only language, web platform and portable packages. */
const PORTABLE = [
  "dns/name.ts",
  "dns/rr/",
  "dns/message/",
  "dns/zonefile/",
  "store/object/",
  "store/pack/",
  "store/tree/",
  "store/protocol/",
  "store/sha1/",
  "store/face/",
  "store/zlib/pako.ts",
  "store/portable.ts",
];

const ROOT = new URL("..", import.meta.url);

Deno.test("every room imports only the rooms that its row allows, and those by their door", async () => {
  const faults: string[] = [];
  let imports = 0;
  for (const [room, allowed] of MAY_IMPORT) {
    for await (const file of sources(room)) {
      for (const specifier of await importsOf(file)) {
        if (!specifier.startsWith(".")) continue;
        imports++;
        const target = new URL(specifier, new URL(file, ROOT)).href.slice(ROOT.href.length);
        const targetRoom = target.split("/")[0];
        if (targetRoom === room) continue;
        if (!allowed.includes(targetRoom)) {
          faults.push(`${file} imports ${target}: ${room} may not import ${targetRoom}`);
        } else if (target !== `${targetRoom}/mod.ts`) {
          faults.push(`${file} imports ${target}: past the door of ${targetRoom}`);
        }
      }
    }
  }
  ok(imports > 0, "no import was seen: the scan itself is broken");
  deepEqual(faults, []);
});

Deno.test("codecs, parsers and protocol machines use no interface of Deno or Node", async () => {
  const faults: string[] = [];
  for (const room of ["dns", "store"]) {
    for await (const file of sources(room)) {
      if (!PORTABLE.some((prefix) => file.startsWith(prefix))) continue;
      const text = await Deno.readTextFile(new URL(file, ROOT));
      const code = text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/\/\/.*$/gm, "");
      if (/\bDeno\.|from "node:|import\("node:/.test(code)) faults.push(file);
    }
  }
  deepEqual(faults, []);
});

Deno.test("packs know nothing of git: store/pack/ imports itself, zlib and the store's errors alone", async () => {
  const faults: string[] = [];
  let imports = 0;
  for await (const file of sources("store/pack")) {
    for (const specifier of await importsOf(file)) {
      imports++;
      const target = new URL(specifier, new URL(file, ROOT)).href.slice(ROOT.href.length);
      if (/^store\/(pack|zlib)\/[a-z0-9_]+\.ts$/.test(target) || target === "store/error.ts") continue;
      faults.push(`${file} imports ${specifier}`);
    }
  }
  ok(imports > 0, "no import was seen: the scan itself is broken");
  deepEqual(faults, []);
});

async function* sources(entry: string): AsyncGenerator<string> {
  if (entry.endsWith(".ts")) return yield entry;
  for await (const item of Deno.readDir(new URL(`${entry}/`, ROOT))) {
    const path = `${entry}/${item.name}`;
    if (item.isDirectory) yield* sources(path);
    else if (item.name.endsWith(".ts")) yield path;
  }
}

async function importsOf(file: string): Promise<string[]> {
  const text = await Deno.readTextFile(new URL(file, ROOT));
  return [...text.matchAll(/(?:from|import|import\()\s*"([^"]+)"/g)].map((match) => match[1]);
}
