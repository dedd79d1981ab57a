import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { acquireLock } from "./lock.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "lock-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

const MODULE = pathToFileURL(join(import.meta.dirname, "lock.ts")).href;

async function holdElsewhere(path: string): Promise<ChildProcess> {
  const program = `import { acquireLock } from ${JSON.stringify(MODULE)}; acquireLock(process.argv[1]); console.log("held"); setInterval(() => {}, 1e6);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program, path], { stdio: ["ignore", "pipe", "inherit"] });
  if (child.stdout !== null) await once(child.stdout, "data");
  return child;
}

async function kill(child: ChildProcess): Promise<void> {
  child.kill("SIGKILL");
  await once(child, "exit");
}

test("one holder at a time, in this process too", () => {
  const path = join(folder, "one");
  const lock = acquireLock(path, "the first");
  expect(() => acquireLock(path)).toThrow(expect.objectContaining({ code: "SVC-1401", args: { path, holder: "the first" } }));
  lock.release();
  lock.release();
  acquireLock(path).release();
});

test("another process is kept out and named, and its lock dies with it", async () => {
  const path = join(folder, "two");
  const child = await holdElsewhere(path);
  expect(() => acquireLock(path)).toThrow(expect.objectContaining({ code: "SVC-1401", args: { path, holder: `process ${child.pid}` } }));
  await kill(child);
  acquireLock(path).release();
});

test("a folder that does not exist has its own code", () => {
  expect(() => acquireLock(join(folder, "none", "lock"))).toThrow(expect.objectContaining({ code: "SVC-1402" }));
});
