import type { ReplicateStatus, TaskId } from "@iexec-ts/poco";
import { CodedError } from "@iexec-ts/service";
import { rlc } from "../cli/view/amounts.ts";
import type { Journal } from "../replicate/journal.ts";
import type { Replicate } from "../replicate/replicate.ts";

const REVEALED: ReadonlySet<ReplicateStatus> = new Set<ReplicateStatus>([
  "REVEALED",
  "RESULT_UPLOAD_REQUESTED",
  "RESULT_UPLOADING",
  "RESULT_UPLOADED",
  "RESULT_UPLOAD_FAILED",
  "RESULT_UPLOAD_REQUEST_FAILED",
]);
const MAY_UPLOAD: ReadonlySet<ReplicateStatus> = new Set<ReplicateStatus>([...REVEALED].filter((status) => status !== "RESULT_UPLOADED"));

/** What giving a task up costs now, in words; undefined when it costs no stake. */
export function lossOf(replicate: Replicate, hasContribution: boolean): string | undefined {
  if (!hasContribution || REVEALED.has(replicate.progress)) return undefined;
  return `its stake of ${rlc(replicate.stake)} would be seized and the score would fall by a third`;
}

/** Errors: WRK-1304 unknown task, WRK-1522 it is over. */
function open(journal: Journal, taskId: TaskId, what: string): Replicate {
  const replicate = journal.get(taskId);
  if (replicate.closedAt !== undefined) throw new CodedError("WRK-1522", { taskId, what, reason: `it is over (${replicate.status})` });
  return replicate;
}

export interface Aborted {
  readonly status: ReplicateStatus;
  /** What it costs, in words; undefined when it costs no stake. */
  readonly loss: string | undefined;
}

/**
 * Gives a task up. Without a contribution of ours nothing is lost; with one only `force` does it.
 *
 * Errors: WRK-1304, WRK-1521 it would cost stake, WRK-1522 it is over. SIDE EFFECTS: writes the journal; the engine acts on it.
 */
export function abortTask(journal: Journal, taskId: TaskId, force: boolean): Aborted {
  const replicate = open(journal, taskId, "aborted");
  const contributed = journal.contribution(taskId) !== undefined;
  const loss = lossOf(replicate, contributed);
  if (loss !== undefined && !force) throw new CodedError("WRK-1521", { taskId, loss });
  // Without force it only counts as long as nothing is contributed, whatever happens meanwhile.
  journal.note(taskId, { abort: contributed ? "OPERATOR_FORCED" : "OPERATOR" });
  return { status: replicate.status, loss };
}

/**
 * Asks for an upload as the scheduler would.
 *
 * Errors: WRK-1304, WRK-1522 it is over, not revealed yet, or uploaded already. SIDE EFFECTS: writes the journal; the engine acts on it.
 */
export function retryUpload(journal: Journal, taskId: TaskId): ReplicateStatus {
  const what = "uploaded again";
  const { progress } = open(journal, taskId, what);
  if (progress === "RESULT_UPLOADED") throw new CodedError("WRK-1522", { taskId, what, reason: "its result is stored already" });
  if (!MAY_UPLOAD.has(progress)) throw new CodedError("WRK-1522", { taskId, what, reason: `its result is not revealed yet (${progress})` });
  journal.note(taskId, { uploadRequested: true });
  return progress;
}
