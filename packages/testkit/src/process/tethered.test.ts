import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CodedError } from "@iexec-ts/service";
import { describe, expect, test, vi } from "vitest";
import { spawnOwned } from "./owned.ts";
import { spawnTethered } from "./tethered.ts";

const shell = (script: string) => ({
  program: "a shell",
  command: "/bin/sh",
  args: ["-c", script],
  ready: (output: string) => /ready (\d+)/.exec(output)?.[1],
});
const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

describe("spawnTethered", () => {
  test("tells what the program said when it was ready, and stops it", async () => {
    const program = await spawnTethered(shell("echo ready 42; exec sleep 600"));
    expect(program.readyValue).toBe("42");
    expect(isAlive(program.pid)).toBe(true);
    await program.stop();
    expect(isAlive(program.pid)).toBe(false);
    await program.stop();
  });

  test("a program that ends before it is ready is NET-1002", async () => {
    await expect(spawnTethered(shell("echo broken >&2; exit 3"))).rejects.toMatchObject({ code: "NET-1002" });
  });

  test("a program that does not exist is NET-1002", async () => {
    const missing = { ...shell(""), command: "/no/such/program" };
    await expect(spawnTethered(missing)).rejects.toMatchObject({ code: "NET-1002" });
  });

  test("a silent program is given up and killed", async () => {
    const failure = await spawnTethered({ ...shell("echo $$; exec sleep 600"), startTimeoutMs: 300 }).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(CodedError);
    expect(failure).toMatchObject({ code: "NET-1002" });
  });

  test("an abort ends the wait and the program", async () => {
    const abort = new AbortController();
    const starting = spawnTethered(shell("exec sleep 600"), abort.signal);
    abort.abort(new Error("enough"));
    await expect(starting).rejects.toThrow("enough");
  });

  test("does not outlive a parent killed with SIGKILL, and its folder is removed", async () => {
    const folder = await mkdtemp(join(tmpdir(), "iexec-tether-"));
    const module = new URL("./tethered.ts", import.meta.url).href;
    const parent = spawnOwned(process.execPath, [
      "--input-type=module",
      "-e",
      `const { spawnTethered } = await import(${JSON.stringify(module)});
       const program = await spawnTethered({ program: "sleep", command: "/bin/sh", args: ["-c", "echo ready 1; exec sleep 600"],
         ready: (output) => /ready/.exec(output)?.[0], removeAfter: ${JSON.stringify(folder)} });
       console.log(program.pid);
       setInterval(() => undefined, 1000);`,
    ]);
    if (parent.stdout === null) throw new Error("no output");
    const [chunk] = await once(parent.stdout, "data");
    const pid = Number(String(chunk));
    expect(isAlive(pid)).toBe(true);
    parent.kill("SIGKILL");
    await vi.waitFor(() => expect(isAlive(pid) || existsSync(folder)).toBe(false), { timeout: 20_000 });
  });
});
