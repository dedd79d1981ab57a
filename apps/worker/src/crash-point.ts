import type { Checkpoint } from "./replicate/ports.ts";

/**
 * Kills this process with SIGKILL when the named checkpoint is passed, as the crash scenarios ask for through IEXEC_TEST_CRASH_AT.
 * Undefined, and without any effect, for everybody else.
 */
export const crashAt = (name: string | undefined): Checkpoint | undefined =>
  name === undefined || name === ""
    ? undefined
    : (passed) => {
        if (passed === name) process.kill(process.pid, "SIGKILL");
      };
