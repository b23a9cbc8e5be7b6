import type { Result } from "../../conduit/mod.ts";
import { StoreError } from "../types.ts";
import type { ObjectKind, ObjectReader, Oid } from "../types.ts";
import { objectLinks } from "../object/links.ts";

/**
 * Whether everything that the new tips lead to is there, walking only through what is not in the repository yet: what is
 * in it is whole by the same rule. Each object is read once, so the walk is bounded by what arrived; `maximum` bounds
 * it also where `inRepository` says no for ever.
 */
export async function checkConnectivity(
  reader: ObjectReader,
  newTips: Iterable<Oid>,
  inRepository: (oid: Oid) => Promise<boolean>,
  maximum = 10_000_000,
): Promise<Result<void, StoreError>> {
  const failed = (message: string): Result<void, StoreError> => ({
    ok: false,
    error: new StoreError("connectivity", message),
  });
  const seen = new Set<Oid>();
  const queue: { oid: Oid; kind: ObjectKind | undefined; from: Oid | undefined }[] = [];
  for (const oid of newTips) queue.push({ oid, kind: undefined, from: undefined });
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    const { oid, kind, from } = next;
    if (seen.has(oid)) continue;
    seen.add(oid);
    if (seen.size > maximum) return failed(`more than ${maximum} objects to check`);
    if (await inRepository(oid)) continue;
    const object = await reader.read(oid);
    if (object === undefined) {
      return failed(
        from === undefined ? `object ${oid} is missing` : `${kind} ${oid} is missing, which ${from} needs`,
      );
    }
    if (kind !== undefined && object.kind !== kind) {
      return failed(`object ${oid} is a ${object.kind} where ${from} needs a ${kind}`);
    }
    try {
      for (const link of objectLinks(object)) if (!seen.has(link.oid)) queue.push({ ...link, from: oid });
    } catch (error) {
      if (error instanceof StoreError) return failed(`object ${oid} cannot be followed: ${error.message}`);
      throw error;
    }
  }
  return { ok: true, value: undefined };
}
