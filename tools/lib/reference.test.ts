import { REPLICATE_STATUSES } from "@iexec-ts/poco";
import { CATALOGUE, defineConfig } from "@iexec-ts/service";
import { expect, test } from "vitest";
import { configPage, errorsPage, isConfigShape, statusesPage } from "./reference.ts";

test("every code has its heading, and every area its name", () => {
  const { text } = errorsPage();
  for (const code of Object.keys(CATALOGUE)) expect(text).toContain(`\n### ${code}\n`);
  expect(text).not.toMatch(/^## [A-Z]{3}$/m);
});

test("every status has one row of five cells", () => {
  const rows = statusesPage()
    .text.split("\n")
    .filter((line) => line.startsWith("| `"));
  expect(rows).toHaveLength(REPLICATE_STATUSES.length);
  for (const row of rows) expect(row.split(/(?<!\\)\|/)).toHaveLength(7);
});

test("a program's settings get a page", () => {
  const definition = defineConfig({ name: "iexec-sample", settings: {} });
  expect(isConfigShape(definition)).toBe(true);
  expect(isConfigShape({ name: "x" })).toBe(false);
  expect(configPage("sample", definition)).toMatchObject({ path: "docs/reference/config-sample.md" });
});
