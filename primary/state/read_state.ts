import { type Name, nameFrom } from "../../dns/mod.ts";
import { type Collection, openCollection } from "./collection.ts";
import { DatabaseSync } from "./sqlite.ts";
import { asOid, type ServedCommits, type State, type ZoneRow, zoneRow } from "./state.ts";

/** What a server's database says, for who looks at it from outside: at one moment, whatever is written meanwhile. */
export interface StateReader extends Pick<State, "served" | "zones"> {
  collection(name: string): Pick<Collection, "get" | "list">;
  close(): void;
}

/**
 * Opens `state.db` to read, beside a running server (write-ahead mode lets it write on) or after one.
 * @throws {Error} where there is none that can be read
 */
export function readState(path: string): StateReader {
  const db = new DatabaseSync(path, { readOnly: true });
  try {
    db.exec("PRAGMA busy_timeout = 2000; BEGIN");
    const branches = new Map(
      db.prepare("SELECT branch, oid FROM served").all().map((row) => [row.branch, row.oid]),
    );
    const served: ServedCommits = {
      main: asOid(branches.get("main")),
      machine: asOid(branches.get("machine")),
    };
    const rows = db.prepare("SELECT name, serial, file, held_at FROM zone").all();
    const zones = new Map<Name, ZoneRow>(rows.map((row) => [nameFrom(String(row.name)), zoneRow(row)]));
    return {
      served: () => served,
      zones: () => zones,
      collection: (name) => openCollection(db, name),
      close: () => db.close(),
    };
  } catch (error) {
    db.close();
    throw error;
  }
}
