/** Validators accept what we answer from signed zones, and refuse it with a signature or a proof taken away. */
import { deepEqual, equal, ok } from "node:assert/strict";
import {
  buildMessage,
  type Message,
  parseMessage,
  RCODE,
  rcodeName,
  type ResourceRecord,
  RRTYPE,
  typeFromName,
} from "../../dns/mod.ts";
import { realTest, run } from "../tools/real.ts";
import { SIGNERS } from "./differential_signing.ts";
import { relayTo, serveZones } from "./validation_server.ts";
import { type Expectation, expectations, SIGNED, signedTree } from "./validation_tree.ts";
import { startUnbound } from "./validation_unbound.ts";

realTest(
  "unbound finds every kind of signed answer secure",
  { needs: ["unbound", ...SIGNERS] },
  async ({ dir }) => {
    const tree = await signedTree(dir);
    const server = await serveZones(tree.zones);
    const unbound = await startUnbound(dir, {
      anchor: tree.anchor,
      origins: tree.origins,
      port: server.addresses[0].port,
    });
    try {
      const wrong: string[] = [];
      for (const origin of Object.keys(SIGNED)) {
        for (const expected of expectations(origin)) {
          const reply = await unbound.resolve(expected.name, expected.type);
          const found = {
            ...expected,
            rcode: rcodeName(reply.rcode),
            answers: reply.answers.filter(({ type }) => type !== RRTYPE.RRSIG).length,
            security: reply.authenticData ? "secure" : "insecure",
          };
          if (JSON.stringify(found) !== JSON.stringify(expected)) {
            wrong.push(
              JSON.stringify({ expected, found }),
            );
          }
        }
      }
      equal(wrong.join("\n"), "", unbound.log());
      ok(server.counters().transports.tcp4 > 0, "no answer went by TCP");
    } finally {
      await unbound.stop();
      await server.stop();
    }
  },
);

realTest(
  "unbound refuses answers with a signature or a proof taken away",
  { needs: ["unbound", ...SIGNERS] },
  async ({ dir }) => {
    const tree = await signedTree(dir);
    const server = await serveZones(tree.zones);
    const relay = relayTo(server.addresses[0].port);
    const unbound = await startUnbound(dir, {
      anchor: tree.anchor,
      origins: tree.origins,
      port: relay.port,
    });
    try {
      const accepted: string[] = [];
      for (const [origin, signing] of Object.entries(SIGNED)) {
        for (const expected of expectations(origin)) {
          if (expected.security !== "secure" || expected.type === "DNSKEY") continue;
          for (const [how, remove] of REMOVALS) {
            let touched = false;
            relay.tamper = (answer) => changed(answer, expected, remove, () => touched = true);
            const reply = await unbound.resolve(expected.name, expected.type);
            if (touched && reply.rcode !== RCODE.SERVFAIL) {
              accepted.push(
                `${signing}: ${expected.what} without ${how}`,
              );
            }
            ok(touched || how !== "signatures", `${expected.name} has no signature to take away`);
          }
        }
      }
      deepEqual(accepted, []);
    } finally {
      await unbound.stop();
      await relay.close();
      await server.stop();
    }
  },
);

realTest(
  "delv validates every kind of signed answer by itself",
  { needs: ["delv", ...SIGNERS] },
  async ({ dir }) => {
    const tree = await signedTree(dir);
    const server = await serveZones(tree.zones);
    const anchors = tree.anchor.trim().split("\n").map((line) => {
      const [tag, algorithm, digestType, ...digest] = line.replace(/^.*\sDS\s+/, "").split(/\s+/);
      return `"." static-ds ${tag} ${algorithm} ${digestType} "${digest.join("")}";`;
    });
    await Deno.writeTextFile(`${dir}/anchors`, `trust-anchors { ${anchors.join(" ")} };\n`);
    try {
      const wrong: string[] = [];
      for (const origin of Object.keys(SIGNED)) {
        for (const { name, type, security, what } of expectations(origin)) {
          const args = [
            "@127.0.0.1",
            "-p",
            `${server.addresses[0].port}`,
            "-a",
            `${dir}/anchors`,
            "+root=.",
            name,
            type,
          ];
          const { stdout, stderr } = await run("delv", args, { check: false });
          // It has no word for an insecure denial but this one.
          const expected = security === "secure" ? /fully validated/ : /unsigned answer|fully validated/;
          if (!expected.test(stdout + stderr)) wrong.push(`${what}: ${name} ${type}\n${stdout}${stderr}`);
        }
      }
      equal(wrong.join("\n"), "");
    } finally {
      await server.stop();
    }
  },
);

type Remove = (record: ResourceRecord) => boolean;

const REMOVALS: readonly (readonly [how: string, remove: Remove])[] = [
  ["signatures", ({ type }) => type === RRTYPE.RRSIG],
  ["proofs", ({ type }) => type === RRTYPE.NSEC || type === RRTYPE.NSEC3],
];

/** The answer to that question without the records to be removed. */
function changed(
  answer: Uint8Array,
  { name, type }: Expectation,
  remove: Remove,
  touched: () => void,
): Uint8Array {
  const parsed = parseMessage(answer);
  if (!parsed.ok) throw new Error(parsed.error.message);
  const message: Message = parsed.value;
  const [question] = message.questions;
  if (question?.name !== name || question.type !== typeFromName(type)) return answer;
  const kept = (records: readonly ResourceRecord[]) => {
    const left = records.filter((record) => !remove(record));
    if (left.length < records.length) touched();
    return left;
  };
  return buildMessage({ ...message, answers: kept(message.answers), authorities: kept(message.authorities) });
}
