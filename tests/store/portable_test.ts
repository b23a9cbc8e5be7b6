import { deepEqual } from "node:assert/strict";

const store = new URL("../../store/", import.meta.url);

Deno.test("codecs, packs and trees use no API of Deno or Node, nor what does", async () => {
  const faults: string[] = [];
  for (const folder of ["object", "pack", "tree", "zlib"]) {
    for await (const { name } of Deno.readDir(new URL(`${folder}/`, store))) {
      if (folder === "zlib" && name === "node.ts") continue;
      const text = await Deno.readTextFile(new URL(`${folder}/${name}`, store));
      for (
        const pattern of [
          /\bDeno\./,
          /from "node:/,
          /zlib\/node\.ts|".\/node\.ts"/,
          /\/repository\//,
          /\bprocess\./,
        ]
      ) {
        if (pattern.test(text)) faults.push(`${folder}/${name}: ${pattern}`);
      }
    }
  }
  deepEqual(faults, []);
});
