import { deepEqual, equal, ok } from "node:assert/strict";
import { createImageBoard, type DnsServer, type DnsServerOptions, startDnsServer } from "../../dns/mod.ts";
import { realTest, run } from "../tools/real.ts";
import { ask, freePort } from "./answer_servers.ts";
import { allZones, zoneOf } from "./answer_zones.ts";

for (const ffi of [true, false]) {
  const way = ffi ? "batched" : "portable";

  realTest(`dig and kdig read our answers (${way})`, { needs: ["dig", "kdig"] }, async () => {
    await serving({ ffi }, async (server, port) => {
      equal(server.mode, way);
      const dig = (...args: string[]) =>
        run("dig", ["@127.0.0.1", "-p", `${port}`, "+tries=3", "+time=2", "+ignore", "+noidnin", ...args])
          .then(({ stdout }) => stdout);
      ok((await dig("multi.example.test", "A", "+short")).includes("192.0.2.5"));
      ok((await dig("MuLtI.eXample.test", "TXT", "+qr")).includes(`"a b" "c\\"d"`));
      ok((await dig("nothing.other.test", "A")).includes("status: NXDOMAIN"));
      ok((await dig("www.elsewhere.test", "A")).includes("status: REFUSED"));
      ok((await dig("multi.example.test", "+edns=7", "+noednsnegotiation")).includes("status: BADVERS"));
      ok((await dig("version.bind", "TXT", "CH")).includes("status: REFUSED"));
      const cut = await dig("big.z.test", "TXT");
      ok(/flags:[^;]* tc[ ;]/.test(cut), cut);
      const delegated = await run("kdig", [
        "@127.0.0.1",
        "-p",
        `${port}`,
        "+norec",
        "+edns",
        "www.sub.example.test",
      ]);
      ok(
        /ns\.sub\.example\.test\.\s+3600\s+IN\s+AAAA\s+2001:db8::20/.test(delegated.stdout),
        delegated.stdout,
      );
      const counters = server.counters();
      equal(counters.queries, counters.answers);
      equal(counters.truncated, 1);
      equal(counters.rcodes[3], 1);
    });
  });

  Deno.test(`messages for the full machinery are answered by it, whatever it does (${way})`, async () => {
    const lines: string[] = [];
    const respond: DnsServerOptions["respond"] = (query, { peer }) => {
      if (query[1] === 2) return Promise.reject(new Error("on purpose"));
      if (query[1] === 3) return Promise.resolve(undefined);
      return Promise.resolve(new TextEncoder().encode(`${query.length} ${peer?.address}`));
    };
    await serving({ ffi, respond, log: (line) => lines.push(line) }, async (server, port) => {
      const update = (id: number) => Uint8Array.of(0, id, 0x28, 0, 0, 0, 0, 0, 0, 0, 0, 0);
      equal(new TextDecoder().decode(await ask(port, update(1), 3000)), "12 127.0.0.1");
      equal(await ask(port, update(2), 100), undefined);
      equal(await ask(port, update(3), 100), undefined);
      equal(server.counters().slow, 3);
    });
    ok(lines.some((line) => line.includes("on purpose")));
  });

  Deno.test(`a port in use is an error that names it (${way})`, async () => {
    await serving({ ffi }, async (_, port) => {
      for (const other of [true, false]) {
        const second = await startDnsServer(options({ ffi: other, listen: [{ host: "127.0.0.1", port }] }));
        ok(!second.ok);
        equal(second.error.code, "port-in-use");
        ok(second.error.message.includes(`127.0.0.1:${port}`));
      }
    });
  });

  Deno.test(`an address that is none is an error (${way})`, async () => {
    for (const host of ["localhost", "256.0.0.1", "::g"]) {
      const server = await startDnsServer(options({ ffi, listen: [{ host, port: 0 }] }));
      equal(server.ok ? "" : server.error.code, "bad-address");
    }
    const away = await startDnsServer(options({ ffi, listen: [{ host: "203.0.113.77", port: 0 }] }));
    equal(away.ok ? "" : away.error.code, "address-not-here");
  });

  Deno.test(`what was published is answered from the moment publish returns (${way})`, async () => {
    const board = createImageBoard([numbered(0)]);
    await serving({ ffi, board, workers: 3 }, async (_, port) => {
      for (let number = 1; number <= 100; number++) {
        board.publish([numbered(number)]);
        const replies = await Promise.all(
          Array.from({ length: 4 }, () => ask(port, question("n", "test"), 3000)),
        );
        for (const reply of replies) {
          ok(reply);
          deepEqual([...reply.slice(-4)], [10, 0, 0, number]);
        }
      }
      board.publish([]);
      equal(((await ask(port, question("n", "test"), 3000)) ?? [])[3] & 15, 5);
    });
  });

  Deno.test(`random datagrams do no harm (${way})`, async () => {
    await serving({ ffi }, async (server, port) => {
      const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
      for (let i = 0; i < 300; i++) {
        const noise = crypto.getRandomValues(new Uint8Array(i * 17 % 5000 + 1));
        await socket.send(noise, { transport: "udp", hostname: "127.0.0.1", port });
      }
      socket.close();
      // A full socket buffer may cost a question, as with any server; the next one is answered.
      let reply: Uint8Array | undefined;
      for (let attempt = 0; attempt < 20 && reply === undefined; attempt++) {
        reply = await ask(port, question("multi", "example", "test"), 500);
      }
      equal(reply?.[7], 2);
      equal(server.counters().faults, 0);
    });
  });
}

