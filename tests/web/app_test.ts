import { deepEqual, equal, match, ok } from "node:assert/strict";
import { createWebApp, type ServedZone } from "../../web/mod.ts";

const good: ServedZone = {
  name: "example.test",
  serial: 7,
  main: "a".repeat(40),
  machine: undefined,
  remarks: [],
};

function appWith(...zones: ServedZone[]) {
  return createWebApp({ version: "bailiwick test", zones: () => zones });
}

Deno.test("healthz names every zone with serial and commits", async () => {
  const response = await appWith(good).request("/healthz");
  equal(response.status, 200);
  deepEqual(await response.json(), {
    zones: [{ name: "example.test", serial: 7, main: "a".repeat(40), machine: null }],
  });
});

Deno.test("the page escapes what comes from zone data", async () => {
  const response = await appWith({ ...good, remarks: ["<script>alert(1)</script>"] }).request("/");
  const text = await response.text();
  ok(!text.includes("<script>"));
  match(text, /&lt;script&gt;/);
  match(response.headers.get("content-security-policy") ?? "", /default-src 'none'/);
});

Deno.test("an unknown path is 404 and nothing but reading is offered", async () => {
  equal((await appWith(good).request("/../etc/passwd")).status, 404);
  equal((await appWith(good).request("/healthz", { method: "POST" })).status, 404);
});
