import { deepEqual, ok } from "node:assert/strict";

const store = new URL("../../store/", import.meta.url);

Deno.test("the pack library imports itself, zlib and the store's error, nothing of git", async () => {
  const faults: string[] = [];
  let imports = 0;
  for (const folder of ["pack", "zlib"]) {
    for await (const { name } of Deno.readDir(new URL(`${folder}/`, store))) {
      const text = await Deno.readTextFile(new URL(`${folder}/${name}`, store));
      for (const [, from = ""] of text.matchAll(/\bfrom "([^"]+)"/g)) {
        imports++;
        const allowed = folder === "pack"
          ? /^\.\/[a-z0-9_]+\.ts$|^\.\.\/zlib\/(bytes|zlib)\.ts$|^\.\.\/error\.ts$/
          : /^\.\/[a-z0-9_]+\.ts$|^pako$|^node:/;
        if (!allowed.test(from)) faults.push(`${folder}/${name}: ${from}`);
      }
    }
  }
  ok(imports > 20);
  deepEqual(faults, []);
});
