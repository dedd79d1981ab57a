import { canFollow, type ReplicateStatus, statusRow } from "./status.ts";

/** One line of a recorded history of a replicate, a worker's or a workerpool's. */
export interface RecordedStatus {
  readonly status: ReplicateStatus;
  readonly setBy: "worker" | "scheduler";
  /** Kept although more was known already: it does not change the state. */
  readonly late: boolean;
}

export type Replayed =
  | {
      readonly legal: true;
      /** The state the history ends in. */
      readonly status: ReplicateStatus;
      /** How far the work got: `status` without RECOVERING, WORKER_LOST and OUT_OF_GAS. */
      readonly progress: ReplicateStatus;
    }
  | { readonly legal: false; readonly index: number; readonly from: ReplicateStatus | undefined; readonly to: ReplicateStatus };

/** Statuses that tell what happened to the worker, not how far the task got. */
const ASIDE: ReadonlySet<ReplicateStatus> = new Set<ReplicateStatus>(["RECOVERING", "WORKER_LOST", "OUT_OF_GAS"]);

/** What the chain or the result store proves may be recorded without the stages that nobody reported. */
const PROVABLE: ReadonlySet<ReplicateStatus> = new Set<ReplicateStatus>(["CONTRIBUTED", "REVEALED", "RESULT_UPLOADED", "COMPLETED"]);

/**
 * Plays a recorded history again, step by step through the table of statuses. Pure: the same history always gives the same state, in this
 * version and in every later one.
 *
 * A workerpool hears from the worker late and from the chain early, so in its histories (`by: "workerpool"`) a status that is proven needs no
 * step that leads to it, and a late one only has to continue the worker's own line.
 *
 * @returns the state at the end, or the first step that the table does not allow
 * @source worker guide, statuses of replicates
 */
export function replayHistory(history: readonly RecordedStatus[], by: "worker" | "workerpool"): Replayed {
  let status: ReplicateStatus | undefined;
  let progress: ReplicateStatus = "CREATED";
  let line: ReplicateStatus = "CREATED";
  for (const [index, { status: next, setBy, late }] of history.entries()) {
    const from = late ? line : status;
    const proven = by === "workerpool" && PROVABLE.has(next);
    const first = from === undefined && next === "CREATED";
    // Between two statuses of the worker the workerpool may have put its own: the worker's own line then explains the step.
    const own = by === "workerpool" && setBy === "worker" && canFollow(line, next);
    if (!first && !proven && !own && (from === undefined || !canFollow(from, next))) return { legal: false, index, from, to: next };
    if (setBy === "worker" && statusRow(next).setBy === "scheduler" && by === "workerpool") return { legal: false, index, from, to: next };
    if (!ASIDE.has(next) && (setBy === "worker" || next === "CREATED")) line = next;
    if (late) continue;
    status = next;
    if (!ASIDE.has(next)) progress = next;
  }
  return status === undefined ? { legal: false, index: 0, from: undefined, to: "CREATED" } : { legal: true, status, progress };
}
