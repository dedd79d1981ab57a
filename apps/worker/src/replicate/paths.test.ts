import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
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
