import { existsSync } from "node:fs";

const SHELL = "/bin/sh";

/**
 * Ends this process now, with this exit code, whatever is still open and whatever its threads do.
 *
 * `process.exit` waits for V8's background threads, and one that compiles a function may itself wait for the main thread to collect garbage:
 * the process then stands still for ever. A debugger showed it in a worker that took 343 s to end (Node 24.21: a Maglev job in
 * `AwaitCollectionBackground`, the main thread in `NodePlatform::Shutdown`). Another program in the place of this one waits for nobody. Only
 * `bin.ts` and `main.ts` may call it.
 *
 * SIDE EFFECTS: the listeners of the event `exit` run; nothing runs after.
 */
export function endProcess(code: number): void {
  process.stdout.write("", () => {
    if (process.execve === undefined || !existsSync(SHELL)) process.exit(code);
    process.emit("exit", code);
    process.execve(SHELL, ["sh", "-c", `exit ${code}`], {});
  });
}
