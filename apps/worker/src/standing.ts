import { isFinal } from "@iexec-ts/poco";
import type { Stall } from "@iexec-ts/service";
import type { Activity } from "./replicate/activity.ts";
import type { TaskPolicy } from "./replicate/ports.ts";
import type { Replicate } from "./replicate/replicate.ts";
import { sealBoundMs } from "./replicate/stage-bounds.ts";

/** A task that made no progress for longer than what it does can explain. */
export interface StuckTask {
  readonly taskId: string;
  readonly status: string;
  /** When it came into this status. */
  readonly since: Date;
  /** What it waits for, or why it did not get on; for a person. */
  readonly because: string;
}

/** What does not move in a worker, or did not move for a while. */
export interface Standing {
  readonly stalls: readonly Stall[];
  readonly stuck: readonly StuckTask[];
}

const MINUTE_MS = 60_000;
/** What takes a moment: a look at the chain, a small file. */
const MOMENT_MS = 10 * MINUTE_MS;
/** A transaction that is not mined after this time is dear, stuck, or behind another one. */
const TRANSACTION_MS = 15 * MINUTE_MS;
const UPLOAD_MS = 30 * MINUTE_MS;

/** When a replicate that is still in its status must have left it. Pure. */
function leavesBy(replicate: Replicate, policy: Pick<TaskPolicy, "output" | "fetch" | "pullTimeout">): number {
  const { status, updatedAt, computeDeadline, finalDeadline } = replicate;
  const since = updatedAt.getTime();
  if (isFinal(status)) return since + 2 * MOMENT_MS;
  switch (status) {
    case "APP_DOWNLOADING":
      return since + Math.max(policy.pullTimeout.minMinutes, policy.pullTimeout.maxMinutes) * MINUTE_MS + MOMENT_MS;
    case "DATA_DOWNLOADING":
      return since + policy.fetch.limits.totalMs * policy.fetch.limits.tries + MOMENT_MS;
    case "COMPUTING":
      // Without a deadline the app was not begun: the proof of isolation may have to come first.
      return (computeDeadline?.getTime() ?? since + 2 * MOMENT_MS) + sealBoundMs(policy) + MOMENT_MS;
    case "CAN_CONTRIBUTE":
    case "CONTRIBUTING":
    case "REVEALING":
      return since + TRANSACTION_MS;
    case "RESULT_UPLOADING":
      return since + UPLOAD_MS;
    // What comes next is for others to do; the chain says until when.
    case "CONTRIBUTED":
    case "REVEALED":
    case "RESULT_UPLOADED":
    case "RESULT_UPLOAD_FAILED":
    case "RESULT_UPLOAD_REQUEST_FAILED":
      return Math.max(since, Number(finalDeadline) * 1_000) + TRANSACTION_MS;
    default:
      return since + MOMENT_MS;
  }
}

/**
 * The tasks that stand: each replicate whose status should have been left by now. Pure.
 *
 * @param activity - what is done for a task at this moment, as far as it is known
 */
export function stuckTasks(
  unfinished: readonly Replicate[],
  activity: (taskId: Replicate["taskId"]) => Activity | undefined,
  policy: Pick<TaskPolicy, "output" | "fetch" | "pullTimeout">,
  now: Date,
): readonly StuckTask[] {
  return unfinished
    .filter((replicate) => leavesBy(replicate, policy) < now.getTime())
    .map(({ taskId, status, updatedAt }) => ({ taskId, status, since: updatedAt, because: reasonOf(activity(taskId)) }));
}

function reasonOf(activity: Activity | undefined): string {
  if (activity === undefined) return "nothing is being done for it";
  const { stage, because } = activity;
  if (stage === undefined) return because ?? "it waits";
  const doing = `its stage ${stage} does not end`;
  return because === undefined ? doing : `${doing}: ${because}`;
}
