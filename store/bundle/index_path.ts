/** Where the index of a pack lies: beside it, `.idx` for `.pack` (git-index-pack(1)). */
export function bundleIndexPath(pack: string): string {
  return `${pack.replace(/\.pack$/, "")}.idx`;
}
