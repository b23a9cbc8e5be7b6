import type { DatabaseSync } from "./sqlite.ts";

/** Brings a database to the newest form. @throws {Error} when it was written by a newer program, or is damaged */
export function migrate(db: DatabaseSync): void {
  db.exec("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL) STRICT");
  const row = db.prepare("SELECT max(version) AS version FROM schema_version").get();
  const version = typeof row?.version === "number" ? row.version : 0;
  if (version > STEPS.length) {
    throw new Error(`it has form ${version}, this program knows forms up to ${STEPS.length}`);
  }
  for (let at = version; at < STEPS.length; at++) {
    db.exec("BEGIN IMMEDIATE");
    try {
      db.exec(STEPS[at]);
      db.prepare("INSERT INTO schema_version (version) VALUES (?)").run(at + 1);
      db.exec("COMMIT");
    } catch (error) {
      db.exec("ROLLBACK");
      throw error;
    }
  }
}

/** Each step leads from the form before it to the next; a step that was released is never changed. */
const STEPS: readonly string[] = [
  `
  -- One row a zone ever served, so that its serial never falls, even after the zone was away.
  CREATE TABLE zone (
    name TEXT PRIMARY KEY,
    serial INTEGER NOT NULL,
    file TEXT,                -- its path in the commit it is served from; NULL while the zone is not served
    held_at TEXT              -- that commit where it is not served_main: the last good one of a zone now faulty
  ) STRICT, WITHOUT ROWID;

  -- The commits served: 'main' and 'machine'.
  CREATE TABLE served (branch TEXT PRIMARY KEY, oid TEXT) STRICT, WITHOUT ROWID;

  -- Transactions whose refs have not all moved yet, with the rows as they were.
  CREATE TABLE pending (
    txn INTEGER PRIMARY KEY AUTOINCREMENT,
    moves TEXT NOT NULL,      -- JSON: [{name, old, new}], null for "not there"
    zones_before TEXT NOT NULL,  -- JSON: [[name, row or null]]
    served_before TEXT NOT NULL  -- JSON: {main, machine}
  ) STRICT;

  -- Exact differences, for IXFR: from_serial, deleted taken away and added put in, is to_serial.
  CREATE TABLE journal (
    zone TEXT NOT NULL,
    txn INTEGER NOT NULL,
    from_serial INTEGER NOT NULL,
    to_serial INTEGER NOT NULL,
    deleted BLOB NOT NULL,
    added BLOB NOT NULL,
    PRIMARY KEY (zone, txn)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE document (
    collection TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,      -- JSON
    PRIMARY KEY (collection, key)
  ) STRICT, WITHOUT ROWID;
  `,
];
