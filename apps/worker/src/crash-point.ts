import type { Checkpoint } from "./replicate/ports.ts";

/**
 * Kills this process with SIGKILL when the named checkpoint is passed (`name#2`: for the second time), as the crash scenarios ask for through
 * IEXEC_TEST_CRASH_AT. Undefined, and without any effect, for everybody else.
 */
export function crashAt(wanted: string | undefined): Checkpoint | undefined {
  if (wanted === undefined || wanted === "") return undefined;
  const [name, count = "1"] = wanted.split("#");
  let left = Number(count);
  return (passed) => {
    if (passed === name && --left === 0) process.kill(process.pid, "SIGKILL");
  };
}
