/**
 * Whether a name may be a full ref name: the rules of git-check-ref-format(1), below `refs/`, and short enough for
 * a file system with room for `.lock`. What passes cannot leave the folder it is joined to.
 */
export function isRefName(name: string): boolean {
  if (!name.startsWith("refs/") || name.length > 1024) return false;
  if (forbidden.test(name) || name.includes("..") || name.includes("@{") || name.endsWith(".")) return false;
  return name.split("/").every(isComponent);
}

// deno-lint-ignore no-control-regex -- control characters are what is refused; lone surrogates have no UTF-8
const forbidden = /[\x00-\x20\x7f~^:?*[\\\ud800-\udfff\ufffd]/;

function isComponent(component: string): boolean {
  return component !== "" && !component.startsWith(".") && !component.endsWith(".lock") &&
    new TextEncoder().encode(component).length <= 250;
}
