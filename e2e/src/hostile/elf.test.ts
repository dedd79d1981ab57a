import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { elfOf, type Syscall } from "./elf.ts";

const GETPID: Syscall = { number: 39, args: [] };

test.skipIf(process.arch !== "x64" || process.platform !== "linux").each<[string, readonly Syscall[], number]>([
  ["a call that works ends with 0", [GETPID], 0],
  ["the first error number is the exit code: close of no descriptor", [GETPID, { number: 3, args: [99] }, GETPID], 9],
  ["bytes are passed by address: open of a missing file", [{ number: 2, args: [Buffer.from("/nothing here\0"), 0, 0] }], 2],
  ["bytes are passed by address: open of a folder", [GETPID, { number: 2, args: [Buffer.from("/proc\0"), 0, 0] }], 0],
])("%s", (_name, calls, exit) => {
  const folder = mkdtempSync(join(tmpdir(), "elf-"));
  try {
    const program = join(folder, "program");
    writeFileSync(program, elfOf(calls));
    chmodSync(program, 0o755);
    expect(spawnSync(program).status).toBe(exit);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
