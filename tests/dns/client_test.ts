import { deepEqual, equal, ok } from "node:assert/strict";
import {
  connect,
  createRegistry,
  type Flow,
  memoryPair,
  type Result,
  tcpResolver,
} from "../../conduit/mod.ts";
import { createDnsClient, type DnsClient } from "../../dns/client/client.ts";
import type { DnsClientError } from "../../dns/client/errors.ts";
import { RCODE } from "../../dns/message/codes.ts";
import { bareReply } from "../../dns/message/reply.ts";
import { nameFrom } from "../../dns/name.ts";
import { RRTYPE } from "../../dns/rr/types.ts";
import { serveFlow } from "../../dns/server/tcp.ts";
import { parseKeyFile, printKeyFile } from "../../dns/tsig/keys.ts";
import type { Message, TsigKey } from "../../dns/types.ts";
import { freePort } from "../tools/ports.ts";
import { findProgram, realTest, run } from "../tools/real.ts";
import { toyServer } from "./responder_server.ts";
import { at, ORIGIN, rdataOf, recordOf, toyZone } from "./update_zone.ts";

const KEY: TsigKey = {
  name: nameFrom("client._update.example.test."),
  algorithm: "hmac-sha256",
  secret: Uint8Array.from({ length: 32 }, (_, i) => i * 3),
};
const ZONE = ["@ 3600 SOA ns1 host 10 1 2 3 4", "@ 3600 NS ns1", "www 300 A 192.0.2.1"];
const random = (octets: number) => crypto.getRandomValues(new Uint8Array(octets));

/** A client of a server at the other end of memory; `serve` gets each connection's other end and its number. */
function clientOf(
  serve: (flow: Flow, connection: number) => void,
  options: { key?: TsigKey; timeoutMs?: number; now?: () => number } = {},
): { client: DnsClient; connections: () => number } {
  let connections = 0;
  const open = (): Promise<Result<Flow, unknown>> => {
    const [ours, theirs] = memoryPair();
    serve(theirs, ++connections);
    return Promise.resolve({ ok: true, value: ours });
  };
  const client = createDnsClient({ open, now: Date.now, random, timeoutMs: 5000, ...options });
  return { client, connections: () => connections };
}

Deno.test("queries and updates go over one connection, at the same time too", async () => {
  const server = toyServer(toyZone(ZONE), [KEY]);
  const { client, connections } = clientOf((flow) => void serveFlow(flow, server), { key: KEY });
  const answers = await Promise.all([
    client.query(at("www"), RRTYPE.A),
    client.query(at("www"), RRTYPE.A, { signed: true }),
    client.query(at("nobody"), RRTYPE.A),
  ]);
  deepEqual(answers.map((answer) => value(answer).answers.length), [1, 1, 0]);
  value(
    await client.update({ zone: ORIGIN, operations: [{ kind: "add", record: recordOf("new 60 TXT x") }] }),
  );
  equal(value(await client.query(at("new"), RRTYPE.TXT)).answers[0].ttl, 60);
  equal(connections(), 1);
  client.close();
});

Deno.test("a connection that the server ended is made anew, and a query cut off is asked again", async () => {
  const server = toyServer(toyZone(ZONE), []);
  const { client, connections } = clientOf((flow, connection) => {
    if (connection === 1) void flow.read().then(() => flow.close());
    else void serveFlow(flow, server);
  });
  equal(value(await client.query(at("www"), RRTYPE.A)).answers.length, 1);
  equal(connections(), 2);
  client.close();
});

Deno.test("an update cut off is not sent again", async () => {
  const { client, connections } = clientOf((flow) => void flow.read().then(() => flow.close()), { key: KEY });
  const outcome = await client.update({ zone: ORIGIN, operations: [] });
  equal(code(outcome), "lost");
  equal(connections(), 1);
});

Deno.test("silence is a time-out, and the next request gets a new connection", async () => {
  const server = toyServer(toyZone(ZONE), []);
  const { client, connections } = clientOf((flow, connection) => {
    if (connection > 1) void serveFlow(flow, server);
  }, { timeoutMs: 20 });
  equal(code(await client.query(at("www"), RRTYPE.A)), "timeout");
  equal(connections(), 1);
  await client.query(at("www"), RRTYPE.A);
  equal(connections(), 2);
  client.close();
});

