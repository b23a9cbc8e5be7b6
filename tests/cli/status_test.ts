import { deepEqual, equal, ok } from "node:assert/strict";
import { countersStatus } from "../../cli/status_counters.ts";
import type { Status } from "../../cli/status_form.ts";
import { statusText } from "../../cli/status_text.ts";
import type { DnsCounters } from "../../dns/mod.ts";

const rcodes = Array.from({ length: 16 }, (_, code) => code === 0 ? 90 : code === 3 ? 8 : 0);
const COUNTERS: DnsCounters = {
  queries: 100,
  types: { A: 60, AAAA: 39, other: 1 },
  transports: { udp4: 97, udp6: 0, tcp4: 3, tcp6: 0 },
  answers: 98,
  rcodes,
  sizes: [0, 0, 0, 0, 0, 0, 90, 8],
  latencies: [5, 93],
  drops: 0,
  truncated: 1,
  limited: 1,
  slipped: 1,
  slow: 2,
  slowDrops: 0,
  faults: 0,
  sendErrors: 0,
  versions: { taken: 4, longest: 250 },
  tcp: {
    open: 1,
    accepted: 3,
    refused: 0,
    closed: { client: 2, idle: 0, message: 0, unread: 0, crowded: 0, memory: 0, error: 0, stopped: 0 },
  },
};

const NOTE = { at: Date.UTC(2026, 0, 2, 3, 4, 5), pid: 4711, counters: COUNTERS };
const rfc3339 = (ms: number) => new Date(ms).toISOString().replace(".000Z", "Z");

function statusWith(counters: Status["counters"]): Status {
  return {
    version: "1",
    data: "/data",
    at: "2026-01-02T03:04:06Z",
    server: { running: false, pid: null },
    source: null,
    zones: [],
    certificates: [],
    damage: [],
    unread: [],
    collection: null,
    counters,
  };
}

Deno.test("counters are told by name, and histograms by what their bars are below", () => {
  const shown = countersStatus(NOTE, rfc3339);
  equal(shown.at, "2026-01-02T03:04:05Z");
  deepEqual(shown.rcodes, { NOERROR: 90, NXDOMAIN: 8 });
  deepEqual(shown.octets, [{ below: 64, count: 90 }, { below: 128, count: 8 }]);
  deepEqual(shown.microseconds, [{ below: 1, count: 5 }, { below: 2, count: 93 }]);
  equal(shown.tcp.closed.client, 2);
  deepEqual(shown.versions, { taken: 4, longestMicroseconds: 250 });
});

Deno.test("people read a line of each kind, and nothing where nothing was asked", () => {
  const text = statusText(statusWith(countersStatus(NOTE, rfc3339)), 0);
  ok(text.includes("answered    98 of 100 queries until 2026-01-02T03:04:05Z\n"), text);
  ok(text.includes("\n            NOERROR 90, NXDOMAIN 8\n            A 60, AAAA 39, other 1\n"), text);
  ok(text.includes("rate limited: 1 dropped, 1 sent truncated"), text);
  ok(text.includes("TCP connections: 1 open, 3 accepted, 0 refused"), text);
  equal(statusText(statusWith(null), 0).includes("answered"), false);
});
