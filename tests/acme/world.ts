/** A primary, a ledger and a clock in memory, for tests of what drives them. */
import {
  compareRdata,
  isAtOrBelow,
  type Message,
  type Name,
  nameFrom,
  type RRset,
  RRTYPE,
  type UpdateOperation,
} from "../../dns/mod.ts";
import { hostOf } from "../../acme/record/tlsa.ts";
import { equalBytes } from "../../acme/record/bytes.ts";
import type { CertificatePrimary, Ledger, Wait } from "../../acme/provisioner/interfaces.ts";
import type { PullerClient } from "../../acme/puller/obtain.ts";
import type { UpdateJudge, UpdatingKey } from "../../acme/policy/update.ts";

export interface FakePrimary extends CertificatePrimary {
  readonly changes: { readonly operations: readonly UpdateOperation[]; readonly message: string }[];
  apply(operations: readonly UpdateOperation[]): void;
  names(): Name[];
  /** The name server that does not follow; `undefined` when all do. */
  laggard: string | undefined;
}

export function fakePrimary(...zones: string[]): FakePrimary {
  const sets = new Map<string, RRset>();
  const listeners = new Set<(owners: ReadonlySet<Name>) => void>();
  const origins = zones.map((zone) => nameFrom(zone));
  const key = (owner: Name, type: number) => `${owner} ${type}`;
  const primary: FakePrimary = {
    changes: [],
    laggard: undefined,
    zones: () => origins,
    rrset: (owner, type) => sets.get(key(owner, type)),
    requests: () =>
      [...sets.values()].filter((set) => set.type === RRTYPE.TLSA && hostOf(set.owner) !== undefined),
    names: () => [...new Set([...sets.values()].map((set) => set.owner))],
    apply(operations) {
      const owners = new Set<Name>();
      for (const operation of operations) {
        const owner = operation.kind === "add" ? operation.record.owner : operation.owner;
        owners.add(owner);
        if (!origins.some((origin) => isAtOrBelow(owner, origin))) throw new Error(`NOTAUTH ${owner}`);
        if (operation.kind === "delete-name") {
          for (const set of [...sets.values()]) if (set.owner === owner) sets.delete(key(owner, set.type));
          continue;
        }
        const type = operation.kind === "add" ? operation.record.type : operation.type;
        const present = sets.get(key(owner, type));
        const rdata = operation.kind === "add"
          ? operation.record.rdata
          : operation.kind === "delete-record"
          ? operation.rdata
          : undefined;
        const rest = rdata === undefined
          ? []
          : (present?.rdatas ?? []).filter((each) => !equalBytes(each, rdata));
        if (operation.kind === "add") rest.push(operation.record.rdata);
        const ttl = operation.kind === "add" ? operation.record.ttl : present?.ttl ?? 0;
        if (rest.length === 0) sets.delete(key(owner, type));
        else {sets.set(key(owner, type), {
            owner,
            type,
            ttl,
            rdatas: rest.sort((a, b) => compareRdata(a, b)),
          });}
      }
      queueMicrotask(() => listeners.forEach((listener) => listener(owners)));
    },
    change(operations, message) {
      primary.changes.push({ operations, message });
      try {
        primary.apply(operations);
        return Promise.resolve({ ok: true, value: undefined });
      } catch (error) {
        return Promise.resolve({ ok: false, error: { reason: String(error) } });
      }
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    everywhere(owner, type, rdata) {
      const there = sets.get(key(owner, type))?.rdatas.some((each) => equalBytes(each, rdata)) === true;
      const laggard = primary.laggard ?? (there ? undefined : "primary");
      return Promise.resolve(
        laggard === undefined ? { ok: true, value: undefined } : { ok: false, error: { laggard } },
      );
    },
  };
  return primary;
}

/** Values go through JSON, as a ledger on disk would have it. */
export function fakeLedger(): Ledger {
  const entries = new Map<string, string>();
  return {
    get: (key) => {
      const text = entries.get(key);
      return text === undefined ? undefined : JSON.parse(text);
    },
    put: (key, value) => void entries.set(key, JSON.stringify(value)),
    delete: (key) => void entries.delete(key),
    list: (prefix) => [...entries.keys()].filter((key) => key.startsWith(prefix)),
  };
}

export interface FakeClock {
  readonly now: () => number;
  readonly wait: Wait;
  /** Moves on, letting everything that is due run. */
  advance(milliseconds: number): Promise<void>;
}

export function fakeClock(start = Date.UTC(2026, 10, 23)): FakeClock {
  let time = start;
  const sleepers = new Set<{ at: number; wake: () => void }>();
  return {
    now: () => time,
    wait: (milliseconds, signal) =>
      new Promise((resolve) => {
        if (signal.aborted) return resolve();
        const sleeper = { at: time + milliseconds, wake };
        function wake() {
          sleepers.delete(sleeper);
          signal.removeEventListener("abort", wake);
          resolve();
        }
        signal.addEventListener("abort", wake);
        sleepers.add(sleeper);
      }),
    async advance(milliseconds) {
      const end = time + milliseconds;
      for (;;) {
        await settle();
        const next = [...sleepers].filter((each) => each.at <= end).sort((a, b) => a.at - b.at)[0];
        if (next === undefined) break;
        time = Math.max(time, next.at);
        next.wake();
      }
      time = end;
      await settle();
    },
  };
}

/** Lets everything that can go on without time go on: promises, and WebCrypto's threads. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 8; turn++) await new Promise((resolve) => setTimeout(resolve, 1));
}

/** A client whose server is the primary at hand, with its judge between them. */
export function directClient(primary: FakePrimary, judge: UpdateJudge, key: UpdatingKey): PullerClient {
  return {
    query(name, type) {
      const set = primary.rrset(name, type);
      const answers = (set?.rdatas ?? []).map((rdata) => ({
        owner: name,
        type,
        class: 1,
        ttl: set?.ttl ?? 0,
        rdata,
      }));
      return Promise.resolve({ ok: true, value: { ...EMPTY, answers } });
    },
    update({ operations }) {
      const judged = judge(operations, key, primary.rrset);
      if (!judged.ok) {
        const message = `the server answers REFUSED (${judged.reason})`;
        return Promise.resolve({ ok: false, error: { code: "rcode", message } });
      }
      primary.apply(judged.operations);
      return Promise.resolve({ ok: true, value: EMPTY });
    },
  };
}

const EMPTY: Message = {
  id: 0,
  opcode: 0,
  rcode: 0,
  response: true,
  authoritative: true,
  truncated: false,
  recursionDesired: false,
  recursionAvailable: false,
  authenticData: false,
  checkingDisabled: false,
  questions: [],
  answers: [],
  authorities: [],
  additionals: [],
  edns: undefined,
};
