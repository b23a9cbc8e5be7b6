/** The configuration file: TOML, every key optional, unknown keys refused by name. */
import { parse, TomlError } from "smol-toml";
import { z } from "zod";
import { parseDuration } from "./duration.ts";
import { CliError, sentence } from "./errors.ts";

const duration = z.union([z.string(), z.number().int().nonnegative().transform(String)])
  .transform((text, context) => {
    const ms = parseDuration(text);
    if (ms === undefined) {
      context.addIssue({ code: "custom", message: `"${text}" is not a duration (as 30s, 5m, 1h)` });
      return z.NEVER;
    }
    return ms;
  });

const octets = (most: number) =>
  z.string().refine((text) => new TextEncoder().encode(text).length <= most, {
    message: `longer than ${most} octets`,
  });

const rate = z.number().int().min(0).max(1_000_000);

const addresses = z.union([z.string(), z.array(z.string()).min(1)]);

const DnsSchema = z.strictObject({
  listen: addresses.optional(),
  "udp-payload": z.number().int().min(512).max(4096).optional(),
  nsid: octets(128).optional(),
  version: octets(255).optional(),
  id: octets(255).optional(),
  "cookie-secrets": z.array(
    // The text of a secret must not get into a message.
    z.string().regex(/^[0-9a-f]{32}$/i, "a cookie secret is 32 hexadecimal digits"),
  ).max(4).optional(),
  "rate-limit": z.strictObject({
    enabled: z.boolean().optional(),
    "per-second": rate.min(1).optional(),
    answers: rate.optional(),
    referrals: rate.optional(),
    nodata: rate.optional(),
    nxdomain: rate.optional(),
    errors: rate.optional(),
    any: rate.optional(),
    slip: z.number().int().min(0).max(100).optional(),
    "ipv4-prefix": z.number().int().min(8).max(32).optional(),
    "ipv6-prefix": z.number().int().min(16).max(64).optional(),
    exempt: z.array(z.string()).max(1000).optional(),
  }).optional(),
  tcp: z.strictObject({
    "max-connections": z.number().int().min(1).max(1_000_000).optional(),
    "max-per-address": z.number().int().min(1).max(1_000_000).optional(),
    idle: duration.optional(),
    message: duration.optional(),
    keepalive: duration.optional(),
  }).optional(),
});

const ConfigSchema = z.strictObject({
  data: z.string().optional(),
  zones: z.string().optional(),
  // The addresses alone stand for the table in which they are all.
  dns: z.preprocess(
    (value) => typeof value === "string" || Array.isArray(value) ? { listen: value } : value,
    DnsSchema.optional(),
  ),
  ssh: z.string().optional(),
  web: z.string().optional(),
  workers: z.number().int().min(1).max(256).optional(),
  log: z.strictObject({ level: z.enum(["debug", "info", "warning", "error"]).optional() }).optional(),
  repository: z.strictObject({
    remote: z.string().optional(),
    branch: z.string().optional(),
    identity: z.string().optional(),
    "host-key": z.union([z.string(), z.array(z.string()).min(1)]).optional(),
    "known-hosts": z.string().optional(),
    roots: z.string().optional(),
    proxy: z.string().optional(),
    "client-certificate": z.string().optional(),
    "client-key": z.string().optional(),
    "token-file": z.string().optional(),
    "password-file": z.string().optional(),
    insecure: z.boolean().optional(),
    depth: z.union([z.literal("full"), z.number().int().min(1).max(1_000_000)]).optional(),
    poll: duration.optional(),
    grace: duration.optional(),
    "require-signed": z.boolean().optional(),
    "allowed-signers": z.string().optional(),
  }).optional(),
  git: z.strictObject({
    daemon: z.string().optional(),
    http: z.string().optional(),
    "password-file": z.string().optional(),
  }).optional(),
  acme: z.strictObject({
    authority: z.string().optional(),
    "agree-terms": z.boolean().optional(),
    contact: z.array(z.string()).optional(),
    roots: z.string().optional(),
    provisioners: z.array(z.string()).optional(),
  }).optional(),
  keys: z.record(
    z.string(),
    z.strictObject({ algorithm: z.string().default("hmac-sha256"), secret: z.string() }),
  ).optional(),
});

export type Config = z.infer<typeof ConfigSchema>;

/**
 * Reads the text of a configuration file.
 * @param file its name, for messages
 * @throws {CliError} one line: file, line and column for syntax; file, key and reason for values
 */
export function parseConfig(text: string, file: string): Config {
  let raw: unknown;
  try {
    raw = parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const reason = sentence(error).replace(/^Invalid TOML document: /, "").split(/\s+\d+:/)[0];
    throw new CliError(`${file}:${error.line}:${error.column}: ${reason}`);
  }
  const result = ConfigSchema.safeParse(raw);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const key = issue.path.map(String).join(".");
  if (issue.code === "unrecognized_keys") {
    const unknown = issue.keys.map((name) => (key === "" ? name : `${key}.${name}`)).join(", ");
    throw new CliError(`${file}: unknown key ${unknown}`);
  }
  throw new CliError(`${file}: ${key}: ${issue.message}`);
}
