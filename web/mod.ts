/** web: the HTTP face. The room's only door. */
export { createWebApp } from "./app.ts";
export type { ServedZone, ServerView } from "./view.ts";
