/** That what is configured under `[dns]` reaches the answers, at the start and while serving. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { parseConfig } from "../../cli/config.ts";
import { serveDns } from "../../cli/serve_dns.ts";
import type { CountersNote } from "../../cli/server_notes.ts";
import { serveSettings } from "../../cli/settings.ts";
import {
  compileZone,
  createImageBoard,
  nameFrom,
  parseMessage,
  parseZoneFile,
  type ResourceRecord,
} from "../../dns/mod.ts";
import { ask, askByTcp } from "../dns/answer_servers.ts";

const ZONE = "@ 3600 SOA ns1 admin 7 3600 600 86400 120\n@ 3600 NS ns1\nns1 3600 A 192.0.2.1\n";

Deno.test("NSID, cookies and limits are as configured, and change while serving", async () => {
  const notes: CountersNote[] = [];
  const secret = (octet: string) => octet.repeat(16);
  const server = await serving(
    `nsid = "first"\ncookie-secrets = ["${secret("11")}"]\n[dns.rate-limit]\nenabled = false`,
    (note) => notes.push(note),
  );
  try {
    const { port } = server.addresses[0];
    const first = await options(port, CLIENT_COOKIE);
    equal(first.nsid, "first");
    // The same cookie from TCP: it is of the address, not of the transport.
    equal((await options(port, first.cookie, askByTcp)).cookie, first.cookie);
    const flood = await Promise.all(
      Array.from({ length: 40 }, () => ask(port, queryWith(CLIENT_COOKIE), 2000)),
    );
    ok(flood.every((reply) => reply !== undefined && (reply[2] & TC) === 0), "nobody is limited");

    // Another secret makes cookies; the old one's are still accepted, and so not limited.
    server.reconfigure(serviceOf(
      `nsid = "second"\ncookie-secrets = ["${secret("22")}", "${secret("11")}"]\n` +
        "[dns.rate-limit]\nper-second = 1\nslip = 1\nexempt = []",
    ));
    const second = await until(() => options(port, first.cookie), ({ nsid }) => nsid === "second");
    ok(second.cookie !== first.cookie);
    const replies = async (cookie: string) => {
      const all: (Uint8Array | undefined)[] = [];
      for (let i = 0; i < 20; i++) all.push(await ask(port, queryWith(cookie), 2000));
      return all.map((reply) => reply !== undefined && (reply[2] & TC) !== 0);
    };
    deepEqual(await replies(first.cookie), Array(20).fill(false), "a cookie proves the address");
    ok((await replies(CLIENT_COOKIE)).includes(true), "who proves nothing is sent to TCP");
    equal((await options(port, CLIENT_COOKIE, askByTcp)).nsid, "second");
  } finally {
    await server.stop();
  }
  const last = notes.at(-1);
  equal(notes[0].counters.queries, 0);
  ok(last !== undefined && last.counters.queries > 80, JSON.stringify(last));
  ok(last.counters.slipped > 0);
  equal(last.counters.transports.tcp4, 2);
});

const CLIENT_COOKIE = "0102030405060708";
const TC = 0x02;

function serviceOf(dns: string) {
  const config = parseConfig(`[dns]\nlisten = "127.0.0.1:0"\n${dns}`, "test.toml");
  return serveSettings({}, config, { cores: 2, path: (text) => text }).service;
}

function serving(dns: string, noteCounters: (note: CountersNote) => void) {
  const records: ResourceRecord[] = [];
  const input = { file: "a.test", bytes: new TextEncoder().encode(ZONE), origin: nameFrom("a.test.") };
  deepEqual(parseZoneFile(input, (record) => void records.push(record)), []);
  const zone = compileZone(nameFrom("a.test."), records);
  if (!zone.ok) throw new Error(zone.error.message);
  const board = createImageBoard();
  board.publish([zone.value]);
  return serveDns({
    listen: [{ host: "127.0.0.1", port: 0 }],
    workers: 2,
    board,
    lookupKey: () => undefined,
    update: () => Promise.reject(new Error("there is no signed update here")),
    service: serviceOf(dns),
    noteCounters,
  });
}

/** `a.test` SOA with NSID and the cookie. */
function queryWith(cookie: string): Uint8Array {
  const length = (octets: number) => octets.toString(16).padStart(4, "0");
  const octets = cookie.length / 2;
  return Uint8Array.fromHex(
    "beef00000001000000000001" + "0161047465737400" + "00060001" +
      `00002904d000000000${length(octets + 8)}00030000000a${length(octets)}${cookie}`,
  );
}

async function options(
  port: number,
  cookie: string,
  send: (port: number, query: Uint8Array, timeoutMs: number) => Promise<Uint8Array | undefined> = ask,
): Promise<{ nsid: string; cookie: string }> {
  const reply = await send(port, queryWith(cookie), 5000);
  ok(reply !== undefined, "no reply");
  const parsed = parseMessage(reply);
  ok(parsed.ok && parsed.value.edns !== undefined);
  const data = (code: number) =>
    parsed.value.edns?.options.find((option) => option.code === code)?.data ?? new Uint8Array(0);
  return { nsid: new TextDecoder().decode(data(3)), cookie: data(10).toHex() };
}

/** Workers take settings over one by one. */
async function until<T>(look: () => Promise<T>, good: (found: T) => boolean): Promise<T> {
  let found = await look();
  let row = 0;
  for (let attempt = 0; attempt < 200 && row < 20; attempt++) {
    found = await look();
    row = good(found) ? row + 1 : 0;
  }
  ok(row === 20, "the settings did not arrive");
  return found;
}