Deno.test("an answer to another question, unsigned, or garbage, is an error and never an answer", async () => {
  const replying = (reply: (query: Uint8Array) => Uint8Array) =>
    clientOf((flow) =>
      void serveFlow(flow, {
        answer: () => -1,
        respond: (query) => Promise.resolve(reply(query)),
      }), { key: KEY }).client;
  const answer = (query: Uint8Array) => bareReply(query, RCODE.NOERROR) ?? query;
  // "www" becomes "wwv"
  const other = replying((query) => answer(query).with(15, 0x76));
  equal(code(await other.query(at("www"), RRTYPE.A)), "malformed");
  other.close();
  const garbage = replying((query) => answer(query).with(5, 9));
  equal(code(await garbage.query(at("www"), RRTYPE.A)), "malformed");
  garbage.close();
  const unsigned = replying(answer);
  const outcome = await unsigned.query(at("www"), RRTYPE.A, { signed: true });
  ok(!outcome.ok && outcome.error.code === "untrusted" && outcome.error.reason === "unsigned");
  unsigned.close();
});

Deno.test("a refusal carries the response code and what the server says besides", async () => {
  const server = toyServer(toyZone(ZONE), [KEY], {
    update: () => Promise.resolve({ rcode: RCODE.REFUSED, ede: { code: 18, text: "one request a host" } }),
  });
  const { client } = clientOf((flow) => void serveFlow(flow, server), { key: KEY });
  const outcome = await client.update({ zone: ORIGIN, operations: [] });
  ok(!outcome.ok && outcome.error.code === "rcode");
  equal(outcome.error.rcode, RCODE.REFUSED);
  ok(outcome.error.message.includes("one request a host"), outcome.error.message);
  client.close();
});

Deno.test("a wrong secret and a wrong clock are told as such", async () => {
  const server = toyServer(toyZone(ZONE), [KEY]);
  const tried = async (key: TsigKey, now: () => number) => {
    const { client } = clientOf((flow) => void serveFlow(flow, server), { key, now });
    const outcome = await client.update({ zone: ORIGIN, operations: [] });
    client.close();
    return outcome.ok ? "ok" : outcome.error.message;
  };
  ok((await tried({ ...KEY, secret: new Uint8Array(32) }, Date.now)).includes("BADSIG"));
  ok((await tried({ ...KEY, name: nameFrom("x.") }, Date.now)).includes("BADKEY"));
  ok((await tried(KEY, () => Date.now() - 1_000_000)).includes("BADTIME"));
  equal(await tried(KEY, Date.now), "ok");
});

Deno.test("an update that no message holds is an error, and the next one is none", async () => {
  const server = toyServer(toyZone(ZONE), [KEY]);
  const { client } = clientOf((flow) => void serveFlow(flow, server), { key: KEY });
  const long = (records: number) =>
    Array.from(
      { length: records },
      (_, i) => ({ kind: "add", record: recordOf(`n${i} 60 A 192.0.2.1`) } as const),
    );
  equal(code(await client.update({ zone: ORIGIN, operations: long(5000) })), "too-long");
  equal(code(await client.update({ zone: ORIGIN, operations: long(1000) })), "ok");
  client.close();
});

Deno.test("no connection is an error that says why", async () => {
  const client = createDnsClient({
    open: () => Promise.resolve({ ok: false, error: new Error("no route") }),
    now: Date.now,
    random,
    timeoutMs: 1000,
  });
  const outcome = await client.query(at("www"), RRTYPE.A);
  ok(!outcome.ok && outcome.error.code === "unreachable" && outcome.error.message.includes("no route"));
});

