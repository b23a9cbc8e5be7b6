/** What an operator does to a server that is asked all the while: reload, stop; and a client whose clock is wrong. */
import { deepEqual, equal, ok } from "node:assert/strict";
import type { Status } from "../../cli/status_form.ts";
import {
  buildUpdate,
  nameFrom,
  nameToWire,
  parseKeyFile,
  RCODE,
  rdataFromText,
  RRTYPE,
  signRequest,
  type TsigKey,
  verifyResponse,
} from "../../dns/mod.ts";
import { splitTsig } from "../../dns/tsig/record.ts";
import { clientsOf, tcpClient } from "../dns/socket_clients.ts";
import { realTest } from "../tools/real.ts";
import { hostAndPort, runCommand, type RunningServer, serverIn } from "../tools/server.ts";

const EXAMPLES = new URL("../../zones", import.meta.url).pathname;
const FLAGS = ["--zones", EXAMPLES, "--acme", "off", "--ssh", "off", "--web", "off", "--workers", "2"];

realTest("SIGHUP again and again loses no query, and each answer is by one configuration", {
  needs: [],
}, async ({ dir }) => {
  const configure = (nsid: string) => Deno.writeTextFile(`${dir}/b.toml`, `[dns]\nnsid = "${nsid}"\n`);
  await configure("gen-00");
  const server = await serverIn(dir, [...FLAGS, "--config", "b.toml"]);
  const port = portOf(server);
  const seen = new Set<string>();
  try {
    using clients = await clientsOf(port, { udp: 6, tcp: 3 });
    const [answerBefore] = nsidOf(await clients.udp[0].ask(nsidQuery(0)));
    let asking = true;
    const loops = clients.all.map(async (client) => {
      for (let id = 0; asking; id = (id + 1) % 0x10000) {
        const answer = await client.ask(nsidQuery(id));
        equal(answer[0] << 8 | answer[1], id);
        const [rest, nsid] = nsidOf(answer);
        equal(rest, answerBefore);
        seen.add(nsid);
      }
    });
    const reload = async (expected: string) => {
      const before = server.log().length;
      server.signal("SIGHUP");
      while (!server.log().includes(expected, before)) await turn();
    };
    const given = ["gen-00"];
    for (let generation = 1; generation <= 20; generation++) {
      const nsid = `gen-${String(generation).padStart(2, "0")}`;
      given.push(nsid);
      await configure(nsid);
      await reload("configuration read again");
      // Everybody is told of it while serving.
      while (!seen.has(nsid)) await turn();
      if (generation % 5 !== 0) continue;
      await Deno.writeTextFile(`${dir}/b.toml`, `[dns]\nnsid = "wrong!"\nkeys = 1\n`);
      await reload("configuration not taken over");
    }
    // Several at once are as good as one.
    await configure("gen-99");
    for (let i = 0; i < 10; i++) server.signal("SIGHUP");
    await reload("configuration read again");
    while (!seen.has("gen-99")) await turn();
    asking = false;
    await Promise.all(loops);
    deepEqual([...seen].toSorted(), [...given, "gen-99"]);
  } finally {
    equal(await server.stop(), 0);
  }
});

realTest("SIGTERM under load: what was taken is answered, updates too, and the server ends by itself", {
  needs: [],
}, async ({ dir }) => {
  const server = await serverIn(dir, FLAGS);
  const port = portOf(server);
  const key = await adminKey(dir);
  let answers = 0;
  let updates = 0;
  let ended = false;
  let stopped: Promise<number> | undefined;
  try {
    using clients = await clientsOf(port, { udp: 6, tcp: 5 });
    const [updater, ...streams] = clients.tcp;
    const expected = (await clients.udp[0].ask(mailQuery(0))).subarray(2);
    answers++;
    const check = (answer: Uint8Array) => {
      deepEqual(answer.subarray(2), expected);
      answers++;
    };

    const datagrams = clients.udp.map(async (client) => {
      for (let id = 0; !ended; id = (id + 1) % 0x10000) {
        await client.send(mailQuery(id));
        const answer = await client.receive();
        ok(answer);
        if (answer.length === 1) return;
        check(answer);
      }
    });
    const connections = streams.map(async (client) => {
      for (;;) {
        // The end may come at any place of them; what came before it counts.
        await client.send(...range(20).map(mailQuery)).catch(gone);
        for (const id of range(20)) {
          const answer = await client.receive().catch(gone);
          if (!answer) return equal(client.pending(), 0, "half an answer was sent");
          equal(answer[0] << 8 | answer[1], id, "in order");
          check(answer);
        }
      }
    });
    const changes = (async () => {
      for (let n = 0;; n++) {
        const update = signedUpdate(key, n, `n${n}`, seconds());
        await updater.send(update.bytes).catch(gone);
        const answer = await updater.receive().catch(gone);
        if (!answer) return;
        ok(verifyResponse(answer, key, update.mac, seconds()).ok);
        equal(answer[3] & 0x0f, RCODE.NOERROR);
        updates++;
      }
    })();

    while (answers < 1000 || updates < 3) await turn();
    stopped = server.stop();
    equal(await stopped, 0);
    ended = true;
    // Behind everything that the server sent: whoever still waits is waiting for nothing else.
    for (const client of clients.udp) await client.wake();
    await Promise.all([...datagrams, ...connections, changes]);
  } finally {
    await (stopped ?? server.stop());
  }
  // Whom the patience of an orderly end left behind would not have let go of the folder.
  equal(await Deno.readTextFile(`${dir}/.bailiwick/lock`), "");
  const { code, stdout, stderr } = await runCommand(dir, "status", ["--json"]);
  equal(code, 0, stderr);
  const { counters }: Status = JSON.parse(stdout);
  ok(counters);
  equal(counters.answers, answers);
  equal(counters.slow, updates);
  equal(counters.dropped + counters.slowDropped + counters.faults + counters.sendErrors, 0);
  equal(counters.queries, answers + updates);
  equal(counters.tcp.open, 0);
});

