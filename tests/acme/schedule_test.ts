import { equal } from "node:assert/strict";
import { nameFrom } from "../../dns/mod.ts";
import { newJob } from "../../acme/provisioner/job.ts";
import {
  budgetAllowsAt,
  needsRenewal,
  PUBLIC_BUDGET,
  renewalAt,
  retryAt,
} from "../../acme/provisioner/schedule.ts";
import { type Need, step } from "../../acme/provisioner/step.ts";
import { instantOf } from "../../acme/authority/transport.ts";

const MINUTE = 60_000;
const DAY = 86_400_000;
const NOW = Date.UTC(2026, 10, 23);
const OWNER = nameFrom("_letsencrypt._tcp.x.example.test");
const LIMITS = { budget: undefined };
const need = (der: string, ...names: string[]): Need => ({
  request: { der, names },
  refusal: undefined,
  leaf: undefined,
  published: false,
});

Deno.test("renewal is due with a third of the life left, with half of it under ten days", () => {
  const rows: readonly [life: number, left: number][] = [[90, 30], [45, 15], [10, 10 / 3], [6, 3]];
  for (const [life, left] of rows) {
    const certificate = { notBefore: NOW, notAfter: NOW + life * DAY };
    equal(renewalAt(certificate), certificate.notAfter - Math.floor(left * DAY));
    equal(needsRenewal(certificate, renewalAt(certificate) - 1), false);
    equal(needsRenewal(certificate, renewalAt(certificate)), true);
  }
});

Deno.test("failures are retried after 1, 10 and 100 minutes, then daily; a server may ask for up to a week", () => {
  for (const [failures, minutes] of [[1, 1], [2, 10], [3, 100], [4, 1440], [50, 1440]]) {
    equal(retryAt(failures, NOW), NOW + minutes * MINUTE);
  }
  equal(retryAt(1, NOW, NOW + 5 * MINUTE), NOW + 5 * MINUTE);
  equal(retryAt(2, NOW, NOW + 5 * MINUTE), NOW + 10 * MINUTE);
  equal(retryAt(1, NOW, NOW + 400 * DAY), NOW + 7 * DAY);
});

Deno.test("the sixth certificate for the same names in seven days waits for the first to be seven days old", () => {
  const issued = [0, 1, 2, 3].map((day) => NOW + day * DAY);
  equal(budgetAllowsAt(issued, PUBLIC_BUDGET, NOW + 4 * DAY), NOW + 4 * DAY);
  equal(budgetAllowsAt([...issued, NOW + 4 * DAY], PUBLIC_BUDGET, NOW + 5 * DAY), NOW + 7 * DAY);
  equal(budgetAllowsAt([...issued, NOW + 4 * DAY], undefined, NOW + 5 * DAY), NOW + 5 * DAY);
});

Deno.test("Retry-After is seconds or a date", () => {
  equal(instantOf("120", NOW), NOW + 120_000);
  equal(instantOf("Mon, 23 Nov 2026 00:02:00 GMT", NOW), NOW + 120_000);
  equal(instantOf("soon", NOW), undefined);
});

Deno.test("a request taken away and put back does not reset the wait after a failure", () => {
  let { job } = step(newJob(OWNER), { on: "consider", need: need("r1", "x.example.test") }, NOW, LIMITS);
  equal(job.phase.at, "ordering");
  const problem = { type: "urn:ietf:params:acme:error:rejectedIdentifier", detail: "no", status: 403 };
  ({ job } = step(job, { on: "failed", problem }, NOW, LIMITS));
  equal(job.phase.at, "cleaning");
  ({ job } = step(job, { on: "cleaned" }, NOW, LIMITS));
  const gone: Need = { request: undefined, refusal: undefined, leaf: undefined, published: false };
  ({ job } = step(job, { on: "consider", need: gone }, NOW, LIMITS));
  const back = step(job, { on: "consider", need: need("r2", "x.example.test") }, NOW + 1, LIMITS);
  equal(back.job.phase.at, "idle");
  equal(JSON.stringify(back.effects), JSON.stringify([{ do: "wait", until: NOW + MINUTE }]));
  const later = step(back.job, { on: "consider", need: need("r2", "x.example.test") }, NOW + MINUTE, LIMITS);
  equal(later.job.phase.at, "ordering");
});

Deno.test("changing between two sets of names while orders run is slowed down like failures", () => {
  let { job } = step(newJob(OWNER), { on: "consider", need: need("a", "x.example.test") }, NOW, LIMITS);
  let orders = 1;
  for (let turn = 0; turn < 40; turn++) {
    const names = turn % 2 === 0 ? ["x.example.test", "y.x.example.test"] : ["x.example.test"];
    let next = step(job, { on: "consider", need: need(names.join(), ...names) }, NOW + turn, LIMITS);
    if (next.job.phase.at === "cleaning") {
      next = step(next.job, { on: "cleaned" }, NOW + turn, LIMITS);
      next = step(next.job, { on: "consider", need: need(names.join(), ...names) }, NOW + turn, LIMITS);
    }
    if (next.effects.some((effect) => effect.do === "order")) orders++;
    job = next.job;
  }
  equal(orders, 2);
});

Deno.test("an authority that is busy is asked again with the same order, at the time it names", () => {
  let { job } = step(newJob(OWNER), { on: "consider", need: need("a", "x.example.test") }, NOW, LIMITS);
  const order = {
    url: "o",
    status: "pending" as const,
    names: ["x.example.test"],
    authorizations: [],
    finalize: "f",
    expires: NOW + 7 * DAY,
  };
  ({ job } = step(job, { on: "ordered", order }, NOW, LIMITS));
  const problem = { type: "t", detail: "busy", status: 503, retryAfter: NOW + 5 * MINUTE };
  const held = step(job, { on: "failed", problem }, NOW, LIMITS);
  equal(held.job.phase.at, "authorizing");
  equal(JSON.stringify(held.effects), JSON.stringify([{ do: "wait", until: NOW + 5 * MINUTE }]));
  const again = step(held.job, { on: "resume" }, NOW + 5 * MINUTE, LIMITS);
  equal(again.effects[0].do, "authorize");
});
