import type { Endpoint, SecurityLevel } from "./endpoint.ts";
import type { Flow, Result } from "./flow.ts";
import type { AttemptOptions, ConnectError, Resolver } from "./protocol.ts";

/**
 * The ways to reach peers that one instance of the program knows. Immutable: `with` gives another registry.
 */
export interface Registry {
  /** Highest priority first. */
  readonly routes: readonly Route[];
  with<Config>(resolver: Resolver<Config>): Registry;
}

/** A resolver and its protocol, with the type of the configuration that passes between them sealed inside. */
export interface Route {
  readonly resolver: string;
  readonly protocol: string;
  readonly priority: number;
  readonly security: SecurityLevel;
  targets(endpoint: Endpoint, options: AttemptOptions): Promise<Result<readonly Target[], ConnectError>>;
}

export interface Target {
  readonly description: string;
  readonly notes: readonly string[];
  connect(options: AttemptOptions): Promise<Result<Flow, ConnectError>>;
}

/** A registry that knows nothing yet. */
export function createRegistry(): Registry {
  return registryOf([]);
}

function registryOf(routes: readonly Route[]): Registry {
  return Object.freeze({
    routes: Object.freeze([...routes]),
    with: <Config>(resolver: Resolver<Config>) =>
      // The sort is stable, so equals keep the order of registration.
      registryOf([...routes, routeOf(resolver)].sort((a, b) => b.priority - a.priority)),
  });
}

function routeOf<Config>(resolver: Resolver<Config>): Route {
  const { protocol } = resolver;
  return Object.freeze({
    resolver: resolver.name,
    protocol: protocol.name,
    priority: resolver.priority,
    security: protocol.security,
    async targets(
      endpoint: Endpoint,
      options: AttemptOptions,
    ): Promise<Result<readonly Target[], ConnectError>> {
      const resolution = await resolver.resolve(endpoint, options);
      if (!resolution.applies) return { ok: false, error: resolution.error };
      const targets = resolution.candidates.map(({ target, config, notes = [] }) => ({
        description: target,
        notes,
        connect: (attempt: AttemptOptions) => protocol.connect(config, attempt),
      }));
      return { ok: true, value: targets };
    },
  });
}
