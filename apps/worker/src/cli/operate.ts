import { systemClock } from "@iexec-ts/service";
import { runCli } from "./program.ts";

/** What a bare `iexec-worker` runs after its short help. */
const OVERVIEW = "overview";

/**
 * SIDE EFFECTS: runs the operator's command named by `argv` on this process's own streams; Ctrl-C leaves at once.
 * @returns the exit code of the process
 */
export async function operate(argv: readonly string[]): Promise<number> {
  const stop = new AbortController();
  const interrupt = () => stop.abort(new Error("interrupted"));
  process.once("SIGINT", interrupt);
  process.once("SIGTERM", interrupt);
  // A reader that went away (`| head`) is no fault of ours.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
  });
  const bare = argv.every((word) => word === "--json" || word === "--no-input");
  try {
    return await runCli(bare ? [OVERVIEW, ...argv] : argv, {
      env: process.env,
      streams: { stdin: process.stdin, stdout: process.stdout, stderr: process.stderr },
      clock: systemClock,
      signal: stop.signal,
    });
  } finally {
    process.off("SIGINT", interrupt);
    process.off("SIGTERM", interrupt);
  }
}
