import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { ROOT, runFile } from "./lib/program.ts";

/** One planted offence for each form of each rule of `tools/lint`: one that stays silent here would stay silent in the product. */
const OFFENCES: Readonly<Record<string, string>> = {
  "a composite signal": "export const both = (a: AbortSignal, b: AbortSignal) => AbortSignal.any([a, b]);",
  "a function by its name": 'import { readFile, rename } from "node:fs/promises"; export const use = [readFile, rename];',
  "under another name": 'import { writeFileSync as write } from "node:fs"; export const use = [write];',
  "a stream": 'import { createWriteStream } from "node:fs"; export const use = [createWriteStream];',
  "the whole module": 'import * as fs from "node:fs/promises"; export const use = [fs];',
  "its default": 'import fs from "node:fs"; export const use = [fs];',
  "when it runs": 'export const use = await import("node:fs/promises");',
  "opened for writing": 'import { open } from "node:fs/promises"; export const use = await open("x", "wx", 0o600);',
  "opened and cut off": 'import { openSync as openFile } from "node:fs"; export const use = openFile("x", "w");',
};
const ALLOWED: Readonly<Record<string, string>> = {
  "packages/chain/src/good.ts":
    'import { open, readFile } from "node:fs/promises"; export const use = [readFile, await open("x", "r"), await open("log", "a")];',
  "packages/chain/src/late.ts": "export const late = () => AbortSignal.timeout(5);",
  "packages/chain/src/good.test.ts": 'import { writeFile } from "node:fs/promises"; export const use = [writeFile];',
  "packages/chain/src/test/rig.ts": 'import { writeFile } from "node:fs/promises"; export const use = [writeFile];',
  "packages/service/src/durable-file.ts": 'import { rename } from "node:fs/promises"; export const use = [rename];',
};

const reportSchema = z.object({
  diagnostics: z.array(z.object({ category: z.string().nullable(), location: z.object({ path: z.unknown() }) })),
});
const slug = (title: string): string => `apps/worker/src/${title.replaceAll(/\W/g, "-")}.ts`;

let house: string;
let offenders: readonly string[];
beforeAll(async () => {
  house = mkdtempSync(join(tmpdir(), "lint-"));
  const write = (path: string, text: string): void => {
    mkdirSync(dirname(join(house, path)), { recursive: true });
    writeFileSync(join(house, path), `${text}\n`);
  };
  for (const [title, source] of Object.entries(OFFENCES)) write(slug(title), source);
  for (const [path, source] of Object.entries(ALLOWED)) write(path, source);
  cpSync(join(ROOT, "tools/lint"), join(house, "tools/lint"), { recursive: true });
  const config: Record<string, unknown> = { ...JSON.parse(readFileSync(join(ROOT, "biome.json"), "utf8")), $schema: undefined };
  writeFileSync(join(house, "biome.json"), JSON.stringify({ ...config, vcs: { enabled: false } }));
  const { stdout } = await runFile("node_modules/@biomejs/biome/bin/biome", ["lint", "--reporter=json", "packages", "apps"], {
    cwd: house,
  });
  offenders = reportSchema
    .parse(JSON.parse(stdout))
    .diagnostics.filter(({ category }) => category === "plugin")
    .map(({ location }) => JSON.stringify(location.path));
});
afterAll(() => rmSync(house, { recursive: true }));

test.each(Object.keys(OFFENCES))("a rule of our own fires: %s", (title) => {
  expect(offenders.filter((path) => path.includes(slug(title)))).toHaveLength(1);
});

test("what the rules allow is not reported", () => {
  expect(offenders.filter((path) => Object.keys(ALLOWED).some((allowed) => path.includes(allowed)))).toEqual([]);
});

test("every rule of the folder is switched on", () => {
  const { plugins } = z
    .object({ plugins: z.array(z.union([z.string(), z.object({ path: z.string() }).transform(({ path }) => path)])) })
    .parse(JSON.parse(readFileSync(join(ROOT, "biome.json"), "utf8")));
  expect(plugins.map((path) => path.replace(/^.*\//, "")).sort()).toEqual(readdirSync(join(ROOT, "tools/lint")).sort());
});
