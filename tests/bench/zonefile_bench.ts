/**
 * How fast zone files are read: a generated zone of about 26 MB with a million address records, and one of mixed types.
 * Prints MB/s and records/s, best of five; asserts nothing. Run: deno run tests/bench/zonefile_bench.ts
 */
import { nameFrom } from "../../dns/name.ts";
import { parseZoneFile } from "../../dns/zonefile/parse.ts";

const origin = nameFrom("example.test.");
const head = "$TTL 3600\n@ IN SOA ns1 hostmaster 1 7200 900 1209600 300\n  IN NS ns1\nns1 IN A 192.0.2.1\n";

function addresses(count: number): string {
  const lines = [head];
  for (let i = 0; i < count; i++) {
    lines.push(`host${i} IN A 10.${i >> 16 & 255}.${i >> 8 & 255}.${i & 255}\n`);
  }
  return lines.join("");
}

function mixed(count: number): string {
  const lines = [head];
  for (let i = 0; i < count; i += 6) {
    lines.push(
      `Host-${i}.sub 300 IN MX 10 mail.example.test.\n`,
      `\tAAAA 2001:db8::${(i & 0xffff).toString(16)}:1\n`,
      `\tTXT "v=spf1 include:_spf.example.test ~all" "second; string"\n`,
      `_443._tcp.host-${i}.sub IN TLSA 3 1 1 ${"0123456789abcdef".repeat(4)}\n`,
      `www${i} IN CNAME host-${i}.sub\n`,
      `svc${i} IN HTTPS ( 1 . ; comment\n    alpn="h2,h3" ipv4hint=192.0.2.1 )\n`,
    );
  }
  return lines.join("");
}

for (const [what, text] of [["addresses", addresses(1_000_000)], ["mixed", mixed(250_000)]] as const) {
  const bytes = new TextEncoder().encode(text);
  let best = Infinity;
  let records = 0;
  for (let round = 0; round < 5; round++) {
    records = 0;
    const start = performance.now();
    const faults = parseZoneFile({ file: "bench", bytes, origin }, () => records++);
    best = Math.min(best, (performance.now() - start) / 1000);
    if (faults.length > 0) throw new Error(faults[0].message);
  }
  const megabytes = bytes.length / 1e6;
  console.log(
    `${what}: ${records} records, ${megabytes.toFixed(1)} MB in ${best.toFixed(3)} s: ${
      (megabytes / best).toFixed(0)
    } MB/s, ${(records / best / 1e6).toFixed(2)} million records/s`,
  );
}
