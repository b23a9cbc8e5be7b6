import { deepEqual, equal, ok } from "node:assert/strict";
import fc from "fast-check";
import { nameFrom, recordToText, RRTYPE, serialGreater, soaSerial } from "../../dns/mod.ts";
import { type Oid, writeCommit, writeTree } from "../../store/mod.ts";
import { realTest } from "../tools/real.ts";
import { add, assertSound, type Fixture, openFixture, removeSet, update, zoneText } from "./fixture.ts";

const ZONE = nameFrom("example.test.");
const FIRST_SERIAL = 0xfffffffa;

type Step =
  | { readonly kind: "push"; readonly serial: number; readonly hosts: readonly number[] }
  | { readonly kind: "add" | "delete"; readonly host: number; readonly value: number }
  | { readonly kind: "restart" };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    kind: fc.constant("push" as const),
    serial: fc.constantFrom(0, 3, FIRST_SERIAL, 0xffffffff),
    hosts: fc.uniqueArray(fc.nat(4), { maxLength: 4 }),
  }),
  fc.record({ kind: fc.constantFrom("add" as const, "delete" as const), host: fc.nat(6), value: fc.nat(3) }),
  fc.record({ kind: fc.constant("restart" as const) }),
);

realTest(
  "whatever is pushed and updated, serials rise exactly with content, and the journal leads from each state to the next",
  {
    needs: ["git"],
  },
  async ({ dir }) => {
    let folder = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 14 }), async (steps) => {
        const own = `${dir}/${folder++}`;
        await Deno.mkdir(own);
        let fixture = await openFixture(own);
        equal(await pushZone(fixture, zoneText(FIRST_SERIAL)), true);
        let before = contentOf(fixture);
        for (const each of steps) {
          if (each.kind === "push") {
            const lines = each.hosts.map((host) => `h${host} A 192.0.2.${host}`);
            equal(await pushZone(fixture, zoneText(each.serial, ...lines)), true);
          } else if (each.kind === "restart") {
            await fixture.close();
            fixture = await openFixture(own);
          } else {
            const name = `h${each.host}.example.test.`;
            const outcome = each.kind === "add"
              ? await update(fixture, ZONE, add(`${name} 60 TXT ${each.value}`))
              : await update(fixture, ZONE, removeSet(name, "TXT"));
            ok(outcome.rcode === 0 || outcome.rcode === 5, JSON.stringify(outcome));
          }
          const after = contentOf(fixture);
          if (each.kind === "restart") deepEqual(after, before);
          const changed = [...after.records].join() !== [...before.records].join();
          if (changed) ok(serialGreater(after.serial, before.serial), `${before.serial} -> ${after.serial}`);
          else equal(after.serial, before.serial);
          replay(fixture, before, after);
          before = after;
        }
        equal(fixture.image.get(ZONE)?.serial, fixture.primary.zones()[0].serial);
        await fixture.close();
        await assertSound(own);
      }),
      { numRuns: 12 },
    );
  },
);

interface Content {
  readonly serial: number;
  /** Records as text, sorted, without the SOA. */
  readonly records: ReadonlySet<string>;
}

function contentOf(fixture: Fixture): Content {
  const zone = fixture.image.get(ZONE);
  ok(zone !== undefined);
  const records: string[] = [];
  for (const { owner, type, ttl, rdatas } of zone.records()) {
    for (const rdata of rdatas) {
      if (type === RRTYPE.SOA) equal(soaSerial(rdata), zone.serial);
      else records.push(recordToText({ owner, type, class: 1, ttl, rdata }));
    }
  }
  return { serial: zone.serial, records: new Set(records.sort()) };
}

/** Deleted taken away and added put in, one delta after the other, must give what is served: each was there, or was not. */
function replay(fixture: Fixture, before: Content, after: Content): void {
  const chain = fixture.primary.journal(ZONE, before.serial);
  ok(chain !== undefined, `no way from ${before.serial} to ${after.serial}`);
  const records = new Set(before.records);
  for (const delta of chain) {
    equal(soaSerial(delta.deleted[0].rdata), delta.from);
    equal(soaSerial(delta.added[0].rdata), delta.to);
    for (const each of delta.deleted.slice(1)) {
      ok(records.delete(recordToText(each)), "a record that was not there");
    }
    for (const each of delta.added.slice(1)) {
      ok(!records.has(recordToText(each)), "a record that was there already");
      records.add(recordToText(each));
    }
  }
  deepEqual([...records].sort(), [...after.records]);
}

async function pushZone(fixture: Fixture, text: string): Promise<boolean> {
  const { repository, primary } = fixture;
  const old = await repository.refs.get("refs/heads/main");
  const tree = await writeTree(
    repository,
    old,
    new Map([["example.test.zone", new TextEncoder().encode(text)]]),
  );
  const person = { name: "Test", email: "test@example.test", when: 1, zone: "+0000" };
  const commit: Oid = await writeCommit(repository, {
    tree,
    parents: old === undefined ? [] : [old],
    author: person,
    committer: person,
    message: "A change\n",
  });
  const reply = await primary.admitPush({
    moves: [{ name: "refs/heads/main", old, new: commit }],
    objects: repository,
    pushOptions: [],
    migrate: () => Promise.resolve(),
    say: () => Promise.resolve(),
  }, "tester");
  return reply.results.get("refs/heads/main")?.ok ?? false;
}
