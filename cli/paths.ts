import { isAbsolute, join, normalize } from "node:path";

/** A path that the user wrote, resolved against the user's folder: `INIT_CWD` under a task, else where we run. */
export function userPath(path: string): string {
  return isAbsolute(path) ? normalize(path) : join(Deno.env.get("INIT_CWD") ?? Deno.cwd(), path);
}
