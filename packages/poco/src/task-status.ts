interface TaskRow {
  readonly next: readonly string[];
  /** What makes the scheduler write it. */
  readonly trigger: string;
}

const FINAL_DEADLINE = "FINAL_DEADLINE_REACHED";

/**
 * Statuses of a task inside a scheduler, in the order of iexec-core 9, with the moves its update rules can make. REOPENING and REOPENED
 * are dead code there; a scheduler that reopens uses them as the table says.
 *
 * @source wire.md 3.6
 */
const TABLE = {
  RECEIVED: { next: ["INITIALIZING", "INITIALIZE_FAILED", FINAL_DEADLINE], trigger: "the deal was seen" },
  INITIALIZING: { next: ["INITIALIZED", "INITIALIZE_FAILED", FINAL_DEADLINE], trigger: "initialize was sent" },
  INITIALIZED: { next: ["RUNNING", "CONTRIBUTION_TIMEOUT", FINAL_DEADLINE], trigger: "the task is ACTIVE on chain" },
  INITIALIZE_FAILED: { next: ["FAILED"], trigger: "initialize was refused, or no enclave challenge could be had" },
  RUNNING: {
    next: ["CONSENSUS_REACHED", "FINALIZED", "RUNNING_FAILED", "CONTRIBUTION_TIMEOUT", FINAL_DEADLINE],
    trigger: "a worker started",
  },
  RUNNING_FAILED: { next: ["FAILED"], trigger: "every worker that could run it failed, or several finalized it" },
  CONTRIBUTION_TIMEOUT: { next: ["FAILED"], trigger: "the contribution deadline passed" },
  CONSENSUS_REACHED: { next: ["AT_LEAST_ONE_REVEALED", "REOPENING", FINAL_DEADLINE], trigger: "the task is REVEALING on chain" },
  REOPENING: { next: ["REOPENED", "REOPEN_FAILED", FINAL_DEADLINE], trigger: "nobody revealed in time, reopen was sent" },
  REOPENED: { next: ["INITIALIZED", FINAL_DEADLINE], trigger: "the task is ACTIVE on chain again" },
  REOPEN_FAILED: { next: ["FAILED"], trigger: "reopen was refused" },
  AT_LEAST_ONE_REVEALED: { next: ["RESULT_UPLOADING", FINAL_DEADLINE], trigger: "a worker revealed" },
  RESULT_UPLOADING: {
    next: ["RESULT_UPLOADED", "RESULT_UPLOAD_TIMEOUT", FINAL_DEADLINE],
    trigger: "a worker was asked to upload the result",
  },
  RESULT_UPLOADED: { next: ["FINALIZING", FINAL_DEADLINE], trigger: "the result is stored" },
  RESULT_UPLOAD_TIMEOUT: { next: ["FAILED"], trigger: "nobody uploaded the result in time" },
  FINALIZING: { next: ["FINALIZED", "FINALIZE_FAILED", FINAL_DEADLINE], trigger: "finalize was sent" },
  FINALIZED: { next: ["COMPLETED"], trigger: "the task is COMPLETED on chain" },
  FINALIZE_FAILED: { next: ["FAILED"], trigger: "finalize was refused" },
  FINAL_DEADLINE_REACHED: { next: ["FAILED"], trigger: "the final deadline passed" },
  COMPLETED: { next: [], trigger: "everything is done" },
  FAILED: { next: [], trigger: "the status before it says why" },
} as const satisfies Record<string, TaskRow>;

/** Status of a task inside a scheduler, as its API names it; not to be confused with `ChainTaskStatus`. */
export type TaskStatus = keyof typeof TABLE;

export function isTaskStatus(value: unknown): value is TaskStatus {
  return typeof value === "string" && Object.hasOwn(TABLE, value);
}

/** In the order of iexec-core 9. */
export const TASK_STATUSES: readonly TaskStatus[] = Object.keys(TABLE).filter(isTaskStatus);

export interface TaskStatusRow {
  readonly status: TaskStatus;
  readonly next: readonly TaskStatus[];
  readonly final: boolean;
  readonly trigger: string;
}

export function taskStatusRow(status: TaskStatus): TaskStatusRow {
  const { next, trigger } = TABLE[status];
  return { status, next, final: next.length === 0, trigger };
}

export function canTaskFollow(from: TaskStatus, to: TaskStatus): boolean {
  return taskStatusRow(from).next.includes(to);
}

export function isTaskFinal(status: TaskStatus): boolean {
  return TABLE[status].next.length === 0;
}