Deno.test("a fault while answering is SERVFAIL for that query, one line in the log, and nothing for the others", async () => {
  const lines: string[] = [];
  await serving({ workerModule: FAULTY_WORKER, log: (line) => lines.push(line) }, async (server, port) => {
    for (let i = 0; i < 3; i++) {
      const reply = await ask(port, withId(0xfa17, question("multi", "example", "test")), 3000);
      deepEqual([...reply ?? []], [0xfa, 0x17, 0x80, 2, 0, 0, 0, 0, 0, 0, 0, 0]);
      equal((await ask(port, question("multi", "example", "test"), 3000))?.[7], 2);
    }
    equal(server.counters().faults, 3);
    equal(server.counters().rcodes[2], 3);
  });
  deepEqual(lines.map((line) => /fault.*a fault on purpose/.test(line)), [true]);
});

Deno.test("a worker that dies is replaced, what waits in its socket is answered, and publishing goes on", async () => {
  const lines: string[] = [];
  const board = createImageBoard([numbered(1)]);
  await serving({ workerModule: FAULTY_WORKER, board, log: (line) => lines.push(line) }, async (_, port) => {
    for (let round = 2; round <= 4; round++) {
      equal(await ask(port, withId(0xdead, question("n", "test")), 20), undefined);
      board.publish([numbered(round)]);
      const reply = await ask(port, question("n", "test"), 10_000);
      deepEqual([...(reply ?? []).slice(-4)], [10, 0, 0, round]);
    }
  });
  equal(lines.filter((line) => /failed .*a death on purpose.*replaced in \d+ ms/.test(line)).length, 3);
});

Deno.test("a server can be stopped while a worker is being replaced", async () => {
  await serving({ workerModule: FAULTY_WORKER }, async (_, port) => {
    equal(await ask(port, withId(0xdead, question("multi", "example", "test")), 50), undefined);
  });
});

for (const ffi of [true, false]) {
  Deno.test(`a query over 4096 octets is an error or answered, never silence (${ffi ? "batched" : "portable"})`, async () => {
    await serving({ ffi }, async (_, port) => {
      const long = new Uint8Array(6000);
      long.set(question("multi", "example", "test"));
      equal((await ask(port, long, 3000))?.[3], 1);
      long[2] |= 0x80;
      equal(await ask(port, long, 50), undefined);
    });
  });
}

Deno.test("a thousand zones, and none", async () => {
  const zone = (index: number) =>
    zoneOf(`z${index}.test.`, `@ 60 SOA a b 1 2 3 4 5\nwww 60 A 10.0.${index >> 8}.${index & 255}\n`);
  const board = createImageBoard();
  await serving({ board, workers: 2 }, async (_, port) => {
    equal((await ask(port, question("www", "z1", "test"), 3000))?.[3], 5);
    board.publish(Array.from({ length: 1000 }, (_, index) => zone(index)));
    for (let index = 0; index < 1000; index += 37) {
      const reply = await ask(port, question("www", `z${index}`, "test"), 3000);
      deepEqual([...(reply ?? []).slice(-4)], [10, 0, index >> 8, index & 255]);
    }
    equal((await ask(port, question("www", "z1000", "test"), 3000))?.[3], 5);
    board.publish([]);
    equal((await ask(port, question("www", "z1", "test"), 3000))?.[3], 5);
  });
});

