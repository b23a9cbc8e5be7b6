import { equal, ok } from "node:assert/strict";
import fc from "fast-check";
import { createAnswerContext, RESPONSE } from "../../dns/answer/context.ts";
import {
  createLimiter,
  DEFAULT_RATE_LIMIT,
  judge,
  LIMITER_SEED_WORDS,
  type RateLimit,
  VERDICT,
} from "../../dns/limit/limiter.ts";
import { LOOPBACK, parseRange } from "../../dns/limit/range.ts";
import { slipAnswer } from "../../dns/limit/slip.ts";

const SEED = Uint32Array.from({ length: LIMITER_SEED_WORDS }, (_, i) => Math.imul(i + 1, 0x9e3779b9) >>> 0);

function limiterOf(options: Partial<RateLimit> = {}, workers = 1, seed: Uint32Array = SEED) {
  return createLimiter({ ...DEFAULT_RATE_LIMIT, ...options }, workers, seed);
}

function asking(address: string, kind: number = RESPONSE.answer, flood = 0x12345678) {
  const context = createAnswerContext("udp");
  const range = parseRange(address);
  ok(range !== undefined, address);
  context.address.set(range.address);
  context.addressOctets = range.address.length;
  context.kind = kind;
  context.flood = flood;
  return context;
}

/** How many of `count` answers at one moment are sent. */
function sentOf(
  limiter: ReturnType<typeof limiterOf>,
  context: ReturnType<typeof asking>,
  count: number,
  now: number,
) {
  let sent = 0;
  for (let i = 0; i < count; i++) if (judge(limiter, context, now) === VERDICT.send) sent++;
  return sent;
}

Deno.test("no window of a second gives more answers than the rate and the burst", () => {
  fc.assert(fc.property(
    fc.integer({ min: 1, max: 300 }),
    fc.integer({ min: 1, max: 3 }),
    fc.integer({ min: 1, max: 3 }),
    fc.array(fc.record({ wait: fc.integer({ min: 0, max: 400 }), count: fc.integer({ min: 1, max: 200 }) }), {
      minLength: 1,
      maxLength: 60,
    }),
    fc.constantFrom("192.0.2.77", "2001:db8:1:2::5"),
    (perSecond, burstSeconds, workers, bursts, address) => {
      const limiters = Array.from(
        { length: workers },
        (_, i) => limiterOf({ perSecond, burstSeconds }, workers, SEED.map((word) => word ^ i)),
      );
      const context = asking(address);
      let now = 1_700_000_000_000;
      let turn = 0;
      const sent: number[] = [];
      for (const { wait, count } of bursts) {
        now += wait;
        for (let i = 0; i < count; i++) {
          if (judge(limiters[turn++ % workers], context, now) === VERDICT.send) sent.push(now);
        }
      }
      // A worker's bucket holds one answer at least.
      const most = perSecond + Math.max(workers, perSecond * burstSeconds);
      for (let i = 0, j = 0; j < sent.length; j++) {
        while (sent[i] <= sent[j] - 1000) i++;
        ok(j - i + 1 <= most, `${j - i + 1} answers in a second, ${most} allowed`);
      }
    },
  ));
});

Deno.test("a network below its rate gets every answer, whatever others do", () => {
  const limiter = limiterOf({ perSecond: 10 });
  const flooded = asking("198.51.100.9");
  const calm = ["192.0.2.1", "198.51.101.9", "203.0.113.5", "2001:db8::1", "2001:db8:0:100::1"].map((a) =>
    asking(a)
  );
  for (let now = 0; now < 5000; now += 100) {
    sentOf(limiter, flooded, 1000, now);
    for (const context of calm) equal(judge(limiter, context, now), VERDICT.send);
  }
});

Deno.test("one network shares a bucket; kinds and names have their own", () => {
  const limiter = limiterOf({ perSecond: 5 });
  equal(sentOf(limiter, asking("192.0.2.1"), 20, 0), 5);
  equal(sentOf(limiter, asking("192.0.2.200"), 20, 0), 0);
  equal(sentOf(limiter, asking("192.0.2.200", RESPONSE.nxdomain), 20, 0), 5);
  equal(sentOf(limiter, asking("192.0.2.200", RESPONSE.answer, 99), 20, 0), 5);
  equal(sentOf(limiter, asking("2001:db8:0:aa00::1"), 20, 0), 5);
  equal(sentOf(limiter, asking("2001:db8:0:aaff:ffff::2"), 20, 0), 0);
  equal(sentOf(limiter, asking("2001:db8:0:ab00::1"), 20, 0), 5);
  equal(sentOf(limiter, asking("192.0.2.1"), 20, 400), 2);
});

Deno.test("kinds have rates of their own, and 0 is none", () => {
  const limiter = limiterOf({ perSecond: 5, kinds: { error: 1, referral: 0 } });
  equal(sentOf(limiter, asking("192.0.2.1", RESPONSE.error), 20, 0), 1);
  equal(sentOf(limiter, asking("192.0.2.1", RESPONSE.referral), 2000, 0), 2000);
  equal(sentOf(limiter, asking("192.0.2.1", RESPONSE.any), 20, 0), 5);
});

