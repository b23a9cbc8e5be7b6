/**
 * git's services by HTTP (gitprotocol-http, "smart"): the advertisement is a GET, each request after it a POST whose answer
 * is read as it comes. Works over any `HttpClient`, in a browser over `fetch` (`fetchHttpClient`).
 */
import type { HttpClient, Result } from "../../conduit/mod.ts";
import { StoreError } from "../types.ts";
import type { StatelessFlow } from "./channel.ts";
import { HttpExchange, type HttpOpenerOptions } from "./http_exchange.ts";
import type { OpenService } from "./remote.ts";

/**
 * Asks by `https://…` or `http://…` for either service. Faults are `StoreError`s: `malformed` for a URL that cannot be
 * used, `unreachable`, `remote` where the server refuses, `protocol` where it is no smart git server.
 */
export function httpOpener(client: HttpClient, url: string, options: HttpOpenerOptions = {}): OpenService {
  return async (service, version) => {
    const base = repositoryUrl(url);
    if (!base.ok) return base;
    const exchange = new HttpExchange(client, base.value, service, version, options);
    try {
      await exchange.discover();
    } catch (error) {
      exchange.close();
      if (error instanceof StoreError) return { ok: false, error };
      throw error;
    }
    return { ok: true, value: flowOf(exchange) };
  };
}

function flowOf(exchange: HttpExchange): StatelessFlow {
  return {
    stateless: true,
    description: exchange.description,
    peer: undefined,
    secure: exchange.secure,
    read: () => exchange.read(),
    write: (bytes) => exchange.write(bytes),
    end: () => exchange.end(),
    close: () => exchange.close(),
    diagnostics: () => "",
  };
}

function repositoryUrl(text: string): Result<URL, StoreError> {
  const refused = (reason: string): Result<URL, StoreError> => ({
    ok: false,
    error: new StoreError("malformed", reason),
  });
  if (!URL.canParse(text)) return refused("not a URL");
  const url = new URL(text);
  if (url.protocol !== "https:" && url.protocol !== "http:") {
    return refused(`${url.protocol} is neither https: nor http:`);
  }
  // They would end up in messages and logs.
  if (url.username !== "" || url.password !== "") return refused("a URL with user or password in it");
  if (url.search !== "" || url.hash !== "") return refused("a repository's URL has no ? and no #");
  return { ok: true, value: url };
}
