import { deepEqual, equal } from "node:assert/strict";
import {
  createMemoryNetwork,
  createRegistry,
  explain,
  formatPlan,
  type Lookup,
  memoryResolver,
  sshResolver,
  tcpResolver,
  tlsResolver,
} from "../../conduit/mod.ts";

const lookup: Lookup = (host) =>
  host === "git.test"
    ? Promise.resolve(["192.0.2.1", "2001:db8::1"])
    : Promise.reject(new Error("ENOTFOUND"));

const registry = createRegistry()
  .with(tcpResolver({ lookup, priority: 3 }))
  .with(tlsResolver({ lookup, priority: 5 }))
  .with(tlsResolver({ lookup, priority: 7, host: "other.test" }))
  .with(tlsResolver({ lookup, priority: 1, roots: ["nonsense"] }))
  .with(sshResolver({ lookup, identity: "nonsense", hostKeys: [`SHA256:${"A".repeat(43)}`] }))
  .with(memoryResolver(createMemoryNetwork()));

Deno.test("a plan lists every route in order: what it would try, or why it does not apply", async () => {
  const plan = await explain(registry, { scheme: "tls", host: "git.test", port: 853, alpn: ["dot"] });
  equal(plan.required, "secure");
  deepEqual(
    plan.routes.map((route) => [
      route.resolver,
      route.priority,
      route.applies ? route.candidates.map(({ target }) => target) : route.code,
    ]),
    [
      ["tls other.test", 7, "not-applicable"],
      ["tls", 5, ["tls 192.0.2.1:853", "tls [2001:db8::1]:853"]],
      ["tcp", 3, "insecure"],
      ["tls", 1, "unconfigured"],
      ["ssh", 0, "not-applicable"],
      ["memory", 0, "insecure"],
    ],
  );
});

Deno.test("a plan as text is the same at every run", async () => {
  const endpoint = { scheme: "tls", host: "git.test", port: 853, alpn: ["dot"] } as const;
  const texts = [
    formatPlan(await explain(registry, endpoint)),
    formatPlan(await explain(registry, endpoint)),
  ];
  equal(texts[0], texts[1]);
  const notes =
    "the certificate must be for git.test; trusted: the runtime's own roots; no client certificate; offering dot";
  equal(
    texts[0],
    [
      "tls git.test:853, secure only",
      "-. tls other.test (tls, priority 7): not-applicable: configured for other.test only",
      "1. tls (tls, priority 5): 2 candidates",
      `   1.1 tls 192.0.2.1:853; ${notes}`,
      `   1.2 tls [2001:db8::1]:853; ${notes}`,
      "-. tcp (tcp, priority 3): insecure: tcp is less secure than tls git.test:853 asks for",
      "-. tls (tls, priority 1): unconfigured: a root is not a PEM certificate",
      "-. ssh (ssh, priority 0): not-applicable: not for tls endpoints",
      "-. memory (memory, priority 0): insecure: memory is less secure than tls git.test:853 asks for",
    ].join("\n"),
  );
});

Deno.test("a plan names what is missing: an address, a key that can be read", async () => {
  const name = formatPlan(await explain(registry, { scheme: "tcp", host: "no.test", port: 53 }));
  equal(name.split("\n")[0], "tcp no.test:53, plain or secure");
  equal(name.includes("tcp (tcp, priority 3): name: no.test was not resolved: ENOTFOUND"), true, name);
  const ssh = formatPlan(
    await explain(registry, { scheme: "ssh", host: "git.test", port: 22, user: "git", command: "x" }),
  );
  equal(ssh.includes("ssh (ssh, priority 0): unconfigured: the SSH identity cannot be used: "), true, ssh);
  equal(
    formatPlan(await explain(createRegistry(), { scheme: "tcp", host: "x", port: 1 })),
    "tcp x:1, plain or secure\nno protocol is registered",
  );
});

Deno.test("a plan takes no more time than it is given, and shows nothing that a terminal would act on", async () => {
  const slow = createRegistry().with(tcpResolver({ lookup: () => new Promise(() => {}) }));
  const plan = await explain(slow, { scheme: "tcp", host: "slow.test", port: 1 }, { timeoutMs: 10 });
  deepEqual(plan.routes.map((route) => route.applies || route.code), ["timeout"]);
  const loud = createRegistry().with(
    tcpResolver({ lookup: () => Promise.reject(new Error("\x1b[2Jgone\nand a line")) }),
  );
  const told = formatPlan(await explain(loud, { scheme: "tcp", host: "loud.test", port: 1 }));
  equal(
    told.split("\n")[1],
    "-. tcp (tcp, priority 0): name: loud.test was not resolved: ?[2Jgone?and a line",
  );
});
