import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { ROOT, runFile } from "./lib/program.ts";

/** One offence for each lint rule of our own: a rule that stays silent here would stay silent in the product. */
const OFFENCES: Readonly<Record<string, string>> = {
  "no-abort-signal-any": "export const both = (a, b) => AbortSignal.any([a, b]);\n",
};
const ALLOWED = "export const late = () => AbortSignal.timeout(5);\n";

const FOLDER = "apps/worker/src";
const reportSchema = z.object({
  diagnostics: z.array(z.object({ category: z.string().nullable(), location: z.object({ path: z.unknown() }) })),
});

let house: string;
let offended: ReadonlySet<string>;

beforeAll(async () => {
  house = mkdtempSync(join(tmpdir(), "lint-"));
  for (const [file, source] of [...Object.entries(OFFENCES), ["allowed", ALLOWED] as const]) {
    const path = join(house, FOLDER, `${file}.ts`);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, source);
  }
  cpSync(join(ROOT, "biome.json"), join(house, "biome.json"));
  cpSync(join(ROOT, "tools/lint"), join(house, "tools/lint"), { recursive: true });
  const { stdout } = await runFile(
    join(ROOT, "node_modules/@biomejs/biome/bin/biome"),
    ["lint", "--reporter=json", "--vcs-enabled=false", FOLDER],
    { cwd: house },
  );
  const { diagnostics } = reportSchema.parse(JSON.parse(stdout));
  offended = new Set(diagnostics.filter(({ category }) => category === "plugin").map(({ location }) => JSON.stringify(location.path)));
});
afterAll(() => rmSync(house, { recursive: true }));

const isReported = (file: string): boolean => [...offended].some((path) => path.includes(`${file}.ts`));

test.each(Object.keys(OFFENCES))("%s fires", (rule) => {
  expect(isReported(rule)).toBe(true);
});

test("what the rules allow is not reported", () => {
  expect(isReported("allowed")).toBe(false);
});

test("every rule of the folder is switched on and has an offence here", async () => {
  const rules = readdirSync(join(ROOT, "tools/lint")).map((file) => file.replace(/\.grit$/, ""));
  const { plugins } = z
    .object({ plugins: z.array(z.string()) })
    .parse((await import(join(ROOT, "biome.json"), { with: { type: "json" } })).default);
  expect(rules.sort()).toEqual(Object.keys(OFFENCES).sort());
  expect(plugins.map((path) => path.replace(/^.*\/|\.grit$/g, "")).sort()).toEqual(rules.sort());
});
