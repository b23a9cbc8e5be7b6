/**
 * The task `check`. With an argument it is the command of that name (a folder's or repository's zones); without
 * one it looks at this project: formatting, lint, types.
 */
if (Deno.args.length > 0) {
  const { runCli } = await import("../../cli/mod.ts");
  Deno.exit(await runCli(["check", ...Deno.args]));
}

const steps = [
  ["fmt", "--check", "--quiet"],
  ["lint", "--quiet"],
  ["check", "--quiet", "."],
];
for (const args of steps) {
  const { success } = await new Deno.Command(Deno.execPath(), { args, stdin: "null" }).spawn().status;
  if (!success) {
    console.error(`deno ${args.join(" ")} found faults`);
    Deno.exit(1);
  }
}
console.error("formatting, lint and types: clean");
