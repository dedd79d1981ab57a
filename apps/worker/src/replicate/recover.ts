import { canFollow } from "@iexec-ts/poco";
import type { Ports } from "./ports.ts";
import type { Replicate } from "./replicate.ts";

/**
 * What an earlier run of this worker left unfinished; each is marked RECOVERING where the table of statuses knows that step.
 *
 * SIDE EFFECTS: writes the journal.
 */
export function recover({ journal, log }: Pick<Ports, "journal" | "log">): readonly Replicate[] {
  return journal.unfinished().map((replicate) => {
    if (replicate.status === "CREATED" || !canFollow(replicate.status, "RECOVERING")) return replicate;
    log.info("going on with a task", { taskId: replicate.taskId, status: replicate.status });
    // The scheduler records it by itself when it is asked what was missed.
    return journal.record(replicate.taskId, "RECOVERING", { mirror: true });
  });
}
