import { accessSync, constants } from "node:fs";

const SHELL = "/bin/sh";

/** With a program that cannot be executed `execve` does not fail: it aborts this process. */
function canExecute(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * Ends this process now, with this exit code, whatever is still open and whatever its threads do.
 *
 * `process.exit` waits for V8's background threads, and one that compiles a function may itself wait for the main thread to collect garbage:
 * the process then stands still for ever. A debugger showed it in a worker that took 343 s to end (Node 24.21: a Maglev job in
 * `AwaitCollectionBackground`, the main thread in `NodePlatform::Shutdown`). Another program in the place of this one waits for nobody. Only
 * `bin.ts` and `main.ts` may call it.
 *
 * @param shell - the program that takes the place of this one; where it cannot be executed, `process.exit` has to do
 * SIDE EFFECTS: the listeners of the event `exit` run; nothing runs after.
 */
export function endProcess(code: number, shell: string = SHELL): void {
  process.stdout.write("", () => {
    if (process.execve === undefined || !canExecute(shell)) process.exit(code);
    process.emit("exit", code);
    process.execve(shell, ["sh", "-c", `exit ${code}`], {});
  });
}
