import type { DatabaseSync } from "./sqlite.ts";

/** A drawer of JSON documents by key: what another room must remember, without a table of its own. */
export interface Collection {
  get(key: string): unknown;
  /** Durable when it returns. The value must survive JSON. */
  put(key: string, value: unknown): void;
  list(): Map<string, unknown>;
  delete(key: string): boolean;
}

export function openCollection(db: DatabaseSync, name: string): Collection {
  const statements = {
    get: db.prepare("SELECT value FROM document WHERE collection = ? AND key = ?"),
    put: db.prepare(
      "INSERT INTO document (collection, key, value) VALUES (?, ?, ?) " +
        "ON CONFLICT (collection, key) DO UPDATE SET value = excluded.value",
    ),
    list: db.prepare("SELECT key, value FROM document WHERE collection = ? ORDER BY key"),
    delete: db.prepare("DELETE FROM document WHERE collection = ? AND key = ?"),
  };
  return {
    get: (key) => {
      const row = statements.get.get(name, key);
      return row === undefined ? undefined : JSON.parse(String(row.value));
    },
    put: (key, value) => {
      const text = JSON.stringify(value);
      if (text === undefined) throw new TypeError(`the document "${key}" of "${name}" is no JSON value`);
      statements.put.run(name, key, text);
    },
    list: () =>
      new Map(statements.list.all(name).map((row) => [String(row.key), JSON.parse(String(row.value))])),
    delete: (key) => Number(statements.delete.run(name, key).changes) > 0,
  };
}
