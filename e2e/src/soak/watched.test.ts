import { once } from "node:events";
import { watch } from "node:fs";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ProgramProcess } from "../rig/program-process.ts";
import { Watched } from "./watched.ts";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "iexec-watched-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** A program that does `atTerm` when it is told to end, once it listens for that. */
async function started(atTerm: string): Promise<Watched> {
  const [program, ready] = [join(folder, "program.mjs"), join(folder, "ready")];
  await writeFile(
    program,
    `import { writeFileSync } from "node:fs";
     process.on("SIGTERM", () => { ${atTerm} }); setInterval(() => undefined, 1000); writeFileSync(${JSON.stringify(ready)}, "");`,
  );
  const watched = new Watched(
    "one",
    "worker",
    new ProgramProcess({ program, env: {}, logPath: join(folder, "log") }),
    "http://127.0.0.1:9",
  );
  const watcher = watch(folder);
  watched.start();
  while (!(await stat(ready).catch(() => undefined))) await once(watcher, "change");
  watcher.close();
  return watched;
}

test("an orderly end is nothing to tell of, also when it is asked for twice", async () => {
  const watched = await started("process.exit(0)");
  expect([await watched.stop(), await watched.stop()]).toEqual([0, 0]);
  expect(watched.hungStops).toEqual([]);
});

test.each([
  ["process.exit(3)", "one ended with 3"],
  ["process.kill(process.pid, 'SIGKILL')", "one took a SIGKILL"],
])("an end by %s is no orderly one", async (atTerm, told) => {
  const watched = await started(atTerm);
  await watched.stop();
  await watched.stop();
  expect(watched.hungStops).toEqual([told]);
  expect(watched.crashes).toEqual([]);
});

test("one that was killed and not started again has no end to be judged", async () => {
  const watched = await started("process.exit(0)");
  await watched.kill();
  await watched.stop();
  expect(watched.hungStops).toEqual([]);
});
