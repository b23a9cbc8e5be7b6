/** How DNS is answered: the `[dns]` table of the configuration, checked and with its defaults. Pure. */
import {
  type AddressRange,
  type AnswerSettings,
  DEFAULT_RATE_LIMIT,
  DEFAULT_SETTINGS,
  LOOPBACK,
  parseRange,
  type RateLimit,
  TCP_DEFAULTS,
  type TcpLimits,
} from "../dns/mod.ts";
import type { Config } from "./config.ts";
import { CliError } from "./errors.ts";

export interface DnsService {
  readonly settings: Omit<AnswerSettings, "cookieSecrets">;
  /** `undefined` where none are configured: then one is made at the start. */
  readonly cookieSecrets: readonly Uint8Array[] | undefined;
  /** `undefined` where it is off. */
  readonly rateLimit: RateLimit | undefined;
  readonly tcp: TcpLimits;
}

/** @throws {CliError} one line naming the key */
export function dnsService(config: NonNullable<Config["dns"]>): DnsService {
  const { nsid, version, id, tcp = {} } = config;
  const idleMs = tcp.idle ?? TCP_DEFAULTS.idleMs;
  const messageMs = tcp.message ?? TCP_DEFAULTS.messageMs;
  const keepaliveMs = tcp.keepalive ?? idleMs;
  for (const [key, ms] of [["idle", idleMs], ["message", messageMs]] as const) {
    if (ms < 100 || ms > 3_600_000) throw new CliError(`dns.tcp.${key}: from 100ms to 1h`);
  }
  if (keepaliveMs > 3_600_000) throw new CliError("dns.tcp.keepalive: at most 1h, and 0 for not telling it");
  return {
    settings: {
      nsid: new TextEncoder().encode(nsid ?? ""),
      version: version ?? "",
      id: id ?? "",
      keepalive: Math.floor(keepaliveMs / 100),
      udpPayload: config["udp-payload"] ?? DEFAULT_SETTINGS.udpPayload,
    },
    cookieSecrets: config["cookie-secrets"]?.map((secret) => Uint8Array.fromHex(secret)),
    rateLimit: rateLimit(config["rate-limit"] ?? {}),
    tcp: {
      maxConnections: tcp["max-connections"] ?? TCP_DEFAULTS.maxConnections,
      maxPerAddress: tcp["max-per-address"] ?? TCP_DEFAULTS.maxPerAddress,
      idleMs,
      messageMs,
    },
  };
}

function rateLimit(
  config: NonNullable<NonNullable<Config["dns"]>["rate-limit"]>,
): RateLimit | undefined {
  if (config.enabled === false) return undefined;
  return {
    ...DEFAULT_RATE_LIMIT,
    perSecond: config["per-second"] ?? DEFAULT_RATE_LIMIT.perSecond,
    kinds: {
      answer: config.answers,
      referral: config.referrals,
      nodata: config.nodata,
      nxdomain: config.nxdomain,
      error: config.errors,
      any: config.any,
    },
    slip: config.slip ?? DEFAULT_RATE_LIMIT.slip,
    ipv4Prefix: config["ipv4-prefix"] ?? DEFAULT_RATE_LIMIT.ipv4Prefix,
    ipv6Prefix: config["ipv6-prefix"] ?? DEFAULT_RATE_LIMIT.ipv6Prefix,
    exempt: config.exempt?.map(range) ?? LOOPBACK,
  };
}

function range(text: string): AddressRange {
  const parsed = parseRange(text);
  if (parsed === undefined) {
    throw new CliError(
      `dns.rate-limit.exempt: "${text}" is no network (as 192.0.2.0/24 or 2001:db8::/32, no bits set behind the prefix)`,
    );
  }
  return parsed;
}
