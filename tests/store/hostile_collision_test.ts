/**
 * A pack that holds one half of a collision. Nobody has made two git objects of one id yet, so a hash that finds an attack
 * in a chosen content stands in for the real one, which tests/store/sha1_test.ts is about.
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { StoreError } from "../../store/error.ts";
import { utf8 } from "../../store/object/bytes.ts";
import { memoryDevice } from "../../store/repository/device/memory_device.ts";
import { runtimeTools } from "../../store/repository/open.ts";
import { initRepositoryOn } from "../../store/repository/repository.ts";
import { newSha1 } from "../../store/repository/sha1.ts";
import { newDetectingSha1 } from "../../store/sha1/detecting_sha1.ts";
import { handMadePack, TYPE } from "./hostile_fixture.ts";
import { HOSTILE_LIMITS } from "./hostile_packs.ts";

Deno.test("what others send is hashed with detection, what is ours without", () => {
  equal(runtimeTools.newReceivedSha1, newDetectingSha1);
  equal(runtimeTools.newSha1, newSha1);
});

Deno.test("a pack with one half of a collision is refused by name, and nothing of it stays", async () => {
  let seen = 0;
  const device = memoryDevice();
  const repository = await initRepositoryOn(device, {
    ...runtimeTools,
    newReceivedSha1: () => {
      const sha1 = newSha1();
      let attack = false;
      return {
        update(bytes) {
          attack ||= new TextDecoder().decode(bytes).includes("ATTACK");
          sha1.update(bytes);
        },
        digest() {
          seen++;
          if (attack) throw new StoreError("collision", "the content is part of an attack on SHA-1");
          return sha1.digest();
        },
      };
    },
  });
  const own = await repository.write("blob", utf8("ATTACK, but our own"));
  ok(await repository.has(own));
  equal(seen, 0);
  const before = await files();
  const quarantine = await repository.quarantine();
  const pack = handMadePack(
    ["one", "two: ATTACK", "three"].map((text) => ({ type: TYPE.blob, data: utf8(text) })),
  );
  const received = await quarantine.receivePack(
    async function* () {
      yield pack;
      await Promise.resolve();
    }(),
    HOSTILE_LIMITS,
  );
  ok(!received.ok);
  equal(received.error.code, "collision");
  match(received.error.message, /attack on SHA-1/);
  deepEqual([...quarantine.oids()], []);
  await quarantine.discard();
  deepEqual(await files(), before);

  async function files(folder = "objects"): Promise<string[]> {
    const found: string[] = [];
    for (const { name, isFolder } of await device.list(folder)) {
      if (isFolder) found.push(...await files(`${folder}/${name}`));
      else found.push(`${folder}/${name}`);
    }
    return found.sort();
  }
});
