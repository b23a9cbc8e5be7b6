import { DatabaseSync } from "./sqlite.ts";
import { type Name, nameFrom, type ResourceRecord } from "../../dns/mod.ts";
import type { Oid, RefMove } from "../../store/mod.ts";
import { type Collection, openCollection } from "./collection.ts";
import { decodeRecords, encodeRecords } from "./record_blob.ts";
import { migrate } from "./schema.ts";

/**
 * What must survive a restart and is not in git: serials, journal, refs about to move, and documents of the
 * provisioner. SQLite in write-ahead mode, every commit synced, one writer: the primary that opened it.
 */
export interface State {
  /** True when `state.db` was there and could not be read, so that this one is new. */
  readonly recovered: boolean;
  served(): ServedCommits;
  zones(): Map<Name, ZoneRow>;
  /** THE COMMIT POINT of a change: when it returns, the change is durable and will be completed at the next start. */
  commit(change: StateChange): number;
  /** Every ref of the transaction has moved. */
  settle(txn: number): void;
  /** The transaction never happened: a ref it wanted to move is elsewhere. */
  undo(txn: number): void;
  pending(): PendingChange[];
  /** The differences that lead from a serial to the one served, oldest first; `undefined` where they are not known. */
  journal(zone: Name, from: number, to: number): JournalDelta[] | undefined;
  collection(name: string): Collection;
  close(): void;
}

export interface ServedCommits {
  readonly main: Oid | undefined;
  readonly machine: Oid | undefined;
}

export interface ZoneRow {
  readonly serial: number;
  /** Path of the zone file in the commit it is served from; `undefined` while the zone is not served. */
  readonly file: string | undefined;
  /** The commit it is served from, where that is not the one `served()` gives for `main`. */
  readonly heldAt: Oid | undefined;
}

export interface StateChange {
  readonly moves: readonly RefMove[];
  readonly served: ServedCommits;
  readonly zones: ReadonlyMap<Name, ZoneRow>;
  /** Zones whose older deltas lead nowhere any more: new, gone, or changed without a delta. */
  readonly forgotten: readonly Name[];
  readonly journal: readonly JournalDelta[];
}

/** One step of a zone. The first record of each side is the SOA of that side (RFC 1995 §4). */
export interface JournalDelta {
  readonly zone: Name;
  readonly from: number;
  readonly to: number;
  readonly deleted: readonly ResourceRecord[];
  readonly added: readonly ResourceRecord[];
}

export interface PendingChange {
  readonly txn: number;
  readonly moves: readonly RefMove[];
}

/** Deltas kept a zone; a secondary that is further behind transfers the whole zone. */
const JOURNAL_DEPTH = 256;
/** A delta larger than this is not kept: the whole zone is as good. */
const DELTA_RECORDS = 100_000;

/**
 * Opens `state.db`, made where it is not there. One that cannot be read is put aside under a name of its own and a
 * new one begun: the refs are the truth, and a broken side file is no reason not to serve.
 *
 * @param options.path a file, or `:memory:`
 * @param options.putAside renames the unreadable database and gives the new name
 * @param options.report told, in one line, of a database that was put aside
 * @throws {Error} when no database can be made at that path
 */
export function openState(options: {
  path: string;
  putAside: (path: string) => string;
  report: (message: string) => void;
}): State {
  try {
    return stateOver(openDatabase(options.path), false);
  } catch (error) {
    if (options.path === ":memory:" || isEnvironmental(error)) throw error;
    const kept = options.putAside(options.path);
    const cause = error instanceof Error ? error.message : String(error);
    options.report(
      `${options.path} cannot be read (${cause}); it is kept as ${kept}, serials are recovered from the repository`,
    );
    return stateOver(openDatabase(options.path), true);
  }
}

