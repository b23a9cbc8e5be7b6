/** What a browser loads for a fetch must find there everything it needs. */
import { deepEqual, ok } from "node:assert/strict";

const store = new URL("../../../store/", import.meta.url);

Deno.test("a fetch and its HTTP client load nothing that only Deno or Node has", async () => {
  const seen = new Set<string>();
  const faults: string[] = [];
  const queue = ["fetch", "remote", "openers", "http_client", "http_client_fetch"]
    .map((name) => new URL(`protocol/${name}.ts`, store).href);
  for (let href = queue.pop(); href !== undefined; href = queue.pop()) {
    if (seen.has(href)) continue;
    seen.add(href);
    const text = await Deno.readTextFile(new URL(href));
    if (/\bDeno\.|\bprocess\./.test(text)) faults.push(`${href}: uses Deno or Node`);
    // Types are gone when it runs: a statement that imports nothing else loads nothing.
    for (const [, what, from] of text.matchAll(/^(?:import|export)\s+([^;]*?)\s+from "([^"]+)";/gms)) {
      if (what.startsWith("type ")) continue;
      if (from.startsWith(".")) queue.push(new URL(from, href).href);
      else faults.push(`${href}: imports ${from}`);
    }
  }
  deepEqual(faults, []);
  ok(seen.size > 20, `only ${seen.size} files were seen`);
});
