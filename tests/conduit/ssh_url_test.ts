import { deepEqual, equal, match } from "node:assert/strict";
import { parseSshUrl, shellQuote } from "../../conduit/mod.ts";
import { realTest, run } from "../tools/real.ts";

Deno.test("ssh addresses: URLs and the scp form", () => {
  const cases: [string, { user: string | undefined; host: string; port: number; path: string }][] = [
    ["ssh://git@host.example:2222/zones.git", {
      user: "git",
      host: "host.example",
      port: 2222,
      path: "/zones.git",
    }],
    ["ssh://host/a/b", { user: undefined, host: "host", port: 22, path: "/a/b" }],
    ["git+ssh://git@[::1]:22/z", { user: "git", host: "::1", port: 22, path: "/z" }],
    ["ssh://git@host/~me/z.git", { user: "git", host: "host", port: 22, path: "~me/z.git" }],
    ["ssh://git@host/with%20space", { user: "git", host: "host", port: 22, path: "/with space" }],
    ["git@host:zones.git", { user: "git", host: "host", port: 22, path: "zones.git" }],
    ["host:/abs/zones.git", { user: undefined, host: "host", port: 22, path: "/abs/zones.git" }],
    ["git@[::1]:z", { user: "git", host: "::1", port: 22, path: "z" }],
  ];
  for (const [text, value] of cases) deepEqual(parseSshUrl(text), { ok: true, value }, text);
});

Deno.test("ssh addresses: what could be taken for an option or something else is refused", () => {
  const cases: [string, RegExp][] = [
    ["ssh://-oProxyCommand=x/path", /host begins with a hyphen/],
    ["ssh://-user@host/path", /user begins with a hyphen/],
    ["-oProxyCommand=x:path", /host begins with a hyphen/],
    ["git@host:-path", /path begins with a hyphen/],
    ["ssh://%2doops@host/path", /user begins with a hyphen/],
    ["ssh://git:secret@host/path", /no password/],
    ["ssh://host", /path is empty/],
    ["ssh://host/", /path is empty/],
    ["ssh:///path", /host is empty/],
    ["ssh://@host/path", /user is empty/],
    ["ssh://host:0/path", /0 is not a port/],
    ["ssh://host:65536/path", /not a port/],
    ["ssh://host:22x/path", /not a port/],
    ["ssh://ho st/path", /not a host name/],
    ["ssh://host/%zz", /percent sign/],
    ["ssh://host/a%0ab", /control characters/],
    ["ssh://host/a\nb", /control characters/],
    ["https://host/path", /another scheme/],
    ["/just/a/path", /not an SSH address/],
    ["", /not an SSH address/],
  ];
  for (const [text, reason] of cases) {
    const result = parseSshUrl(text);
    equal(result.ok, false, text);
    if (!result.ok) match(result.error, reason, text);
  }
});

realTest("a quoted word is one word to a real shell, whatever is in it", { needs: ["sh"] }, async () => {
  for (
    const word of ["/zones.git", "a b", "it's", "$(id)", "`id`", "'; id; '", "\\", "*", "-x", "", 'ü\n"!']
  ) {
    const { stdout } = await run("sh", ["-c", `printf '%s.' ${shellQuote(word)}`]);
    equal(stdout, `${word}.`);
  }
});
