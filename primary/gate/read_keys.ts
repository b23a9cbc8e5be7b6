import {
  type Fault,
  parseZoneFile,
  type Position,
  type ResourceRecord,
  ROOT,
  RRTYPE,
  type TsigAlgorithm,
  type TsigKey,
} from "../../dns/mod.ts";
import { LARGEST_FILE, readContent, regularFile, type TreeFiles } from "./tree_files.ts";
import { topOf } from "./check.ts";

/**
 * TSIG keys in the older stack's form: `client._update.example.test. DNSKEY 0 3 163 BASE64` in files `_keys` and
 * `ZONE._keys`, the algorithm 161 to 165 standing for HMAC-SHA1, 224, 256, 384, 512. A name in a file that does not
 * end in a dot is completed with the root.
 */
export async function readKeys(
  files: TreeFiles,
  paths: readonly string[],
): Promise<{ keys: TsigKey[]; faults: Fault[] }> {
  const keys = new Map<string, TsigKey>();
  const faults: Fault[] = [];
  for (const path of paths) {
    const oid = regularFile(files, path);
    if (oid === undefined) continue;
    const content = await readContent(files, path, oid);
    if ("fault" in content) {
      faults.push(content.fault);
      continue;
    }
    const { bytes } = content;
    if (bytes.length > LARGEST_FILE) {
      faults.push({
        position: topOf(path),
        severity: "error",
        code: "too-large",
        message: `the key file has ${bytes.length} bytes`,
      });
      continue;
    }
    const found = parseZoneFile({ file: path, bytes: withTtl(bytes), origin: ROOT }, (record, below) => {
      const position = lineAbove(below);
      const key = keyOf(record);
      if (key !== undefined) keys.set(key.name, key);
      else {
        const message =
          `"${record.owner}" is not a TSIG key; write NAME DNSKEY 0 3 ALGORITHM BASE64 with 161 to 165`;
        faults.push({ position, severity: "error", code: "no-key", message });
      }
    });
    faults.push(...found.map((fault) => ({ ...fault, position: lineAbove(fault.position) })));
  }
  return { keys: [...keys.values()], faults };
}

/** The older stack's key files state no TTL, and a key has no use for one. */
function withTtl(bytes: Uint8Array): Uint8Array {
  const first = new TextEncoder().encode("$TTL 0\n");
  const whole = new Uint8Array(first.length + bytes.length);
  whole.set(first);
  whole.set(bytes, first.length);
  return whole;
}

function lineAbove(position: Position): Position {
  return { ...position, line: position.line - 1 };
}

function keyOf(record: ResourceRecord): TsigKey | undefined {
  if (record.type !== RRTYPE.DNSKEY || record.rdata.length < 5) return undefined;
  const algorithm = ALGORITHMS.get(record.rdata[3]);
  if (algorithm === undefined) return undefined;
  return { name: record.owner, algorithm, secret: record.rdata.slice(4) };
}

const ALGORITHMS: ReadonlyMap<number, TsigAlgorithm> = new Map([
  [161, "hmac-sha1"],
  [162, "hmac-sha224"],
  [163, "hmac-sha256"],
  [164, "hmac-sha384"],
  [165, "hmac-sha512"],
]);
