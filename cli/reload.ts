/** SIGHUP: the configuration is read again. What can change while serving does; a bad one changes nothing. */
import { CliError } from "./errors.ts";
import { logOf } from "./log.ts";
import type { ServeSettings } from "./settings.ts";

/** What takes effect without a restart. */
export type LiveSettings = Pick<ServeSettings, "keys" | "logLevel" | "service"> & {
  readonly provisioners: readonly string[];
};

/**
 * @param read gives the settings anew, or throws `CliError`
 * @param apply takes over what is live; may throw `CliError`, having changed nothing
 * @returns the handler of the signal
 */
export function reloader(
  running: ServeSettings,
  read: () => ServeSettings,
  apply: (live: LiveSettings) => void,
): () => void {
  return () => {
    const log = logOf("serve");
    try {
      const next = read();
      apply(liveSettings(next));
      const fixed = changedFixed(running, next);
      const rest = fixed.length === 0 ? "" : `; ${fixed.join(", ")} take effect at the next start`;
      log.info(`configuration read again${rest}`);
    } catch (error) {
      if (!(error instanceof CliError)) throw error;
      log.error(`configuration not taken over, everything goes on as it was: ${error.message}`);
    }
  };
}

export function liveSettings(settings: ServeSettings): LiveSettings {
  const { keys, logLevel, service, acme } = settings;
  return { keys, logLevel, service, provisioners: acme.kind === "off" ? [] : acme.provisioners };
}

/** The settings that differ and are fixed for the life of a server. */
function changedFixed(running: ServeSettings, next: ServeSettings): string[] {
  const fixed = ["data", "zones", "dns", "ssh", "web", "workers", "remote", "repository", "git"] as const;
  const names: string[] = fixed.filter((name) =>
    JSON.stringify(running[name]) !== JSON.stringify(next[name])
  );
  if (JSON.stringify(running.service.tcp) !== JSON.stringify(next.service.tcp)) names.push("dns.tcp");
  const acme = (settings: ServeSettings) => JSON.stringify({ ...settings.acme, provisioners: undefined });
  return acme(running) === acme(next) ? names : [...names, "acme"];
}
