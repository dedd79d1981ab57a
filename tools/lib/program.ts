import { delimiter, join, resolve } from "node:path";
import { type Ran, runOwned } from "../../packages/testkit/src/process/owned.ts";

export const ROOT = resolve(import.meta.dirname, "../..");

export type Outcome = Ran;

export interface ProgramOptions {
  /** Show standard error, and with `stdout` also standard output, on our standard error while it runs. */
  readonly show?: "stderr" | "both";
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Asks it to end. */
  readonly signal?: AbortSignal;
}

/** As long as the longest orderly end of what it may start. */
const GRACE_MS = 45_000;

/**
 * Runs a JavaScript or TypeScript file on this same Node, with the repository's own commands first in PATH.
 *
 * SIDE EFFECTS: whatever the file does; it does not outlive us.
 */
export function runFile(file: string, args: readonly string[], options: ProgramOptions = {}): Promise<Outcome> {
  const path = [join(ROOT, "node_modules/.bin"), process.env.PATH ?? ""].join(delimiter);
  const { show } = options;
  return runOwned(process.execPath, [resolve(ROOT, file), ...args], {
    cwd: options.cwd ?? ROOT,
    env: { ...process.env, ...options.env, PATH: path },
    ...(options.signal === undefined ? {} : { signal: options.signal }),
    graceMs: GRACE_MS,
    onOutput: (text, from) => {
      if (show === "both" || (show === "stderr" && from === "stderr")) process.stderr.write(text);
    },
  });
}
