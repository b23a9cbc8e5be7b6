/** One setting of a git configuration file; section and key in lower case. */
export interface ConfigSetting {
  readonly section: string;
  /** `[section "this"]`, as written; `undefined` where there is none. */
  readonly subsection: string | undefined;
  readonly key: string;
  /** `undefined` for a key without `=`. */
  readonly value: string | undefined;
}

/**
 * The settings of a configuration file (git-config(1), "Syntax"), one character a byte; `undefined` where git could not
 * read it to its end.
 */
export function parseGitConfig(text: string): ConfigSetting[] | undefined {
  const settings: ConfigSetting[] = [];
  const source = text.replace(/^\xef\xbb\xbf/, "").replaceAll("\r\n", "\n");
  let section: Pick<ConfigSetting, "section" | "subsection"> | undefined;
  let at = 0;
  const match = (pattern: RegExp): RegExpExecArray | undefined => {
    pattern.lastIndex = at;
    const found = pattern.exec(source);
    if (found === null) return undefined;
    at = pattern.lastIndex;
    return found;
  };
  while (at < source.length) {
    if (match(/\s+|[#;][^\n]*/y) !== undefined) continue;
    const header = match(/\[([A-Za-z0-9.-]+)(?:[ \t]+"((?:[^"\\\n]|\\[^\n])*)")?\]/y);
    if (header !== undefined) {
      section = sectionOf(header[1] ?? "", header[2]);
      continue;
    }
    const key = match(/([A-Za-z][A-Za-z0-9-]*)[ \t]*/y)?.[1];
    if (key === undefined || section === undefined) return undefined;
    if (at === source.length || source[at] === "\n") {
      settings.push({ ...section, key: key.toLowerCase(), value: undefined });
      continue;
    }
    if (source[at] !== "=") return undefined;
    const read = readValue(source, at + 1);
    if (read === undefined) return undefined;
    at = read.end;
    settings.push({ ...section, key: key.toLowerCase(), value: read.value });
  }
  return settings;
}

/** `[a.b]` is the older spelling of `[a "b"]`, with `b` in lower case. */
function sectionOf(name: string, quoted: string | undefined): Pick<ConfigSetting, "section" | "subsection"> {
  const lower = name.toLowerCase();
  if (quoted !== undefined) return { section: lower, subsection: quoted.replace(/\\(.)/gs, "$1") };
  const dot = lower.indexOf(".");
  if (dot < 0) return { section: lower, subsection: undefined };
  return { section: lower.slice(0, dot), subsection: lower.slice(dot + 1) };
}

/** A value to the end of its line; blanks about it go, what is quoted stays. */
function readValue(
  text: string,
  start: number,
): { readonly value: string; readonly end: number } | undefined {
  let value = "";
  let blanks = "";
  let quoted = false;
  for (let at = start;; at++) {
    const character = text[at] ?? "\n";
    if (character === "\n") return quoted ? undefined : { value, end: at };
    if (!quoted && /\s/.test(character)) {
      if (value !== "") blanks += " ";
      continue;
    }
    if (!quoted && (character === "#" || character === ";")) {
      const end = text.indexOf("\n", at);
      return { value, end: end < 0 ? text.length : end };
    }
    value += blanks;
    blanks = "";
    if (character === '"') {
      quoted = !quoted;
    } else if (character !== "\\") {
      value += character;
    } else {
      const escaped = escapes.get(text[++at] ?? "");
      if (escaped === undefined) return undefined;
      value += escaped;
    }
  }
}

const escapes = new Map([["\n", ""], ["t", "\t"], ["b", "\b"], ["n", "\n"], ["\\", "\\"], ['"', '"']]);
