import { Hono } from "hono";
import { html } from "hono/html";
import { secureHeaders } from "hono/secure-headers";
import { historyRoute } from "./history.ts";
import type { ServedZone, ServerView } from "./view.ts";

/**
 * The HTTP application: `GET /healthz` and `/zones/NAME/history/SERIAL` for programs, `GET /` for people. It reads the server and changes nothing.
 *
 * ```ts
 * Deno.serve({ port: 0 }, createWebApp(view).fetch);
 * ```
 */
export function createWebApp(view: ServerView): Hono {
  const app = new Hono();
  app.use(secureHeaders({
    contentSecurityPolicy: {
      defaultSrc: ["'none'"],
      styleSrc: ["'unsafe-inline'"],
      frameAncestors: ["'none'"],
    },
  }));
  app.get("/healthz", (context) => context.json({ zones: view.zones().map(healthOf) }));
  app.get("/", (context) => context.html(page(view)));
  historyRoute(app, view.history);
  app.notFound((context) => context.text("there is / for people and /healthz for programs\n", 404));
  return app;
}

function healthOf({ name, serial, main, machine }: ServedZone) {
  return { name, serial: serial ?? null, main: main ?? null, machine: machine ?? null };
}

function page(view: ServerView) {
  const zones = view.zones();
  return html`
    <!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>Bailiwick</title>
        <style>
    :root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
    body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
    table { border-collapse: collapse; width: 100% }
    th, td { text-align: left; padding: .4rem .8rem .4rem 0; border-bottom: 1px solid color-mix(in srgb, currentColor 20%, transparent) }
    td.number { font-variant-numeric: tabular-nums }
    code { font-size: .9em }
    .remark { color: light-dark(#a33, #f99) }
    footer { margin-top: 2rem; opacity: .7; font-size: .9em }
    </style>
      </head>
      <body>
        <h1>Bailiwick</h1>
        <p>${zones.length} ${zones.length === 1 ? "zone" : "zones"} served.</p>
        <table>
          <thead>
            <tr>
              <th>Zone</th>
              <th>Serial</th>
              <th>main</th>
              <th>machine</th>
            </tr>
          </thead>
          <tbody>${zones.map(row)}</tbody>
        </table>
        <footer>${view.version} · <a href="/healthz">/healthz</a></footer>
      </body>
    </html>
  `;
}

function row(zone: ServedZone) {
  const remarks = zone.remarks.map((remark) => html`<div class="remark">${remark}</div>`);
  return html`
    <tr>
      <td>${zone.name}${remarks}</td>
      <td class="number">${zone.serial ?? "not served"}</td>
      <td><code>${zone.main?.slice(0, 12) ?? "–"}</code></td>
      <td><code>${zone.machine?.slice(0, 12) ?? "–"}</code></td>
    </tr>
  `;
}
