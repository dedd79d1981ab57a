import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { ROOT, runFile } from "./lib/program.ts";

/** A house in small, one offence per rule: a rule that stays silent here would stay silent in the real one. */
const PACKAGES = ["poco", "service", "chain", "wire", "sandbox", "payload", "testkit"];
const APPS = ["worker", "scheduler", "result-proxy", "network"];

const OFFENCES: Readonly<Record<string, readonly [file: string, source: string]>> = {
  "poco-imports-nothing-of-ours": ["packages/poco/src/bad.ts", 'import "@iexec-ts/service";'],
  "service-knows-no-protocol": ["packages/service/src/bad.ts", 'import "@iexec-ts/poco";'],
  "chain-imports-poco-and-service": ["packages/chain/src/bad.ts", 'import "@iexec-ts/wire";'],
  "wire-imports-poco-and-service": ["packages/wire/src/bad.ts", 'import "@iexec-ts/chain";'],
  "sandbox-imports-service": ["packages/sandbox/src/bad.ts", 'import "@iexec-ts/poco";'],
  "payload-imports-poco-and-service": ["packages/payload/src/bad.ts", 'import type { part } from "@iexec-ts/sandbox";'],
  "testkit-imports-poco-and-service": ["packages/testkit/src/bad.ts", 'import "@iexec-ts/chain";'],
  "no-app-imports-another-app": ["apps/worker/src/bad.ts", 'import "@iexec-ts/scheduler";'],
  "network-starts-apps-through-their-index": ["apps/network/src/bad.ts", 'import "../../worker/src/inner.ts";'],
  "packages-never-import-apps": ["packages/chain/src/bad-too.ts", 'import "@iexec-ts/worker";'],
  "no-deep-imports": ["apps/scheduler/src/bad.ts", 'import "@iexec-ts/chain/src/inner.ts";'],
  "test-helpers-are-for-tests": ["packages/wire/src/bad-too.ts", 'import "./test/rig.ts";'],
  "imports-resolve": ["apps/scheduler/src/lost.ts", 'import "@iexec-ts/nowhere";'],
  "no-cycles": ["apps/scheduler/src/one.ts", 'import { two } from "./two.ts"; export const one = () => two;'],
  "testkit-is-for-tests-and-the-local-network": ["apps/result-proxy/src/bad.ts", 'import "@iexec-ts/testkit";'],
};

const ALLOWED: Readonly<Record<string, string>> = {
  "packages/wire/src/test/rig.ts": 'import "@iexec-ts/testkit";',
  "packages/wire/src/good.test.ts": 'import "./test/rig.ts"; import "@iexec-ts/testkit";',
  "apps/network/src/good.ts": 'import "@iexec-ts/worker"; import "@iexec-ts/testkit";',
  "apps/worker/src/good.ts": 'import "@iexec-ts/chain"; import "./inner.ts";',
  "apps/worker/src/good.test.ts": 'import "@iexec-ts/testkit";',
  "packages/chain/src/good.ts": 'import "@iexec-ts/poco"; import "@iexec-ts/service"; import "./inner.ts";',
};

const reportSchema = z.object({
  summary: z.object({
    totalCruised: z.number(),
    violations: z.array(z.object({ from: z.string(), rule: z.object({ name: z.string() }) })),
  }),
});

let house: string;
let violations: readonly { from: string; rule: { name: string } }[];
let seen: number;

beforeAll(async () => {
  house = mkdtempSync(join(tmpdir(), "rooms-"));
  const write = (path: string, text: string): void => {
    mkdirSync(dirname(join(house, path)), { recursive: true });
    writeFileSync(join(house, path), text);
  };
  mkdirSync(join(house, "node_modules/@iexec-ts"), { recursive: true });
  for (const [home, names] of [
    ["packages", PACKAGES],
    ["apps", APPS],
  ] as const) {
    for (const name of names) {
      // Without "exports" a deep import resolves, so that it is the rule that catches it.
      write(`${home}/${name}/package.json`, JSON.stringify({ name: `@iexec-ts/${name}`, type: "module", main: "./src/index.ts" }));
      write(`${home}/${name}/src/index.ts`, "export const part = 1;");
      write(`${home}/${name}/src/inner.ts`, "export const inner = 1;");
      symlinkSync(join(house, home, name), join(house, "node_modules/@iexec-ts", name));
    }
  }
  for (const [file, source] of Object.values(OFFENCES)) write(file, source);
  write("apps/scheduler/src/two.ts", 'import { one } from "./one.ts"; export const two = () => one;');
  for (const [file, source] of Object.entries(ALLOWED)) write(file, source);
  for (const file of [".dependency-cruiser.cjs", "tsconfig.json"]) cpSync(join(ROOT, file), join(house, file));
  const { stdout } = await runFile(
    "node_modules/dependency-cruiser/bin/dependency-cruiser.mjs",
    ["--config", ".dependency-cruiser.cjs", "--output-type", "json", "packages", "apps"],
    { cwd: house },
  );
  const report = reportSchema.parse(JSON.parse(stdout));
  violations = report.summary.violations;
  seen = report.summary.totalCruised;
});
afterAll(() => rmSync(house, { recursive: true }));

test("the compiler is found: every module is seen", () => {
  expect(seen).toBeGreaterThanOrEqual(2 * (PACKAGES.length + APPS.length) + Object.keys(OFFENCES).length);
});

test.each(Object.entries(OFFENCES))("%s fires", (rule, [file]) => {
  expect(violations.filter(({ from }) => from === file).map(({ rule: { name } }) => name)).toContain(rule);
});

test("what the rooms allow is not reported", () => {
  expect(violations.filter(({ from }) => from in ALLOWED)).toEqual([]);
});

test("every rule of the file has an offence here", async () => {
  const { default: config } = z
    .object({ default: z.object({ forbidden: z.array(z.object({ name: z.string() })) }) })
    .parse(await import(join(ROOT, ".dependency-cruiser.cjs")));
  expect(config.forbidden.map(({ name }) => name).sort()).toEqual(Object.keys(OFFENCES).sort());
});