realTest(
  "named takes our updates and queries, signed with a key of tsig-keygen, and refuses what its policy forbids",
  {
    needs: ["named", "tsig-keygen"],
  },
  async ({ dir }) => {
    const keygen = await run("tsig-keygen", ["-a", "hmac-sha512", "client._update.example.test"]);
    const [key] = value(parseKeyFile(keygen.stdout));
    const port = freePort();
    await Deno.writeTextFile(
      `${dir}/example.test.zone`,
      `$ORIGIN example.test.\n$TTL 300\n@ SOA ns1 host 1 3600 600 86400 60\n@ NS ns1\nns1 A 127.0.0.1\nwww A 192.0.2.1\n`,
    );
    await Deno.writeTextFile(
      `${dir}/named.conf`,
      `${printKeyFile(key)}
options { directory "${dir}"; pid-file none; session-keyfile none; listen-on port ${port} { 127.0.0.1; };
  listen-on-v6 { none; }; recursion no; dnssec-validation no; };
controls { };
zone "example.test" { type primary; file "example.test.zone";
  update-policy { grant client._update.example.test name www.example.test ANY; }; };
`,
    );
    const named = new Deno.Command(findProgram("named") ?? "named", {
      args: ["-g", "-n", "1", "-c", `${dir}/named.conf`],
      stdout: "null",
      stderr: "piped",
    }).spawn();
    const log = await runningLog(named.stderr);
    const registry = createRegistry().with(tcpResolver());
    const open = () => connect(registry, { scheme: "tcp", host: "127.0.0.1", port });
    const client = createDnsClient({ open, key, now: Date.now, random, timeoutMs: 5000 });
    try {
      const before = value(await client.query(at("www"), RRTYPE.A, { signed: true }));
      deepEqual(before.answers.map(({ rdata }) => rdata), [rdataOf(RRTYPE.A, "192.0.2.1")]);
      value(
        await client.update({
          zone: ORIGIN,
          prerequisites: [{
            kind: "rrset-equals",
            owner: at("www"),
            type: 1,
            rdatas: [rdataOf(1, "192.0.2.1")],
          }],
          operations: [
            { kind: "delete-rrset", owner: at("www"), type: RRTYPE.A },
            { kind: "add", record: recordOf("www 60 A 192.0.2.2") },
            { kind: "add", record: recordOf("www 60 TXT one") },
          ],
        }),
      );
      const after = value(await client.query(at("www"), RRTYPE.A));
      deepEqual(after.answers.map(({ rdata, ttl }) => [ttl, rdata]), [[60, rdataOf(RRTYPE.A, "192.0.2.2")]]);
      const failed = await client.update({
        zone: ORIGIN,
        prerequisites: [{ kind: "name-not-in-use", owner: at("www") }],
        operations: [{ kind: "delete-name", owner: at("www") }],
      });
      ok(!failed.ok && failed.error.code === "rcode" && failed.error.rcode === RCODE.YXDOMAIN);
      const forbidden = await client.update({
        zone: ORIGIN,
        operations: [{ kind: "add", record: recordOf("other 60 A 192.0.2.3") }],
      });
      ok(!forbidden.ok && forbidden.error.code === "rcode" && forbidden.error.rcode === RCODE.REFUSED);
      equal(value(await client.query(at("nobody"), RRTYPE.A)).rcode, RCODE.NXDOMAIN);
      const stranger = createDnsClient({
        open,
        key: { ...key, secret: new Uint8Array(64) },
        now: Date.now,
        random,
        timeoutMs: 5000,
      });
      const wrong = await stranger.update({ zone: ORIGIN, operations: [] });
      ok(!wrong.ok && wrong.error.code === "untrusted", wrong.ok ? "" : wrong.error.message);
      ok(wrong.error.message.includes("BADSIG"), wrong.error.message);
      stranger.close();
    } finally {
      client.close();
      named.kill("SIGKILL");
      await named.status;
      await log.done;
    }
  },
);

/** Reads a program's log until it says that it runs, and goes on reading, so that it is never held up. */
async function runningLog(stream: ReadableStream<Uint8Array>): Promise<{ done: Promise<void> }> {
  let text = "";
  const running = Promise.withResolvers<void>();
  const done = (async () => {
    for await (const chunk of stream.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      if (/ running$/m.test(text)) running.resolve();
    }
    running.reject(new Error(`named ended:\n${text}`));
  })();
  await running.promise;
  return { done };
}

function value<T>(outcome: Result<T, { message: string }>): T {
  if (!outcome.ok) throw new Error(outcome.error.message);
  return outcome.value;
}

function code(outcome: Result<Message, DnsClientError>): string {
  return outcome.ok ? "ok" : outcome.error.code;
}
