/** Which words are a plain `serve`, and what they say. */
import { deepEqual, equal } from "node:assert/strict";
import { plainServe } from "../../cli/serve_flags.ts";

Deno.test("the flags of serve are read in both forms, the last one counts, and addresses add up", () => {
  const words = "serve --data a --data=b --dns 127.0.0.1:1 --dns=[::1]:2 --workers 3 --ssh off".split(" ");
  deepEqual({ ...plainServe(words) }, {
    data: "b",
    dns: ["127.0.0.1:1", "[::1]:2"],
    workers: "3",
    ssh: "off",
  });
  deepEqual({ ...plainServe(["serve"]) }, {});
});

Deno.test("other commands, help and slips are left to the parser of all commands", () => {
  for (
    const words of [
      "",
      "status",
      "--version",
      "serve --help",
      "serve -h",
      "serve --dns",
      "serve --nix 1",
      "serve x",
    ]
  ) {
    equal(plainServe(words.split(" ")), undefined, words);
  }
});
