import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync } from "node:fs";
import { readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { createTaskFolders, removeTaskFolder, taskPaths } from "./paths.ts";

const TASK = `0x${"1".repeat(64)}` as const;

test("folders nested beyond the longest path go too, and a folder that is not there is no fault", async () => {
  const paths = taskPaths(mkdtempSync(join(tmpdir(), "paths-")), TASK);
  await createTaskFolders(paths);
  const nest = 'const name = "d".repeat(200); for (let depth = 0; depth < 40; depth++) { fs.mkdirSync(name); process.chdir(name); }';
  execFileSync(process.execPath, ["-e", nest], { cwd: paths.iexecOut });
  await removeTaskFolder(paths);
  expect(existsSync(paths.root)).toBe(false);
  await removeTaskFolder(paths);
  await rm(join(paths.root, ".."), { recursive: true });
});

test("what a crashed run had half written is gone before an app sees its inputs; files of the app are never touched", async () => {
  const paths = taskPaths(mkdtempSync(join(tmpdir(), "paths-")), TASK);
  await createTaskFolders(paths);
  const draft = ".11111111-0000-4000-8000-000000000000.draft";
  for (const folder of [paths.input, paths.output, paths.iexecOut]) await writeFile(join(folder, draft), "half");
  await writeFile(join(paths.input, "data.csv"), "whole");
  await createTaskFolders(paths);
  expect(await readdir(paths.input)).toEqual(["data.csv"]);
  expect(await readdir(paths.output)).toEqual(["iexec_out"]);
  expect(await readdir(paths.iexecOut)).toEqual([draft]);
  await rm(join(paths.root, ".."), { recursive: true });
});
