import type { ReplicateStatus } from "@iexec-ts/poco";
import type { TaskAction } from "../api.ts";
import type { V9Cause, V9Status } from "./v9-names.ts";

type Row = readonly ReplicateStatus[] | ((cause: V9Cause | undefined) => readonly ReplicateStatus[]);

/** Causes that name a guide status whatever failed. @source wire.md 4.3 rows 13, 14, 16, 20, 35 */
const BY_CAUSE: Partial<Readonly<Record<V9Cause, ReplicateStatus>>> = {
  STAKE_TOO_LOW: "CANT_CONTRIBUTE_SINCE_STAKE_TOO_LOW",
  TASK_NOT_ACTIVE: "CANT_CONTRIBUTE_SINCE_TASK_NOT_ACTIVE",
  CONTRIBUTION_ALREADY_SET: "CANT_CONTRIBUTE_SINCE_CONTRIBUTION_ALREADY_SET",
  CANNOT_REVEAL: "CANT_REVEAL",
  CONSENSUS_BLOCK_MISSING: "CANT_REVEAL",
  BLOCK_NOT_REACHED: "CANT_REVEAL",
  OUT_OF_GAS: "OUT_OF_GAS",
};

/** A failure whose cause may say more than its status. `own`: further causes of this status alone. */
const failure =
  (otherwise: ReplicateStatus, own: Partial<Readonly<Record<V9Cause, ReplicateStatus>>> = {}): Row =>
  (cause) =>
    cause === undefined ? [otherwise] : [own[cause] ?? BY_CAUSE[cause] ?? otherwise];

const beforeContribution = { CONTRIBUTION_TIMEOUT: "CANT_CONTRIBUTE_SINCE_AFTER_DEADLINE" } as const;

const TABLE: Readonly<Record<V9Status, Row>> = {
  CREATED: ["CREATED"],
  STARTING: ["RUNNING"],
  START_FAILED: failure("FAILED", beforeContribution),
  STARTED: ["RUNNING"],
  APP_DOWNLOADING: ["APP_DOWNLOADING"],
  APP_DOWNLOAD_FAILED: failure("APP_DOWNLOAD_FAILED", beforeContribution),
  APP_DOWNLOADED: ["APP_DOWNLOADED"],
  DATA_DOWNLOADING: ["DATA_DOWNLOADING"],
  DATA_DOWNLOAD_FAILED: failure("DATA_DOWNLOAD_FAILED", beforeContribution),
  DATA_DOWNLOADED: ["DATA_DOWNLOADED"],
  COMPUTING: ["COMPUTING"],
  COMPUTE_FAILED: failure("COMPUTE_FAILED", beforeContribution),
  COMPUTED: ["COMPUTED"],
  CONTRIBUTING: ["CAN_CONTRIBUTE", "CONTRIBUTING"],
  CONTRIBUTE_FAILED: failure("CONTRIBUTE_FAILED", beforeContribution),
  CONTRIBUTED: ["CONTRIBUTED"],
  REVEALING: ["REVEALING"],
  REVEAL_FAILED: failure("REVEAL_FAILED", { DETERMINISM_HASH_NOT_FOUND: "CANT_REVEAL" }),
  REVEALED: ["REVEALED"],
  RESULT_UPLOAD_REQUESTED: ["RESULT_UPLOAD_REQUESTED"],
  RESULT_UPLOADING: ["RESULT_UPLOADING"],
  RESULT_UPLOAD_FAILED: ["RESULT_UPLOAD_FAILED"],
  RESULT_UPLOADED: ["RESULT_UPLOADED"],
  CONTRIBUTE_AND_FINALIZE_ONGOING: ["CAN_CONTRIBUTE", "CONTRIBUTING"],
  CONTRIBUTE_AND_FINALIZE_FAILED: failure("CONTRIBUTE_FAILED", beforeContribution),
  CONTRIBUTE_AND_FINALIZE_DONE: ["CONTRIBUTED", "REVEALED", "RESULT_UPLOADED"],
  COMPLETING: [],
  COMPLETE_FAILED: [],
  COMPLETED: ["COMPLETED"],
  FAILED: failure("FAILED", { REVEAL_TIMEOUT: "REVEAL_TIMEOUT" }),
  ABORTED: failure("FAILED", {
    CONSENSUS_REACHED: "ABORTED_ON_CONSENSUS_REACHED",
    CONTRIBUTION_TIMEOUT: "ABORTED_ON_CONTRIBUTION_TIMEOUT",
    REVEAL_TIMEOUT: "REVEAL_TIMEOUT",
  }),
  RECOVERING: ["RECOVERING"],
  WORKER_LOST: ["WORKER_LOST"],
};

/**
 * What a v9 (status, cause) pair means in guide words, in the order to record; empty where the guide has no word for it.
 *
 * @source wire.md 4.3 (right column)
 */
export function fromV9(status: V9Status, cause: V9Cause | undefined): readonly ReplicateStatus[] {
  const row = TABLE[status];
  return typeof row === "function" ? row(cause) : row;
}

const CONTRIBUTES_ITS_ERROR: ReadonlySet<V9Cause | undefined> = new Set<V9Cause>([
  "APP_IMAGE_DOWNLOAD_FAILED",
  "DATASET_FILE_DOWNLOAD_FAILED",
  "DATASET_FILE_BAD_CHECKSUM",
  "INPUT_FILES_DOWNLOAD_FAILED",
]);

/**
 * What a v9 worker is told to do after an update was stored, when the scheduler has nothing of its own to say.
 * Where a Java core sends an empty body we say PLEASE_WAIT, which spares Java workers a second post.
 *
 * @source wire.md 3.4, 9.1.4
 */
export function v9NextAction(status: V9Status, cause: V9Cause | undefined): TaskAction {
  switch (status) {
    case "STARTING":
    case "APP_DOWNLOADING":
    case "DATA_DOWNLOADING":
    case "COMPUTING":
    case "CONTRIBUTING":
    case "REVEALING":
    case "RESULT_UPLOADING":
    case "CONTRIBUTE_AND_FINALIZE_ONGOING":
    case "COMPLETING":
      return "PLEASE_CONTINUE";
    case "STARTED":
      return "PLEASE_DOWNLOAD_APP";
    case "APP_DOWNLOADED":
      return "PLEASE_DOWNLOAD_DATA";
    case "DATA_DOWNLOADED":
      return "PLEASE_COMPUTE";
    case "COMPUTED":
      return "PLEASE_CONTRIBUTE";
    case "APP_DOWNLOAD_FAILED":
    case "DATA_DOWNLOAD_FAILED":
      return CONTRIBUTES_ITS_ERROR.has(cause) ? "PLEASE_CONTRIBUTE" : "PLEASE_ABORT";
    case "START_FAILED":
    case "COMPUTE_FAILED":
    case "CONTRIBUTE_FAILED":
    case "REVEAL_FAILED":
    case "RESULT_UPLOAD_FAILED":
    case "CONTRIBUTE_AND_FINALIZE_FAILED":
    case "COMPLETE_FAILED":
      return "PLEASE_ABORT";
    case "CREATED":
    case "CONTRIBUTED":
    case "REVEALED":
    case "RESULT_UPLOAD_REQUESTED":
    case "RESULT_UPLOADED":
    case "CONTRIBUTE_AND_FINALIZE_DONE":
    case "COMPLETED":
    case "FAILED":
    case "ABORTED":
    case "RECOVERING":
    case "WORKER_LOST":
      return "PLEASE_WAIT";
  }
}
