/**
 * The closing lines of a test run, read from the JUnit report: every test that was left out by name, then
 * `N passed, N failed, N skipped`. `clear` removes the report of an earlier run, so that none can pass for this one.
 */
const REPORT = ".test/report.xml";

if (Deno.args[0] === "clear") {
  await Deno.mkdir(".test", { recursive: true });
  await Deno.remove(REPORT).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
} else {
  Deno.exit(await print());
}

async function print(): Promise<number> {
  let xml: string;
  try {
    xml = await Deno.readTextFile(REPORT);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    console.log("the tests did not run; see above");
    return 1;
  }
  let passed = 0;
  let failed = 0;
  let skipped = 0;
  for (const match of xml.matchAll(/<testcase name="([^"]*)"[^>]*?(?:\/>|>([\s\S]*?)<\/testcase>)/g)) {
    const [, name, inside = ""] = match;
    if (inside.includes("<skipped")) {
      skipped++;
      console.log(`skipped: ${unescapeXml(name)}`);
    } else if (inside.includes("<failure") || inside.includes("<error")) {
      failed++;
      console.log(`failed: ${unescapeXml(name)}`);
    } else {
      passed++;
    }
  }
  console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
  return failed === 0 && passed > 0 ? 0 : 1;
}

function unescapeXml(text: string): string {
  const entities = new Map([["lt", "<"], ["gt", ">"], ["quot", '"'], ["apos", "'"], ["#39", "'"], [
    "amp",
    "&",
  ]]);
  return text.replace(/&([a-z]+|#\d+);/g, (whole, entity) => entities.get(entity) ?? whole);
}
