/**
 * The path in the repository that an `$INCLUDE` means: relative to the folder of the file that names it, or, beginning
 * with a slash, to the root of the repository. `undefined` for one that leads outside.
 */
export function includedPath(written: string, from: string): string | undefined {
  const parts = written.startsWith("/") ? [] : from.split("/").slice(0, -1);
  for (const part of written.split("/")) {
    if (part === "" || part === ".") continue;
    if (part !== "..") parts.push(part);
    else if (parts.pop() === undefined) return undefined;
  }
  return parts.length === 0 ? undefined : parts.join("/");
}
