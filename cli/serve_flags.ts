/** What `serve` can be told on its command line: defined here once, for whoever reads the words. */
import { parseArgs } from "node:util";
import type { ServeFlags } from "./settings.ts";

/** By name; `form` and `says` are for people. */
export const SERVE_FLAGS = {
  config: { type: "string", form: "<file>", says: "configuration file (TOML)" },
  data: { type: "string", form: "<dir>", says: "data directory (default .bailiwick)" },
  zones: {
    type: "string",
    form: "<dir|bundle.pack>",
    says: "zones of the first start, or a bundle to serve (default zones)",
  },
  dns: {
    type: "string",
    multiple: true,
    form: "<host:port>",
    says: "DNS address, may be repeated (default 127.0.0.1:5300)",
  },
  ssh: { type: "string", form: "<host:port|off>", says: "git over SSH (default 127.0.0.1:2222)" },
  web: { type: "string", form: "<host:port|off>", says: "web page and health (default 127.0.0.1:8053)" },
  workers: { type: "string", form: "<n>", says: "UDP workers (default one a core)" },
  acme: {
    type: "string",
    form: "<authority>",
    says: "local, staging, production, a directory URL or off (default local)",
  },
} as const;

/**
 * The flags of `serve`, where these words are that and nothing is wrong with them; `undefined` for all that takes the
 * parser of all commands, which a server should not have in memory for as long as it runs.
 */
export function plainServe([command, ...args]: readonly string[]): ServeFlags | undefined {
  if (command !== "serve") return undefined;
  try {
    return parseArgs({ args, options: SERVE_FLAGS }).values;
  } catch (error) {
    // Help, or a slip: told in the words of the other parser.
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}
