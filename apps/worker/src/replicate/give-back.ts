import { chainTime, isOpen } from "@iexec-ts/poco";
import type { CodedError } from "@iexec-ts/service";
import type { Stage } from "./decide.ts";
import { describeTask } from "./describe-task.ts";
import { givesBack } from "./faults.ts";
import type { Ports } from "./ports.ts";
import type { Replicate } from "./replicate.ts";

/** Periods of the task's category that another worker needs: one to fetch app and data, one to compute. */
const PERIODS_FOR_ANOTHER = 2n;

/** Whether no other worker could do the task any more if we tried longer. Nobody knows while the chain cannot be read. */
async function isTooLate({ taskId, dealId }: Replicate, { hub, worker }: Ports): Promise<boolean> {
  try {
    const { task, block } = await hub.observe(taskId, worker);
    const { category } = await describeTask({ taskId, dealId }, hub);
    if (task === undefined) return false;
    return !isOpen(chainTime(task.contributionDeadline - PERIODS_FOR_ANOTHER * category.period), block.timestamp);
  } catch {
    // Said by the loop of the replicate, which looks at the chain next.
    return false;
  }
}

/**
 * Ends a replicate that this host cannot do, so that its scheduler asks another worker: FAILED, with the code as its cause. A v9 scheduler
 * hears ABORTED.
 *
 * SIDE EFFECTS: may record FAILED.
 * @returns whether it was given back; otherwise the stage is to be tried again
 */
export async function giveBack(replicate: Replicate, stage: Stage, error: CodedError, ports: Ports): Promise<boolean> {
  const { taskId } = replicate;
  const { journal } = ports;
  if (journal.contribution(taskId) !== undefined) return false;
  if (!givesBack(error, stage, false) && !(givesBack(error, stage, true) && (await isTooLate(replicate, ports)))) return false;
  journal.record(taskId, "FAILED", { cause: error.code, details: { errorMessage: `${error.code}: ${error.message}` } });
  return true;
}
