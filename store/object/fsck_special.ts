import { StoreError } from "../error.ts";
import type { GitObject, Oid } from "../types.ts";
import { latin1 } from "./bytes.ts";
import type { FsckFault } from "./fsck.ts";
import { parseGitConfig } from "./git_config.ts";

/** Files that git itself obeys, and whose content is therefore looked at. */
export type SpecialFile = "gitmodules" | "gitattributes";

/** The blobs that trees were seen to name so. What a tree names may arrive after it, or have been there before. */
export interface SpecialFiles {
  readonly note: (file: SpecialFile, oid: Oid) => void;
  /**
   * Looks at all that were noted. What is not there is for the check of connectivity to tell.
   * @throws {StoreError} `fsck`
   */
  readonly check: (read: (oid: Oid) => Promise<GitObject | undefined>) => Promise<void>;
}

export function specialFiles(): SpecialFiles {
  const noted = new Map<Oid, Set<SpecialFile>>();
  return {
    note(file, oid) {
      const files = noted.get(oid) ?? new Set();
      noted.set(oid, files.add(file));
    },
    async check(read) {
      for (const [oid, files] of noted) {
        const object = await read(oid);
        if (object?.kind !== "blob") continue;
        for (const file of files) {
          const fault = fsckSpecial(file, object.content);
          if (fault !== undefined) throw new StoreError("fsck", `blob ${oid}: ${fault.id}: ${fault.message}`);
        }
      }
    },
  };
}

/**
 * What is wrong with the content of a `.gitmodules` or `.gitattributes` file: all that `git fsck` takes for an error (git-
 * fsck(1), `gitmodules…`, `gitattributes…`), and a `.gitmodules` that git could not read to its end.
 */
export function fsckSpecial(file: SpecialFile, content: Uint8Array): FsckFault | undefined {
  return file === "gitmodules" ? fsckGitmodules(content) : fsckGitattributes(content);
}

/** Far beyond every real one; git reads whatever it holds in memory. */
const largestGitmodules = 1 << 20;

function fsckGitmodules(content: Uint8Array): FsckFault | undefined {
  if (content.length > largestGitmodules) {
    return { id: "gitmodulesLarge", message: `.gitmodules of ${content.length} bytes` };
  }
  const settings = parseGitConfig(latin1(content));
  if (settings === undefined) return { id: "gitmodulesParse", message: ".gitmodules cannot be read" };
  for (const { section, subsection, key, value = "" } of settings) {
    if (section !== "submodule" || subsection === undefined) continue;
    const refused = (id: string, what: string, text: string) => ({
      id,
      message: `disallowed submodule ${what} ${JSON.stringify(text)}`,
    });
    if (!isSafeSubmoduleName(subsection)) return refused("gitmodulesName", "name", subsection);
    if (key === "url" && !isSafeSubmoduleUrl(value)) return refused("gitmodulesUrl", "url", value);
    // What begins with a dash is an option to the commands it is given to.
    if (key === "path" && value.startsWith("-")) return refused("gitmodulesPath", "path", value);
    // `!` makes it a command.
    if (key === "update" && value.startsWith("!")) return refused("gitmodulesUpdate", "update", value);
  }
  return undefined;
}

/** It becomes a path below `.git/modules`, which it must not leave (CVE-2018-11235). */
function isSafeSubmoduleName(name: string): boolean {
  return name !== "" && !name.split(/[/\\]/).includes("..");
}

/** CVE-2018-17456 (options), CVE-2020-5260 and CVE-2020-11008 (line breaks and hosts that are none, for credentials). */
function isSafeSubmoduleUrl(url: string): boolean {
  if (url.startsWith("-")) return false;
  const decoded = url.replace(
    /%([0-9a-f]{2})/gi,
    (_, digits: string) => String.fromCharCode(parseInt(digits, 16)),
  );
  if (/^\.{1,2}[/\\]/.test(url) || url.startsWith("git://")) {
    if (decoded.includes("\n")) return false;
    return !/^(?:\.[/\\])*\.\.[/\\](?:\.{1,2}[/\\])*[:/]/.test(url);
  }
  const curl = /^(?:(?:https?|ftps?)::(.*)|((?:https?|ftps?):\/\/.*))$/s.exec(url);
  if (curl === null) return true;
  const target = curl[1] ?? curl[2] ?? "";
  const host = /^[a-z][a-z0-9+.-]*:\/\/(?:[^/?#]*@)?([^/?#@:]+|\[[^\]/?#]+\])(?::\d*)?(?:[/?#]|$)/i.exec(
    target,
  );
  return host !== null && !decoded.includes("\n");
}

/** Git's own limits (`ATTR_MAX_FILE_SIZE`, `ATTR_MAX_LINE_LENGTH`). */
const largestGitattributes = 100 << 20;
const longestAttributesLine = 2048;

function fsckGitattributes(content: Uint8Array): FsckFault | undefined {
  if (content.length > largestGitattributes) {
    return { id: "gitattributesLarge", message: `.gitattributes of ${content.length} bytes` };
  }
  // Git reads it as a string, which ends at a NUL.
  const nul = content.indexOf(0);
  const text = nul < 0 ? content : content.subarray(0, nul);
  for (let at = 0; at < text.length;) {
    const newline = text.indexOf(0x0a, at);
    const end = newline < 0 ? text.length : newline;
    if (end - at >= longestAttributesLine) {
      return { id: "gitattributesLineLength", message: `.gitattributes with a line of ${end - at} bytes` };
    }
    at = end + 1;
  }
  return undefined;
}
