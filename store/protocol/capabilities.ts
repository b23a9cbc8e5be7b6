/** Capability lists: `name` and `name=value`, separated by spaces (v0, v1) or one a line (v2). */

/** A list of capabilities. A name may come several times (`symref=…`), hence the arrays; `""` stands for no value. */
export type Capabilities = ReadonlyMap<string, readonly string[]>;

export function parseCapabilities(items: Iterable<string>): Capabilities {
  const found = new Map<string, string[]>();
  for (const item of items) {
    if (item === "") continue;
    const equals = item.indexOf("=");
    const name = equals < 0 ? item : item.slice(0, equals);
    const value = equals < 0 ? "" : item.slice(equals + 1);
    const values = found.get(name);
    if (values === undefined) found.set(name, [value]);
    else values.push(value);
  }
  return found;
}

/** The list that follows the NUL of a first line. */
export function parseCapabilityLine(text: string): Capabilities {
  return parseCapabilities(text.split(" "));
}

/** An agent string as it may stand in a capability: no spaces, no control characters. */
export function agentValue(agent: string): string {
  return agent.replace(/[^\x21-\x7e]/g, ".").slice(0, 128);
}
