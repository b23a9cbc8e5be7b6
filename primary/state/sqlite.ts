/** SQLite, with its types: `@types/ssh2` brings those of Node 18, which has none, and they win for the whole program. */
import type {} from "node-types";

export { DatabaseSync } from "node:sqlite";
