import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test, vi } from "vitest";
import { runOwned, spawnOwned, stopOwned } from "./owned.ts";

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};
const gone = (...pids: readonly number[]) => vi.waitFor(() => expect(pids.filter(isAlive)).toEqual([]), { timeout: 20_000 });
const MODULE = new URL("./owned.ts", import.meta.url).href;

/** A shell that ignores requests to end, and a child of it in the same process group. */
const STUBBORN = `trap '' TERM; sleep 600 & echo $$ $!; wait`;

const firstLine = async (child: ReturnType<typeof spawnOwned>): Promise<string> => {
  if (child.stdout === null) throw new Error("no output");
  const [chunk] = await once(child.stdout, "data");
  return String(chunk).trim();
};

describe("a program that is owned", () => {
  test("that does not end in its grace is killed with its whole group", async () => {
    const child = spawnOwned("/bin/sh", ["-c", STUBBORN], { stdio: ["ignore", "pipe", "ignore"], graceMs: 300 });
    const pids = (await firstLine(child)).split(" ").map(Number);
    await stopOwned(child);
    await stopOwned(child);
    await gone(...pids);
  });

  test("takes what it left of its group with it when it ends by itself", async () => {
    const child = spawnOwned("/bin/sh", ["-c", "sleep 600 & echo $!"], { stdio: ["ignore", "pipe", "ignore"] });
    await gone(Number(await firstLine(child)));
  });

  test.each(["SIGKILL", "SIGTERM", "SIGINT"] as const)("does not outlive a parent that gets %s, and its folder goes", async (signal) => {
    const folder = await mkdtemp(join(tmpdir(), "iexec-owned-"));
    const parent = spawnOwned(
      process.execPath,
      [
        "--input-type=module",
        "-e",
        `const { spawnOwned } = await import(${JSON.stringify(MODULE)});
         spawnOwned("/bin/sh", ["-c", ${JSON.stringify(STUBBORN)}], { stdio: ["ignore", "pipe", "ignore"], graceMs: 300,
           removeAfter: ${JSON.stringify(folder)} }).stdout.pipe(process.stdout);
         setInterval(() => undefined, 1000);`,
      ],
      { stdio: ["ignore", "pipe", "inherit"], spareGroup: true },
    );
    const pids = (await firstLine(parent)).split(" ").map(Number);
    parent.kill(signal);
    await gone(...pids);
    await vi.waitFor(() => expect(existsSync(folder)).toBe(false), { timeout: 20_000 });
  });

  test("gets our TMPDIR also with an environment of its own", async () => {
    const before = process.env.TMPDIR;
    process.env.TMPDIR = tmpdir();
    try {
      const { stdout } = await runOwned("/bin/sh", ["-c", 'echo "$TMPDIR $MINE"'], { env: { MINE: "own" } });
      expect(stdout).toBe(`${tmpdir()} own\n`);
    } finally {
      if (before === undefined) delete process.env.TMPDIR;
      else process.env.TMPDIR = before;
    }
  });

  test("that cannot start says so", async () => {
    await expect(runOwned("/no/such/program", [])).rejects.toMatchObject({ code: "ENOENT" });
  });

  test("is run to its end, with what it reads and what it says", async () => {
    expect(await runOwned("/bin/sh", ["-c", "cat; echo bad >&2; exit 3"], { input: "good\n" })).toMatchObject({
      code: 3,
      stdout: "good\n",
    });
  });

  test("ends when the signal aborts", async () => {
    const stop = new AbortController();
    const running = runOwned("/bin/sh", ["-c", "echo started; sleep 600"], { signal: stop.signal, onOutput: () => stop.abort() });
    expect(await running).toMatchObject({ code: 1 });
  });
});
