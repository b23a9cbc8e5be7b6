import { type Name, parseName } from "../../dns/mod.ts";

/** What a path of branch `main` means. A bare domain name is a zone file only if its content or its past says so. */
export type PathMeaning =
  | { readonly kind: "zone"; readonly zone: Name }
  | { readonly kind: "perhaps-zone"; readonly zone: Name }
  | { readonly kind: "bad-zone-name"; readonly message: string }
  | { readonly kind: "keys" }
  | { readonly kind: "other" };

/**
 * The contract for branch `main`: a name ending in `.zone` is a zone file wherever it lies; at the root or directly
 * under `zones/` a domain name may be one; `_keys` files hold TSIG keys; anything else is left alone.
 */
export function meaningOf(path: string): PathMeaning {
  const slash = path.lastIndexOf("/");
  const folder = path.slice(0, slash + 1);
  const file = path.slice(slash + 1);

  if (file.endsWith(ZONE_SUFFIX)) {
    const zone = zoneNamed(file.slice(0, -ZONE_SUFFIX.length));
    if (zone !== undefined) return { kind: "zone", zone };
    return {
      kind: "bad-zone-name",
      message: `the file name "${file}" ends in .zone but "${
        file.slice(0, -ZONE_SUFFIX.length)
      }" is not a domain name`,
    };
  }
  if (file === "_keys" || file.endsWith("._keys")) return { kind: "keys" };
  if (folder === "" || folder === "zones/") {
    const zone = domainName(file);
    if (zone !== undefined) return { kind: "perhaps-zone", zone };
  }
  return { kind: "other" };
}

/** The file name, with its suffix, under which a zone is written on `main`. The inverse of `meaningOf`. */
export function zoneFileName(zone: Name): string {
  if (zone === ".") return ROOT_FILE + ZONE_SUFFIX;
  const text = zone.slice(0, -1).replaceAll("/", "%2F");
  return text + ZONE_SUFFIX;
}

const ZONE_SUFFIX = ".zone";
const ROOT_FILE = "root";

function zoneNamed(text: string): Name | undefined {
  return text === ROOT_FILE ? domainName(".") : domainName(text);
}

function domainName(fileName: string): Name | undefined {
  if (fileName === "") return undefined;
  const text = fileName.replaceAll(/%2f/gi, "/");
  const parsed = parseName(text.endsWith(".") ? text : `${text}.`);
  return parsed.ok ? parsed.value : undefined;
}
