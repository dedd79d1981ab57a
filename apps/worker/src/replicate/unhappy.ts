import type { ReplicateStatus } from "@iexec-ts/poco";
import { CodedError, type ErrorCode, type Logger } from "@iexec-ts/service";
import type { Journal } from "./journal.ts";

type Telling = { readonly code: ErrorCode; readonly level: "warn" | "error" };
const warn = (code: ErrorCode): Telling => ({ code, level: "warn" });
/** The stake of the task may be gone: a person must look. */
const error = (code: ErrorCode): Telling => ({ code, level: "error" });

/** What is said of each status; undefined where the task goes well. Exhaustive by type, so that no unhappy end is silent. */
export const UNHAPPY: Readonly<Record<ReplicateStatus, Telling | undefined>> = {
  CREATED: undefined,
  RUNNING: undefined,
  APP_DOWNLOADING: undefined,
  APP_DOWNLOADED: undefined,
  APP_DOWNLOAD_FAILED: warn("WRK-1401"),
  DATA_DOWNLOADING: undefined,
  DATA_DOWNLOADED: undefined,
  DATA_DOWNLOAD_FAILED: warn("WRK-1402"),
  COMPUTING: undefined,
  COMPUTED: undefined,
  COMPUTE_FAILED: warn("WRK-1403"),
  CAN_CONTRIBUTE: undefined,
  CANT_CONTRIBUTE_SINCE_STAKE_TOO_LOW: warn("WRK-1404"),
  CANT_CONTRIBUTE_SINCE_TASK_NOT_ACTIVE: warn("WRK-1405"),
  CANT_CONTRIBUTE_SINCE_AFTER_DEADLINE: warn("WRK-1405"),
  CANT_CONTRIBUTE_SINCE_CONTRIBUTION_ALREADY_SET: warn("WRK-1405"),
  CONTRIBUTING: undefined,
  CONTRIBUTE_FAILED: warn("WRK-1406"),
  CONTRIBUTED: undefined,
  CANT_REVEAL: error("WRK-1316"),
  REVEALING: undefined,
  REVEALED: undefined,
  REVEAL_FAILED: error("WRK-1316"),
  RESULT_UPLOAD_REQUESTED: undefined,
  RESULT_UPLOAD_REQUEST_FAILED: warn("WRK-1408"),
  RESULT_UPLOADING: undefined,
  RESULT_UPLOADED: undefined,
  RESULT_UPLOAD_FAILED: warn("WRK-1408"),
  COMPLETED: undefined,
  REVEAL_TIMEOUT: error("WRK-1316"),
  WORKER_LOST: warn("WRK-1411"),
  ABORTED_ON_CONSENSUS_REACHED: warn("WRK-1409"),
  ABORTED_ON_CONTRIBUTION_TIMEOUT: warn("WRK-1409"),
  FAILED: warn("WRK-1410"),
  OUT_OF_GAS: warn("WRK-1407"),
  RECOVERING: undefined,
};

/**
 * Says each unhappy status of the journal once, with a code, the task and what to do.
 *
 * SIDE EFFECTS: logs, until the journal is shut.
 */
export function tellUnhappy(journal: Journal, log: Logger): void {
  journal.onChange(({ taskId, status, cause, details }) => {
    const telling = UNHAPPY[status];
    if (telling === undefined) return;
    const reason = [cause, details?.errorMessage].filter((part) => part !== undefined && part !== "").join(", ");
    const fault = new CodedError(telling.code, { taskId, status, reason: reason === "" ? status : reason });
    log[telling.level]("a task did not go well", { taskId, status, error: fault });
  });
}