realTest("publishing under load loses no query", { needs: ["dnsperf"] }, async ({ dir }) => {
  const queries = `${dir}/queries`;
  await Deno.writeTextFile(queries, "n.test A\n".repeat(1000));
  const board = createImageBoard([numbered(0)]);
  await serving({ board, workers: 1 }, async (server, port) => {
    let published = 0;
    const timer = setInterval(() => board.publish([numbered(++published % 250)]), 5);
    const { stdout } = await run("dnsperf", [
      ...["-s", "127.0.0.1", "-p", `${port}`, "-d", queries, "-n", "20", "-q", "20", "-t", "5"],
    ]);
    clearInterval(timer);
    ok(published > 0, "nothing was published meanwhile");
    ok(/Queries completed:\s+20000 \(100\.00%\)/.test(stdout), stdout);
    ok(/Response codes:\s+NOERROR 20000 \(100\.00%\)/.test(stdout), stdout);
    equal(server.counters().faults, 0);
  });
});

Deno.test("a wildcard address answers from the address that was asked, IPv4 and IPv6", async () => {
  const server = await startDnsServer(options({
    listen: [{ host: "0.0.0.0", port: 0 }, { host: "::", port: 0 }, { host: "127.0.0.1", port: 0 }],
    workers: 2,
  }));
  ok(server.ok);
  try {
    const [four, six] = server.value.addresses;
    for (
      const [host, port, local] of [
        ["127.0.0.1", four.port, "127.0.0.1"],
        ["127.0.0.77", four.port, "127.0.0.1"],
        ["::1", six.port, "::1"],
      ] as const
    ) {
      const socket = Deno.listenDatagram({ transport: "udp", hostname: local, port: 0 });
      for (
        const query of [
          question("multi", "example", "test"),
          Uint8Array.of(0, 9, 0x28, 0, 0, 0, 0, 0, 0, 0, 0, 0),
        ]
      ) {
        await socket.send(query, { transport: "udp", hostname: host, port });
        const [, peer] = await socket.receive();
        equal((peer as Deno.NetAddr).hostname, host);
        equal((peer as Deno.NetAddr).port, port);
      }
      socket.close();
    }
  } finally {
    await server.value.stop();
  }
});

Deno.test("without FFI a wildcard address is refused with what to do", async () => {
  const server = await startDnsServer(
    options({ ffi: false, listen: [{ host: "0.0.0.0", port: freePort() }] }),
  );
  ok(!server.ok);
  ok(server.error.message.includes("list the addresses"));
});

Deno.test("stop closes the port, and may be called twice", async () => {
  const server = await startDnsServer(options({ workers: 2 }));
  ok(server.ok);
  await Promise.all([server.value.stop(), server.value.stop()]);
  const again = await startDnsServer(options({ listen: server.value.addresses }));
  ok(again.ok);
  await again.value.stop();
});

const FAULTY_WORKER = new URL("./faulty_worker.ts", import.meta.url);

function withId(id: number, query: Uint8Array): Uint8Array {
  query[0] = id >>> 8;
  query[1] = id;
  return query;
}

async function serving(
  change: Partial<DnsServerOptions>,
  body: (server: DnsServer, port: number) => Promise<void>,
): Promise<void> {
  const server = await startDnsServer(options(change));
  if (!server.ok) throw new Error(server.error.message);
  try {
    await body(server.value, server.value.addresses[0].port);
  } finally {
    await server.value.stop();
  }
}

function options(change: Partial<DnsServerOptions>): DnsServerOptions {
  const texts = Array.from({ length: 100 }, (_, i) => `big TXT "${String(i).padStart(30, "0")}"\n`).join("");
  return {
    listen: [{ host: "127.0.0.1", port: 0 }],
    workers: 1,
    board: change.board ??
      createImageBoard([...allZones(), zoneOf("z.test.", `$TTL 60\n@ SOA a b 1 2 3 4 5\n${texts}`)]),
    respond: (query) => Promise.resolve(query),
    log: () => {},
    ...change,
  };
}

function numbered(number: number) {
  return zoneOf("test.", `$TTL 60\n@ SOA a b ${number} 2 3 4 5\nn A 10.0.0.${number}\n`);
}

function question(...labels: string[]): Uint8Array {
  const name = labels.flatMap((label) => [label.length, ...new TextEncoder().encode(label)]);
  return Uint8Array.of(0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...name, 0, 0, 1, 0, 1);
}
