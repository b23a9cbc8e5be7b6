import { StoreError } from "../types.ts";
import type { Repository } from "../types.ts";
import type { Bundle } from "./open_bundle.ts";

/**
 * A bundle as a repository whose branch `main` is its commit: it can be read and fetched from, and takes nothing. The
 * commit's parents are not in it, so the commit is where history is cut.
 */
export function bundleRepository(bundle: Bundle): Repository {
  const { path, commit, parents } = bundle;
  const refuse = () => Promise.reject(new StoreError("io", `${path} is a bundle, which cannot be changed`));
  const refs = new Map([[MAIN, commit]]);
  return {
    path,
    read: bundle.read,
    has: bundle.has,
    storedEntry: bundle.storedEntry,
    refs: {
      get: (name) => Promise.resolve(refs.get(name === "HEAD" ? MAIN : name)),
      list: (prefix = "refs/") =>
        Promise.resolve(new Map([...refs].filter(([name]) => name.startsWith(prefix)))),
      head: () => Promise.resolve(MAIN),
      move: ({ name }) => {
        const message = `${name} cannot move: ${path} is a bundle, which cannot be changed`;
        return Promise.resolve({ ok: false, error: { code: "locked", name, message } });
      },
    },
    shallow: {
      list: () => Promise.resolve(new Set(parents.length === 0 ? [] : [commit])),
      update: refuse,
    },
    write: refuse,
    sync: () => Promise.resolve(),
    quarantine: refuse,
    damage: () => [],
    collect: refuse,
    collectionDue: () => Promise.resolve(false),
    close: () => bundle.close(),
  };
}

const MAIN = "refs/heads/main";
