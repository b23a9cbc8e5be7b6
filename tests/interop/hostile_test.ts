/** What the network may throw at a running server: it answers the next honest question, and its log stays quiet. */
import { equal, ok } from "node:assert/strict";
import { dig } from "../tools/dig.ts";
import { realTest, run } from "../tools/real.ts";
import { hostAndPort, serverIn } from "../tools/server.ts";

const EXAMPLES = new URL("../../zones", import.meta.url).pathname;

realTest("random bytes over UDP and TCP get no answer or an error, never an exception", {
  needs: ["dig"],
}, async ({ dir }) => {
  const server = await serverIn(dir, ["--zones", EXAMPLES, "--acme", "off"]);
  try {
    const { host, port } = hostAndPort(server.dns);
    const random = generator(20261123);
    const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
    for (let round = 0; round < 2000; round++) {
      await socket.send(packet(random), { transport: "udp", hostname: host, port: Number(port) });
    }
    socket.close();
    for (let round = 0; round < 50; round++) {
      using connection = await Deno.connect({ hostname: host, port: Number(port) });
      await connection.write(packet(random)).catch(() => {});
    }
    equal(await dig(server.dns, ["+short", "example.test", "A"]), "192.0.2.10");
    equal(await dig(server.dns, ["+short", "+tcp", "example.test", "A"]), "192.0.2.10");
    ok(!/exception|TypeError|RangeError|\bat .*\.ts:\d+/.test(server.log()), server.log());
  } finally {
    equal(await server.stop(), 0);
  }
});

realTest("garbage on the SSH port and an unknown key get nowhere", {
  needs: ["ssh", "ssh-keygen", "git"],
}, async ({ dir }) => {
  const server = await serverIn(dir, ["--zones", EXAMPLES, "--acme", "off"]);
  try {
    const { host, port } = hostAndPort(server.ssh);
    using connection = await Deno.connect({ hostname: host, port: Number(port) });
    await connection.write(new TextEncoder().encode("GET / HTTP/1.0\r\n\r\n"));
    await run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", `${dir}/stranger`]);
    const stranger = await run("git", ["ls-remote", `ssh://git@${server.ssh}/zones.git`], {
      check: false,
      env: {
        GIT_SSH_COMMAND: `ssh -F /dev/null -i ${dir}/stranger -o IdentitiesOnly=yes -o BatchMode=yes ` +
          `-o UserKnownHostsFile=${dir}/.bailiwick/keys/known_hosts`,
      },
    });
    equal(stranger.code, 128);
    ok(stranger.stderr.includes("Permission denied (publickey)"), stranger.stderr);
    ok(!/\bat .*\.ts:\d+/.test(server.log()), server.log());
  } finally {
    equal(await server.stop(), 0);
  }
});

/** Some packets are noise, some have a header that looks like a query's, some a question cut short. */
function packet(random: () => number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(Math.floor(random() * 80)).map(() => Math.floor(random() * 256));
  if (bytes.length >= 12 && random() < 0.7) {
    bytes.set([0, random() < 0.8 ? 1 : 0, 0, 0, 0, 0, 0, random() < 0.5 ? 1 : 0], 4);
    bytes[2] &= random() < 0.8 ? 0x07 : 0x7f;
  }
  return bytes;
}

/** xorshift32: the same packets in every run. */
function generator(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}