realTest(
  "a client whose clock is wrong is told the time over TCP, signed, and goes on with the same connection",
  {
    needs: [],
  },
  async ({ dir }) => {
    const server = await serverIn(dir, FLAGS);
    try {
      const key = await adminKey(dir);
      using client = await tcpClient(portOf(server));
      const before = Math.floor(seconds());
      const late = signedUpdate(key, 1, "late", seconds() - 1000);
      const early = signedUpdate(key, 2, "early", seconds() + 1000);
      // Other clients' business, and this one's, is not held up.
      await client.send(late.bytes, early.bytes, nameQuery(3, "mail"));
      const answers = new Map<number, Uint8Array>();
      for (let i = 0; i < 3; i++) {
        const answer = await client.receive();
        ok(answer);
        answers.set(answer[1], answer);
      }
      equal((answers.get(3) ?? [])[7], 1);
      let skew = 0;
      for (const [id, request, off] of [[1, late, -1000], [2, early, 1000]] as const) {
        const answer = answers.get(id) ?? new Uint8Array();
        equal(answer[3] & 0x0f, RCODE.NOTAUTH);
        const split = splitTsig(answer);
        ok(split.kind === "signed");
        const { error, other, timeSigned, keyName, fudge } = split.record;
        deepEqual({ error, keyName, fudge }, { error: RCODE.BADTIME, keyName: key.name, fudge: 300 });
        // RFC 8945 §5.2.3: the client's time as the time of signing, and the server's beside it, 48 bits.
        equal(other.length, 6);
        const now = Number(`0x${other.toHex()}`);
        ok(before <= now && now <= seconds());
        ok(Math.abs(timeSigned - (now + off)) <= 60);
        skew = now - timeSigned;
        const verdict = verifyResponse(answer, key, request.mac, seconds());
        deepEqual(verdict.ok ? "accepted" : [verdict.error.code, verdict.error.tsigError], [
          "refused-by-peer",
          RCODE.BADTIME,
        ]);
        // That was its MAC: with any other octet in it, it is none.
        const changed = verifyResponse(answer.with(3, answer[3] ^ 1), key, request.mac, seconds());
        equal(changed.ok ? "accepted" : changed.error.code, "bad-signature");
      }

      // By the server's clock, on the same connection.
      const again = signedUpdate(key, 4, "again", seconds() + 1000 + skew);
      const done = await client.ask(again.bytes);
      ok(verifyResponse(done, key, again.mac, seconds()).ok);
      equal(done[3] & 0x0f, RCODE.NOERROR);
      const found = async (label: string) => (await client.ask(nameQuery(5, label, RRTYPE.TXT)))[7];
      deepEqual([await found("late"), await found("early"), await found("again")], [0, 0, 1]);
      const wrong = await client.ask(signedUpdate(key, 6, "late", seconds() - 1000).bytes);
      equal(wrong[3] & 0x0f, RCODE.NOTAUTH);
    } finally {
      equal(await server.stop(), 0);
    }
  },
);

function signedUpdate(key: TsigKey, id: number, label: string, time: number) {
  const rdata = rdataFromText(RRTYPE.TXT, `"${label}"`);
  ok(rdata.ok);
  const record = {
    owner: nameFrom(`${label}.example.test.`),
    type: RRTYPE.TXT,
    class: 1,
    ttl: 60,
    rdata: rdata.value,
  };
  const update = buildUpdate({
    id,
    zone: nameFrom("example.test."),
    prerequisites: [],
    operations: [{ kind: "add", record }],
  });
  return signRequest(update, key, { now: time });
}

async function adminKey(dir: string): Promise<TsigKey> {
  const parsed = parseKeyFile(await Deno.readTextFile(`${dir}/.bailiwick/keys/admin.key`));
  ok(parsed.ok);
  return parsed.value[0];
}

function mailQuery(id: number): Uint8Array {
  return nameQuery(id, "mail");
}

/** A query for a name of `example.test`. */
function nameQuery(id: number, label: string, type: number = RRTYPE.A): Uint8Array {
  const name = nameToWire(nameFrom(`${label}.example.test.`));
  return Uint8Array.of(id >>> 8, id & 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...name, 0, type, 0, 1);
}

/** RFC 5001: an OPT record with option 3. */
function nsidQuery(id: number): Uint8Array {
  const opt = [0, 0, 41, 1232 >> 8, 1232 & 0xff, 0, 0, 0, 0, 0, 4, 0, 3, 0, 0];
  return Uint8Array.of(...mailQuery(id).with(11, 1), ...opt);
}

/** An answer without its ID and its NSID, and the NSID, which has six octets. */
function nsidOf(answer: Uint8Array): [rest: string, nsid: string] {
  const hex = answer.subarray(2).toHex();
  const at = hex.lastIndexOf("00030006");
  ok(at > 0, hex);
  const nsid = Uint8Array.fromHex(hex.slice(at + 8, at + 20));
  return [hex.slice(0, at) + hex.slice(at + 20), new TextDecoder().decode(nsid)];
}

function portOf(server: RunningServer): number {
  return Number(hostAndPort(server.dns).port);
}

/** What becomes of a connection that the server has closed. */
function gone(error: unknown): undefined {
  const closed = error instanceof Deno.errors.ConnectionReset || error instanceof Deno.errors.BrokenPipe;
  if (!closed) throw error;
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}

function seconds(): number {
  return Date.now() / 1000;
}

function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}