/** Renames a database and its side files out of the way. */
export function putDatabaseAside(path: string, stamp: string): string {
  const kept = `${path}.unreadable-${stamp}`;
  for (const suffix of ["", "-wal", "-shm"]) {
    try {
      Deno.renameSync(path + suffix, kept + suffix);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return kept;
}

function openDatabase(path: string): DatabaseSync {
  const db = new DatabaseSync(path);
  try {
    db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 2000");
    const check = db.prepare("PRAGMA quick_check(1)").get();
    if (check?.quick_check !== "ok") throw new Error(`quick_check says ${String(check?.quick_check)}`);
    migrate(db);
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

/** A folder that is not there, a disk that is full or a database in use say nothing about what the file holds. */
function isEnvironmental(error: unknown): boolean {
  const text = error instanceof Error ? error.message : "";
  return /unable to open|disk is full|locked|readonly|read-only/i.test(text);
}

function stateOver(db: DatabaseSync, recovered: boolean): State {
  const statements = {
    zones: db.prepare("SELECT name, serial, file, held_at FROM zone"),
    zone: db.prepare("SELECT name, serial, file, held_at FROM zone WHERE name = ?"),
    putZone: db.prepare(
      "INSERT INTO zone (name, serial, file, held_at) VALUES (?, ?, ?, ?) " +
        "ON CONFLICT (name) DO UPDATE SET serial = excluded.serial, file = excluded.file, held_at = excluded.held_at",
    ),
    dropZone: db.prepare("DELETE FROM zone WHERE name = ?"),
    served: db.prepare("SELECT branch, oid FROM served"),
    putServed: db.prepare(
      "INSERT INTO served (branch, oid) VALUES (?, ?) ON CONFLICT (branch) DO UPDATE SET oid = excluded.oid",
    ),
    pending: db.prepare("SELECT txn, moves FROM pending ORDER BY txn"),
    pendingOne: db.prepare("SELECT zones_before, served_before FROM pending WHERE txn = ?"),
    clearPending: db.prepare("DELETE FROM pending"),
    putPending: db.prepare("INSERT INTO pending (moves, zones_before, served_before) VALUES (?, ?, ?)"),
    settle: db.prepare("DELETE FROM pending WHERE txn = ?"),
    putDelta: db.prepare(
      "INSERT INTO journal (zone, txn, from_serial, to_serial, deleted, added) VALUES (?, ?, ?, ?, ?, ?)",
    ),
    forget: db.prepare("DELETE FROM journal WHERE zone = ?"),
    forgetTxn: db.prepare("DELETE FROM journal WHERE txn = ?"),
    prune: db.prepare(
      "DELETE FROM journal WHERE zone = ?1 AND txn NOT IN " +
        "(SELECT txn FROM journal WHERE zone = ?1 ORDER BY txn DESC LIMIT ?2)",
    ),
    deltas: db.prepare(
      "SELECT from_serial, to_serial, deleted, added FROM journal WHERE zone = ? ORDER BY txn DESC",
    ),
  };

  function served(): ServedCommits {
    const rows = new Map(statements.served.all().map((row) => [row.branch, row.oid]));
    return { main: asOid(rows.get("main")), machine: asOid(rows.get("machine")) };
  }

  function commit(change: StateChange): number {
    return inTransaction(db, () => {
      const before = [...change.zones.keys()].map((name) => [name, statements.zone.get(name) ?? null]);
      // Transactions run one at a time, so that every earlier one has moved its refs.
      statements.clearPending.run();
      const { lastInsertRowid } = statements.putPending.run(
        JSON.stringify(
          change.moves.map((move) => ({ name: move.name, old: move.old ?? null, new: move.new ?? null })),
        ),
        JSON.stringify(before),
        JSON.stringify(served()),
      );
      const txn = Number(lastInsertRowid);
      for (const [name, row] of change.zones) {
        statements.putZone.run(name, row.serial, row.file ?? null, row.heldAt ?? null);
      }
      putServed(change.served);
      for (const name of change.forgotten) statements.forget.run(name);
      for (const delta of change.journal) {
        if (delta.deleted.length + delta.added.length > DELTA_RECORDS) {
          statements.forget.run(delta.zone);
          continue;
        }
        statements.putDelta.run(
          delta.zone,
          txn,
          delta.from,
          delta.to,
          encodeRecords(delta.deleted),
          encodeRecords(delta.added),
        );
        statements.prune.run(delta.zone, JOURNAL_DEPTH);
      }
      return txn;
    });
  }

  function putServed(commits: { main?: string | undefined; machine?: string | undefined }): void {
    statements.putServed.run("main", commits.main ?? null);
    statements.putServed.run("machine", commits.machine ?? null);
  }

  function undo(txn: number): void {
    inTransaction(db, () => {
      const row = statements.pendingOne.get(txn);
      if (row === undefined) return;
      for (const [name, zone] of JSON.parse(String(row.zones_before))) {
        if (zone === null) statements.dropZone.run(name);
        else statements.putZone.run(name, zone.serial, zone.file, zone.held_at);
      }
      putServed(JSON.parse(String(row.served_before)));
      statements.forgetTxn.run(txn);
      statements.settle.run(txn);
    });
  }

  function settle(txn: number): void {
    // Lost with the power, this row only leads to moves that are found done: no sync is worth it here.
    db.exec("PRAGMA synchronous = NORMAL");
    try {
      statements.settle.run(txn);
    } finally {
      db.exec("PRAGMA synchronous = FULL");
    }
  }

  function journal(zone: Name, from: number, to: number): JournalDelta[] | undefined {
    const chain: JournalDelta[] = [];
    let wanted = to;
    if (from === to) return chain;
    for (const row of statements.deltas.iterate(zone)) {
      if (row.to_serial !== wanted) return undefined;
      wanted = Number(row.from_serial);
      chain.push({
        zone,
        from: wanted,
        to: Number(row.to_serial),
        deleted: decodeRecords(asBytes(row.deleted)),
        added: decodeRecords(asBytes(row.added)),
      });
      if (wanted === from) return chain.reverse();
    }
    return undefined;
  }

  return {
    recovered,
    served,
    zones: () => new Map(statements.zones.all().map((row) => [nameFrom(String(row.name)), zoneRow(row)])),
    commit,
    settle,
    undo,
    pending: () =>
      statements.pending.all().map((row) => ({
        txn: Number(row.txn),
        moves: JSON.parse(String(row.moves)).map((move: Record<string, unknown>): RefMove => ({
          name: String(move.name),
          old: asOid(move.old),
          new: asOid(move.new),
        })),
      })),
    journal,
    collection: (name) => openCollection(db, name),
    close: () => db.close(),
  };
}

export function zoneRow(row: Record<string, unknown>): ZoneRow {
  return {
    serial: Number(row.serial),
    file: typeof row.file === "string" ? row.file : undefined,
    heldAt: asOid(row.held_at),
  };
}

/** What we wrote ourselves is an object id or nothing. */
export function asOid(value: unknown): Oid | undefined {
  return typeof value === "string" && /^[0-9a-f]{40}$/.test(value) ? value as Oid : undefined;
}

function asBytes(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value;
  throw new Error("the journal holds something that is not bytes");
}

function inTransaction<T>(db: DatabaseSync, body: () => T): T {
  db.exec("BEGIN IMMEDIATE");
  try {
    const outcome = body();
    db.exec("COMMIT");
    return outcome;
  } catch (error) {
    if (db.isTransaction) db.exec("ROLLBACK");
    throw error;
  }
}
