import { ALIVE_WITHIN_MS } from "@iexec-ts/sandbox";
import type { Stage } from "./decide.ts";
import type { TaskPolicy } from "./ports.ts";

const MINUTE_MS = 60_000;

/** Between two beats of a replicate that looks at the chain, decides and sleeps: several times the longest sleep and the slowest answer. */
export const LOOP_BOUND_MS = 4 * MINUTE_MS;
/** A replicate looks again after this time, whether anything woke it or not. */
export const LOOK_AGAIN_MS = MINUTE_MS;
/** After a sign of life of a peer that says it is alive at most `ALIVE_WITHIN_MS` later. */
export const ALIVE_BOUND_MS = ALIVE_WITHIN_MS + MINUTE_MS;

/** A disk that does not write this much in a second stands still. */
const SLOWEST_DISK_BYTES_PER_SECOND = 1_024 * 1_024;

/** Milliseconds that reading, hashing and zipping the largest output may take. */
export const sealBoundMs = ({ output }: Pick<TaskPolicy, "output">): number =>
  10 * MINUTE_MS + (output.totalBytes / SLOWEST_DISK_BYTES_PER_SECOND) * 1_000;

/**
 * How long each stage may be silent, in milliseconds. What takes longer (a pull, a download, an app, a transaction, an upload) says that it is
 * alive meanwhile; see watched-ports.ts.
 */
export function stageBoundMs(stage: Stage, policy: Pick<TaskPolicy, "output">): number {
  switch (stage) {
    case "DOWNLOAD_APP":
    case "DOWNLOAD_DATA":
      return 2 * ALIVE_BOUND_MS;
    // An app that had ended before this run has its output sealed at once.
    case "COMPUTE":
    case "SEAL_ERROR":
      return ALIVE_BOUND_MS + sealBoundMs(policy);
    case "CONTRIBUTE":
    case "REVEAL":
    case "UPLOAD":
      return 2 * LOOP_BOUND_MS;
    case "PURGE":
      return 15 * MINUTE_MS;
    default:
      return stage satisfies never;
  }
}
