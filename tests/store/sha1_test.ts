import { deepEqual, equal, match, notDeepEqual, ok, throws } from "node:assert/strict";
import { createHash } from "node:crypto";
import fc from "fast-check";
import { StoreError } from "../../store/error.ts";
import { utf8 } from "../../store/object/bytes.ts";
import { expandBlock } from "../../store/sha1/compress.ts";
import { vectorsLeft } from "../../store/sha1/conditions.ts";
import { newDetectingSha1 } from "../../store/sha1/detecting_sha1.ts";
import { messageDifference, VECTORS } from "../../store/sha1/vectors.ts";
import { realTest, run } from "../tools/real.ts";
import { gitBytes } from "./git_fixture.ts";
import { SHATTERED } from "./sha1_fixture.ts";

Deno.test("the digest is the runtime's, however the bytes are cut", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 700, size: "max" }),
      fc.array(fc.nat({ max: 130 }), { maxLength: 12 }),
      (bytes, cuts) => {
        const sha1 = newDetectingSha1();
        let at = 0;
        for (const length of cuts) {
          sha1.update(bytes.subarray(at, at + length));
          at += Math.min(length, bytes.length - at);
        }
        sha1.update(bytes.subarray(at));
        deepEqual(sha1.digest(), runtimes(bytes));
      },
    ),
    { numRuns: 1000 },
  );
});

Deno.test("every length about a block's end is padded rightly", () => {
  for (let length = 0; length <= 200; length++) {
    const bytes = new Uint8Array(length).fill(0x61);
    deepEqual(detecting(bytes), runtimes(bytes), `${length} bytes`);
  }
});

Deno.test("many megabytes of noise, of text and of zeros are no attack", () => {
  const bytes = new Uint8Array(8 << 20);
  deepEqual(detecting(bytes), runtimes(bytes));
  for (let at = 0; at < bytes.length; at += 1 << 16) {
    crypto.getRandomValues(bytes.subarray(at, at + (1 << 16)));
  }
  deepEqual(detecting(bytes), runtimes(bytes));
  const text = utf8(
    Array.from({ length: 100_000 }, (_, i) => `host-${i} IN A 192.0.2.${i % 256}\n`).join(""),
  );
  deepEqual(detecting(text), runtimes(text));
});

Deno.test("both halves of the first collision are detected", () => {
  const [a, b] = SHATTERED;
  notDeepEqual(a, b);
  deepEqual(runtimes(a), runtimes(b));
  for (const half of SHATTERED) {
    equal(half.length, 320);
    throws(() => detecting(half), isCollision);
  }
});

Deno.test("a collision is detected with anything after it, and forgotten by nobody", () => {
  for (const half of SHATTERED) {
    const sha1 = newDetectingSha1();
    sha1.update(half);
    for (let i = 0; i < 1000; i++) sha1.update(utf8("the rest of a file"));
    throws(() => sha1.digest(), isCollision);
  }
});

Deno.test("one changed bit makes the halves ordinary bytes", () => {
  for (const half of SHATTERED) {
    for (const at of [0, 100, 192, 200, 250, 319]) {
      const changed = half.slice();
      changed[at] ^= 1;
      deepEqual(detecting(changed), runtimes(changed));
    }
  }
});

Deno.test("two hashes worked on by turns do not disturb each other", () => {
  const parts = Array.from({ length: 50 }, (_, i) => utf8(`${i}`.repeat(i)));
  const one = newDetectingSha1();
  const other = newDetectingSha1();
  for (const part of parts) {
    one.update(part);
    other.update(SHATTERED[0].subarray(0, part.length));
  }
  deepEqual(one.digest(), runtimes(Uint8Array.from(parts.flatMap((part) => [...part]))));
});

Deno.test("there are 32 vectors, and each one's difference is an expanded message that ends its disturbances", () => {
  equal(VECTORS.length, 32);
  for (const vector of VECTORS) {
    const difference = messageDifference(vector);
    for (let t = 16; t < 80; t++) {
      const mixed = difference[t - 3] ^ difference[t - 8] ^ difference[t - 14] ^ difference[t - 16];
      equal(difference[t], (mixed << 1) | (mixed >>> 31));
    }
    // From the last disturbance before it the state has five steps to become equal; they end at K + 9 at the latest.
    const { k } = vector;
    const first = vector.type === 1 ? k + 5 : k + 9;
    ok(difference.subarray(first, k + 15).every((word) => word === 0), JSON.stringify(vector));
    ok(difference[k + 15] !== 0);
  }
});

Deno.test("both blocks of a half leave a vector to check, most blocks of noise leave none", () => {
  const words = new Int32Array(80);
  for (const half of SHATTERED) {
    for (const at of [192, 256]) {
      expandBlock(half, at, words);
      ok(vectorsLeft(words) !== 0);
    }
  }
  let left = 0;
  const noise = new Uint8Array(64);
  for (let i = 0; i < 10_000; i++) {
    crypto.getRandomValues(noise);
    expandBlock(noise, 0, words);
    if (vectorsLeft(words) !== 0) left++;
  }
  ok(left < 1000, `${left} of 10000`);
});

realTest("git takes the same bytes for the same attack", { needs: ["git"] }, async ({ dir }) => {
  // Git puts a header before what it hashes, which makes the halves harmless as objects; a conflict's sides it hashes bare.
  await run("git", ["init", "-q", dir]);
  const blob = new TextDecoder().decode(await gitBytes(dir, ["hash-object", "-w", "--stdin"], utf8("")));
  const stages = [1, 2, 3].map((stage) => `100644 ${blob.trim()} ${stage}\tf\n`).join("");
  await run("git", ["-C", dir, "update-index", "--index-info"], { stdin: stages });
  for (const half of SHATTERED) {
    const parts = [utf8("<<<<<<< ours\n"), half, utf8("\n=======\nzone\n>>>>>>> theirs\n")];
    await Deno.writeFile(`${dir}/f`, Uint8Array.from(parts.flatMap((part) => [...part])));
    const outcome = await run("git", ["-C", dir, "-c", "rerere.enabled=true", "rerere"], { check: false });
    ok(outcome.code !== 0);
    match(outcome.stderr, /appears to be part of a collision attack/);
  }
});

function isCollision(error: unknown): boolean {
  return error instanceof StoreError && error.code === "collision";
}

function detecting(bytes: Uint8Array): Uint8Array {
  const sha1 = newDetectingSha1();
  sha1.update(bytes);
  return sha1.digest();
}

function runtimes(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHash("sha1").update(bytes).digest());
}
