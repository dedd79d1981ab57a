import { spawn } from "node:child_process";
import { delimiter, join, resolve } from "node:path";

export const ROOT = resolve(import.meta.dirname, "../..");

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  /** Standard output and error as they came. */
  readonly output: string;
}

export interface ProgramOptions {
  /** Show standard error, and with `stdout` also standard output, on our standard error while it runs. */
  readonly show?: "stderr" | "both";
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

const MAX_OUTPUT_CHARACTERS = 64 * 1_024 * 1_024;

/**
 * Runs a JavaScript or TypeScript file on this same Node, with the repository's own commands first in PATH.
 *
 * SIDE EFFECTS: whatever the file does; a SIGTERM or SIGINT sent to us is passed on.
 */
export async function runFile(file: string, args: readonly string[], options: ProgramOptions = {}): Promise<Outcome> {
  const path = [join(ROOT, "node_modules/.bin"), process.env.PATH ?? ""].join(delimiter);
  const child = spawn(process.execPath, [resolve(ROOT, file), ...args], {
    cwd: options.cwd ?? ROOT,
    env: { ...process.env, ...options.env, PATH: path },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const forward = (signal: NodeJS.Signals): void => void child.kill(signal);
  process.on("SIGTERM", forward).on("SIGINT", forward);
  let stdout = "";
  let output = "";
  const collect = (chunk: string): void => {
    if (output.length < MAX_OUTPUT_CHARACTERS) output += chunk;
  };
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    if (stdout.length < MAX_OUTPUT_CHARACTERS) stdout += chunk;
    collect(chunk);
    if (options.show === "both") process.stderr.write(chunk);
  });
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
    collect(chunk);
    if (options.show !== undefined) process.stderr.write(chunk);
  });
  try {
    const code = await new Promise<number>((done, fail) => {
      child.once("error", fail);
      child.once("close", (exit) => done(exit ?? 1));
    });
    return { code, stdout, output };
  } finally {
    process.off("SIGTERM", forward).off("SIGINT", forward);
  }
}