Deno.test("who proved an address, and who is exempt, is never limited", () => {
  const limiter = limiterOf({
    perSecond: 1,
    exempt: [...LOOPBACK, { address: Uint8Array.of(10, 1, 0, 0), bits: 16 }],
  });
  const tcp = asking("192.0.2.1");
  tcp.transport = "tcp";
  const cookie = asking("192.0.2.1");
  cookie.cookieValid = true;
  for (const context of [tcp, cookie, asking("127.9.9.9"), asking("::1"), asking("10.1.255.3")]) {
    equal(sentOf(limiter, context, 100, 0), 100);
  }
  for (const address of ["10.2.0.1", "::2", "192.0.2.1"]) {
    equal(sentOf(limiter, asking(address), 100, 0), 1, address);
  }
});

Deno.test("one in `slip` of what is limited is sent cut", () => {
  for (const slip of [0, 1, 2, 3, 10]) {
    const limiter = limiterOf({ perSecond: 1, slip });
    const context = asking("192.0.2.1");
    const verdicts = Array.from({ length: 601 }, () => judge(limiter, context, 0)).slice(1);
    const slipped = verdicts.filter((verdict) => verdict === VERDICT.slip).length;
    equal(slipped, slip === 0 ? 0 : 600 / slip, `slip ${slip}`);
    equal(verdicts.filter((verdict) => verdict === VERDICT.drop).length, 600 - slipped);
  }
});

Deno.test("a table that is too small forgets the networks that were away longest", () => {
  const limiter = limiterOf({ perSecond: 1, buckets: 64 });
  const victim = asking("192.0.2.1");
  equal(sentOf(limiter, victim, 5, 0), 1);
  let sent = 0;
  const other = asking("0.0.0.0");
  for (let i = 0; i < 10_000; i++) {
    other.address[0] = i >>> 8;
    other.address[1] = i;
    other.address[2] = i >>> 4;
    judge(limiter, other, i);
    // The victim is asked for all the time, and so its bucket stays.
    if (judge(limiter, victim, i) === VERDICT.send) sent++;
  }
  equal(sent, 9, "one a second");
});

Deno.test("a clock set back gives no tokens, and one that ran for weeks takes none", () => {
  const limiter = limiterOf({ perSecond: 10 });
  const context = asking("192.0.2.1");
  equal(sentOf(limiter, context, 20, 50_000), 10);
  equal(sentOf(limiter, context, 20, 20_000), 0);
  equal(sentOf(limiter, context, 20, 50_000), 0);
  equal(sentOf(limiter, context, 20, 50_000 + 30 * 86_400_000), 10);
});

Deno.test("where buckets meet depends on the seed", () => {
  const place = (seed: Uint32Array) => {
    const limiter = limiterOf({}, 1, seed);
    judge(limiter, asking("192.0.2.1"), 0);
    return limiter.buckets.findIndex((word) => word !== 0);
  };
  const places = new Set(
    [1, 2, 3, 4, 5, 6, 7, 8].map((salt) => place(SEED.map((word) => Math.imul(word, salt * 2 + 1)))),
  );
  ok(places.size > 4);
});

Deno.test("ranges are read as they are written, and what is none is refused", () => {
  equal(parseRange("10.0.0.0/8")?.bits, 8);
  equal(parseRange("192.0.2.1")?.bits, 32);
  equal(parseRange("2001:db8::/32")?.bits, 32);
  equal(parseRange("::/0")?.bits, 0);
  for (
    const text of [
      "",
      "10.0.0.1/8",
      "10.0.0.0/33",
      "10.0.0.0/-1",
      "10.0.0.0/08",
      "2001:db8::1/32",
      "a/8",
      "::/129",
      "1.2.3.4/8/8",
    ]
  ) {
    equal(parseRange(text), undefined, text);
  }
});

Deno.test("what slips is the question with TC, and the cookie of its OPT", () => {
  const cookie = Uint8Array.fromHex(
    "000a0018" + "0102030405060708" + "0100000000000000" + "1112131415161718",
  );
  const nsid = Uint8Array.fromHex("00030003616263");
  const question = Uint8Array.fromHex("0161047465737400" + "00010001");
  const answer = Uint8Array.fromHex("c00c" + "00010001" + "00000e10" + "0004" + "c0000201");
  const opt = Uint8Array.fromHex("00" + "0029" + "04d0" + "00008000" + "0023");
  const header = Uint8Array.fromHex("beef8500" + "0001000100000001");
  const whole = Uint8Array.from([...header, ...question, ...answer, ...opt, ...nsid, ...cookie]);
  const out = new Uint8Array(1232);
  out.set(whole);
  const length = slipAnswer(out, whole.length);
  equal(
    out.subarray(0, length).toHex(),
    "beef87000001000000000001" + question.toHex() + "00002904d000008000001c" + cookie.toHex(),
  );
  // Without OPT: header and question.
  out.set([...header.subarray(0, 11), 0, ...question, ...answer]);
  equal(slipAnswer(out, 12 + question.length + answer.length), 12 + question.length);
  equal(out[11], 0);
});
