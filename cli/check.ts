/** `check`: every fault of a folder's or a commit's zones, as file:line:column; exit 1 where there is one. */
import { join } from "node:path";
import type { Fault } from "../dns/mod.ts";
import { type Checked, checkFiles, faultLine, readFolder } from "../primary/mod.ts";
import { openRepository } from "../store/mod.ts";
import { CliError } from "./errors.ts";
import { exists } from "./data_dir.ts";
import { userPath } from "./paths.ts";

interface CheckFlags {
  readonly format: "text" | "json" | "github";
}

export async function check(place: string, flags: CheckFlags): Promise<number> {
  const { faults, zones } = await checkPlace(place);
  if (flags.format === "json") console.log(JSON.stringify({ zones, faults: faults.map(flatFault) }));
  else {for (const fault of faults) {
      console.log(flags.format === "github" ? githubLine(fault) : faultLine(fault));
    }}
  const errors = faults.filter(({ severity }) => severity === "error").length;
  if (flags.format === "text") {
    console.error(
      `${count(zones.length, "zone")}, ${count(errors, "error")}, ${
        count(faults.length - errors, "warning")
      }`,
    );
  }
  return errors === 0 ? 0 : 1;
}

/** A bare repository, a clone with its `.git`, or a folder of files; `#BRANCH` asks for a repository. */
async function checkPlace(place: string): Promise<Checked> {
  const hash = place.lastIndexOf("#");
  const path = userPath(hash < 0 ? place : place.slice(0, hash));
  const bare = [path, join(path, ".git")].find((each) =>
    exists(join(each, "HEAD")) && exists(join(each, "objects"))
  );
  if (hash < 0 && (bare === undefined || bare !== path)) {
    const { files, faults } = await readFolder(path);
    const checked = await checkFiles(files);
    return { zones: checked.zones, faults: [...faults, ...checked.faults] };
  }
  if (bare === undefined) throw new CliError(`${path} is not a git repository`);
  const repository = await openRepository(bare);
  try {
    const ref = hash < 0 ? await repository.refs.head() ?? "HEAD" : `refs/heads/${place.slice(hash + 1)}`;
    const commit = await repository.refs.get(ref);
    if (commit === undefined) throw new CliError(`${path} has no ${ref}`);
    return await checkFiles({ objects: repository, commit });
  } finally {
    repository.close();
  }
}

function flatFault({ position, severity, code, message }: Fault) {
  return { ...position, severity, code, message };
}

/** A workflow command: GitHub shows it beside the line. */
function githubLine({ position, severity, message }: Fault): string {
  const property = (text: string) => escapeData(text).replaceAll(":", "%3A").replaceAll(",", "%2C");
  return `::${severity} file=${property(position.file)},line=${position.line},col=${position.column}::${
    escapeData(message)
  }`;
}

function escapeData(text: string): string {
  return text.replaceAll("%", "%25").replaceAll("\r", "%0D").replaceAll("\n", "%0A");
}

function count(number: number, thing: string): string {
  return `${number} ${thing}${number === 1 ? "" : "s"}`;
}
