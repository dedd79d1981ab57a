import { canFollow, isFinal, REPLICATE_STATUSES, type ReplicateStatus, statusRow } from "@iexec-ts/poco";

const UPLOAD_STAGE: readonly ReplicateStatus[] = [
  "RESULT_UPLOAD_REQUESTED",
  "RESULT_UPLOAD_REQUEST_FAILED",
  "RESULT_UPLOADING",
  "RESULT_UPLOADED",
  "RESULT_UPLOAD_FAILED",
];
const REVEALED_STAGE: ReadonlySet<ReplicateStatus> = new Set<ReplicateStatus>(["REVEALED", ...UPLOAD_STAGE, "COMPLETED"]);
const CONTRIBUTED_STAGE: ReadonlySet<ReplicateStatus> = new Set<ReplicateStatus>([
  "CONTRIBUTED",
  "CANT_REVEAL",
  "REVEALING",
  "REVEAL_FAILED",
  "REVEAL_TIMEOUT",
  ...REVEALED_STAGE,
]);
const NO_CONTRIBUTION_EXPECTED: ReadonlySet<ReplicateStatus> = new Set<ReplicateStatus>([
  "COMPUTE_FAILED",
  "CANT_CONTRIBUTE_SINCE_STAKE_TOO_LOW",
  "CANT_CONTRIBUTE_SINCE_TASK_NOT_ACTIVE",
  "CANT_CONTRIBUTE_SINCE_AFTER_DEADLINE",
  "CANT_CONTRIBUTE_SINCE_CONTRIBUTION_ALREADY_SET",
  "CONTRIBUTE_FAILED",
  "OUT_OF_GAS",
  "WORKER_LOST",
  "ABORTED_ON_CONSENSUS_REACHED",
  "ABORTED_ON_CONTRIBUTION_TIMEOUT",
  "FAILED",
  "COMPLETED",
]);
const COMPUTING_STAGE: ReadonlySet<ReplicateStatus> = new Set<ReplicateStatus>([
  "CREATED",
  "RUNNING",
  "APP_DOWNLOADING",
  "APP_DOWNLOADED",
  "DATA_DOWNLOADING",
  "DATA_DOWNLOADED",
  "COMPUTING",
  "RECOVERING",
]);
const DIGRESSIONS: ReadonlySet<ReplicateStatus> = new Set<ReplicateStatus>(["WORKER_LOST", "RECOVERING"]);

/** The worker has said, or we have seen, that its contribution is on chain. */
export const knowsContribution = (status: ReplicateStatus): boolean => CONTRIBUTED_STAGE.has(status);

export const knowsReveal = (status: ReplicateStatus): boolean => REVEALED_STAGE.has(status);

/** Nobody should wait for a contribution any more: another worker is asked at once. */
export const givesUpContribution = (status: ReplicateStatus): boolean => NO_CONTRIBUTION_EXPECTED.has(status);

/** The replicate still uses a CPU of its worker: from allocation to COMPUTED, or to a failure before it. */
export const usesSlot = (status: ReplicateStatus): boolean => COMPUTING_STAGE.has(status);

const SLOT_ENDS: ReadonlySet<ReplicateStatus> = new Set(
  REPLICATE_STATUSES.filter(
    (status) =>
      status !== "RECOVERING" &&
      !usesSlot(status) &&
      [...COMPUTING_STAGE].some((before) => before !== "RECOVERING" && canFollow(before, status)),
  ),
);

/** Whether this status is the first one that no longer needs a CPU: its worker can take another task from here on. */
export const freesSlot = (status: ReplicateStatus): boolean => SLOT_ENDS.has(status);

/** Says something about the worker, not about how far the work has got. */
export const isDigression = (status: ReplicateStatus): boolean => DIGRESSIONS.has(status);

/** Its story is told: it is final, or nothing but FAILED could follow, which would say less than the status itself. */
export const isSettled = (status: ReplicateStatus): boolean => isFinal(status) || statusRow(status).next.every((next) => next === "FAILED");
