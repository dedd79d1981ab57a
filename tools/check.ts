/** `./run check`: every check runs, every failure is listed; with names only those. */
import { spawnSync } from "node:child_process";
import { globSync } from "node:fs";
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { z } from "zod";
import { checkLinks } from "./lib/links.ts";
import { checkLoops } from "./lib/loops.ts";
import { type Outcome, ROOT, runFile } from "./lib/program.ts";

interface Verdict {
  readonly ok: boolean;
  /** One line for the summary. */
  readonly summary: string;
  /** Shown when it failed. */
  readonly details: string;
}

interface Check {
  readonly name: string;
  run(): Promise<Verdict>;
}

const FEWEST_MODULES = 50;
const SOURCES = ["packages", "apps", "e2e", "bench"];

const byExitCode = ({ code, output }: Outcome, summary: string): Verdict => ({ ok: code === 0, summary, details: output });

const cruiseSchema = z.object({
  summary: z.object({
    totalCruised: z.number(),
    error: z.number(),
    violations: z.array(z.object({ from: z.string(), to: z.string(), rule: z.object({ name: z.string(), severity: z.string() }) })),
  }),
});

/** A structure check that saw next to nothing has failed: it did so silently once, when it could not load the compiler. */
async function checkRooms(): Promise<Verdict> {
  const args = ["--config", ".dependency-cruiser.cjs", "--output-type", "json", ...SOURCES];
  const { stdout, output } = await runFile("node_modules/dependency-cruiser/bin/dependency-cruiser.mjs", args);
  const report = cruiseSchema.safeParse(JSON.parse(stdout === "" ? "null" : stdout));
  if (!report.success) return { ok: false, summary: "no report", details: output };
  const { totalCruised, error, violations } = report.data.summary;
  const lines = violations.map(({ from, to, rule }) => `${rule.severity} ${rule.name}: ${from} -> ${to}`);
  const tooFew = totalCruised < FEWEST_MODULES ? [`only ${totalCruised} modules were seen, ${FEWEST_MODULES} are the least`] : [];
  return {
    ok: error === 0 && tooFew.length === 0,
    summary: `${totalCruised} modules, ${error} violations`,
    details: [...tooFew, ...lines].join("\n"),
  };
}

/** The scripts that operators run on their own machines. Not everybody has the program. */
async function checkShell(): Promise<Verdict> {
  const scripts = globSync("deploy/**/*.sh", { cwd: ROOT });
  const { error, status, stdout, stderr } = spawnSync("shellcheck", ["--severity=warning", "-x", ...scripts], {
    cwd: ROOT,
    encoding: "utf8",
  });
  if (error !== undefined && "code" in error && error.code === "ENOENT")
    return { ok: true, summary: "NOT CHECKED: shellcheck is not on this machine", details: "" };
  return { ok: status === 0 && scripts.length > 0, summary: `shellcheck, ${scripts.length} scripts`, details: `${stdout}${stderr}` };
}

const CHECKS: readonly Check[] = [
  {
    name: "types",
    run: async () => byExitCode(await runFile("node_modules/typescript/bin/tsc", ["-p", "."]), "tsc"),
  },
  {
    name: "types-of-the-page",
    run: async () =>
      byExitCode(
        await runFile("node_modules/typescript/bin/tsc", ["-p", "apps/worker/src/page/client"]),
        "tsc, with the browser's library",
      ),
  },
  {
    name: "lint",
    run: async () =>
      byExitCode(
        await runFile("node_modules/@biomejs/biome/bin/biome", ["check", "--max-diagnostics=200", "--diagnostic-level=warn"]),
        "biome",
      ),
  },
  { name: "rooms", run: checkRooms },
  {
    name: "loops",
    run: async () => {
      const { files, faults } = checkLoops(ROOT);
      return {
        ok: faults.length === 0 && files >= FEWEST_MODULES,
        summary: `${files} files, ${faults.length} loops that wait without a beat, or calls that outlive their scope`,
        details: faults.map(({ file, line, mend }) => `${file}:${line}: ${mend}`).join("\n"),
      };
    },
  },
  {
    name: "shell",
    run: checkShell,
  },
  {
    name: "dead-code",
    run: async () => byExitCode(await runFile("node_modules/knip/bin/knip.js", ["--no-progress"]), "knip"),
  },
  {
    name: "docs",
    run: async () => byExitCode(await runFile("tools/docs.ts", ["--check"]), "generated reference"),
  },
  {
    name: "links",
    run: async () => {
      const { files, links, broken } = checkLinks(ROOT);
      return { ok: broken.length === 0 && files > 0, summary: `${links} links in ${files} files`, details: broken.join("\n") };
    },
  },
  {
    name: "spelling",
    run: async () =>
      byExitCode(
        await runFile("node_modules/cspell/bin.mjs", ["lint", "--no-progress", "--no-summary", "--dot", "--gitignore", "."]),
        "cspell",
      ),
  },
];

async function timed({ name, run }: Check): Promise<Verdict & { readonly name: string; readonly seconds: number }> {
  const start = performance.now();
  const verdict = await run().catch(
    (thrown: unknown): Verdict => ({ ok: false, summary: "the check itself failed", details: String(thrown) }),
  );
  const seconds = Number(((performance.now() - start) / 1_000).toFixed(1));
  process.stderr.write(`check: ${verdict.ok ? "ok    " : "FAILED"} ${name} (${verdict.summary}, ${seconds} s)\n`);
  return { ...verdict, name, seconds };
}

const { values, positionals } = parseArgs({ options: { json: { type: "boolean", default: false } }, allowPositionals: true });
const unknown = positionals.filter((wanted) => !CHECKS.some(({ name }) => name === wanted));
if (unknown.length > 0) {
  process.stderr.write(`check: there is no ${unknown.join(", ")}; there are ${CHECKS.map(({ name }) => name).join(", ")}\n`);
  process.exitCode = 64;
} else {
  const queue = CHECKS.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
  const total = queue.length;
  const done: Awaited<ReturnType<typeof timed>>[] = [];
  const lane = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) done.push(await timed(next));
  };
  await Promise.all(Array.from({ length: Math.min(2, availableParallelism()) }, lane));
  const failed = done.filter(({ ok }) => !ok);
  for (const { name, details } of failed) process.stderr.write(`\n--- ${name} ---\n${details.trimEnd()}\n`);
  const cases = done.map(({ name, ok, summary, seconds }) => ({ id: name, ok, detail: summary, seconds }));
  const line = values.json
    ? JSON.stringify({ name: "check", passed: total - failed.length, total, cases })
    : `${total - failed.length} of ${total} checks passed${failed.length > 0 ? `; failed: ${failed.map(({ name }) => name).join(", ")}` : ""}`;
  process.stdout.write(`${line}\n`);
  process.exitCode = failed.length === 0 ? 0 : 1;
}
