import { deepEqual, equal, match, ok } from "node:assert/strict";
import { CLASS, nameFrom, RRTYPE } from "../../dns/mod.ts";
import { createWebApp, type ServedZone } from "../../web/mod.ts";

const good: ServedZone = {
  name: "example.test",
  serial: 7,
  main: "a".repeat(40),
  machine: undefined,
  remarks: [],
};

function appWith(...zones: ServedZone[]) {
  return createWebApp({
    version: "bailiwick test",
    zones: () => zones,
    history: () => Promise.resolve(undefined),
  });
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

Deno.test("the history of a zone since a serial is told as text, delta by delta", async () => {
  const zone = nameFrom("example.test.");
  const record = { owner: nameFrom("www.example.test."), type: RRTYPE.A, class: CLASS.IN, ttl: 60 };
  const asked: unknown[] = [];
  const app = createWebApp({
    version: "bailiwick test",
    zones: () => [],
    history: (...of) => {
      asked.push(of);
      const deltas = [{
        zone,
        from: 5,
        to: 6,
        deleted: [{ ...record, rdata: new Uint8Array([192, 0, 2, 1]) }],
        added: [{ ...record, rdata: new Uint8Array([192, 0, 2, 2]) }],
      }];
      return Promise.resolve({ kind: "journal", deltas });
    },
  });
  const response = await app.request("/zones/Example.test/history/5");
  equal(response.status, 200);
  deepEqual(await response.json(), {
    zone: "example.test",
    serial: 5,
    source: "journal",
    deltas: [{
      from: 5,
      to: 6,
      deleted: ["www.example.test. 60 IN A 192.0.2.1"],
      added: ["www.example.test. 60 IN A 192.0.2.2"],
    }],
  });
  deepEqual(asked, [[zone, 5]]);
  equal((await app.request("/zones/example.test/history/4294967296")).status, 400);
  equal((await app.request("/zones/a..b/history/1")).status, 400);
  equal((await appWith(good).request("/zones/example.test/history/1")).status, 404);
});

Deno.test("one search of the history at a time: who comes meanwhile is told to come again", async () => {
  let finish: (found: undefined) => void = () => {};
  const app = createWebApp({
    version: "bailiwick test",
    zones: () => [],
    history: () => new Promise((resolve) => finish = resolve),
  });
  const first = app.request("/zones/example.test/history/1");
  const second = await app.request("/zones/example.test/history/1");
  equal(second.status, 503);
  ok(second.headers.has("retry-after"));
  finish(undefined);
  equal((await first).status, 404);
});
