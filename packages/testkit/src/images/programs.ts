import { execFile } from "node:child_process";
import { access, constants, realpath } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { CodedError } from "@iexec-ts/service";
import type { ImageEntry } from "./tar-file.ts";

const run = promisify(execFile);

/** Where `program` is on this machine, or undefined. */
export async function findProgram(program: string): Promise<string | undefined> {
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/bin", "/bin", "/usr/local/bin"];
  for (const folder of folders.filter((candidate) => candidate !== "")) {
    try {
      await access(join(folder, program), constants.X_OK);
      return join(folder, program);
    } catch {
      // Not here: look in the next folder.
    }
  }
  return undefined;
}

/**
 * The shared libraries a program needs, each at the path where its loader looks for it.
 *
 * Errors: NET-1201 a library is missing, NET-1204 not a Linux machine.
 * SIDE EFFECTS: runs `ldd`.
 */
export async function librariesOf(file: string): Promise<ReadonlyMap<string, ImageEntry>> {
  if (process.platform !== "linux") throw new CodedError("NET-1204", { platform: process.platform });
  const found = new Map<string, ImageEntry>();
  for (const line of (await lddOutput(file)).split("\n")) {
    const missing = /^\s*(\S+) => not found/.exec(line)?.[1];
    if (missing !== undefined) throw new CodedError("NET-1201", { file, library: missing });
    const path = /=>\s+(\/\S+)/.exec(line)?.[1] ?? /^\s*(\/\S+)\s+\(0x/.exec(line)?.[1];
    if (path !== undefined) found.set(path, { kind: "copy", from: await realpath(path), mode: 0o755 });
  }
  return found;
}

async function lddOutput(file: string): Promise<string> {
  try {
    return (await run("ldd", [file])).stdout;
  } catch (error) {
    // A static program is no error of ours: ldd answers with exit code 1 and says so.
    const text = typeof error === "object" && error !== null && "stderr" in error ? String(error.stderr) : "";
    if (/not a dynamic executable|statically linked/.test(text)) return "";
    throw new CodedError("NET-1201", { file, library: "ldd" }, { cause: error });
  }
}
