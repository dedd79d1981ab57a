/** `./run test`: everything, or with paths only the tests under them. The last line printed is the total. */
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ROOT, runFile } from "./lib/program.ts";
import { add, fromE2e, fromVitest, NOTHING, render, type Totals } from "./lib/totals.ts";

const REPORT = join(ROOT, "out/vitest.json");
const E2E = "e2e/src/main.ts";
const VITEST_MS = 45 * 60_000;

const say = (text: string): void => void process.stderr.write(`test: ${text}\n`);

async function runVitest(paths: readonly string[]): Promise<Totals> {
  mkdirSync(join(ROOT, "out"), { recursive: true });
  rmSync(REPORT, { force: true });
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${REPORT}`];
  // Each test has a limit; the end of the program that runs them has none.
  await runFile("node_modules/vitest/vitest.mjs", ["run", ...reporters, ...paths], {
    show: "both",
    signal: AbortSignal.timeout(VITEST_MS),
  });
  if (!existsSync(REPORT)) {
    say("vitest left no report: counted as one failure");
    return { ...NOTHING, failed: 1 };
  }
  return fromVitest(JSON.parse(readFileSync(REPORT, "utf8")));
}

async function runE2e(): Promise<Totals> {
  if (!existsSync(join(ROOT, E2E))) {
    say(`there is no ${E2E}: counted as one failure`);
    return { ...NOTHING, failed: 1 };
  }
  const totals = fromE2e(await runFile(E2E, ["all", "--short", "--json"], { show: "both" }));
  say(`e2e: ${render(totals)}`);
  return totals;
}

const { values, positionals } = parseArgs({
  options: { json: { type: "boolean", default: false }, unit: { type: "boolean", default: false } },
  allowPositionals: true,
});
const tests = await runVitest(positionals);
say(`vitest: ${render(tests)}`);
const totals = values.unit || positionals.length > 0 ? tests : add(tests, await runE2e());
process.stdout.write(`${values.json ? JSON.stringify({ name: "test", ...totals }) : render(totals)}\n`);
process.exitCode = totals.failed === 0 && totals.passed > 0 ? 0 : 1;
