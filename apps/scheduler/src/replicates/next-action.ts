import type { ReplicateStatus } from "@iexec-ts/poco";
import type { TaskAction } from "@iexec-ts/wire";
import type { TaskRecord } from "../model.ts";

const CONTRIBUTABLE_CAUSES: ReadonlySet<string> = new Set([
  "APP_IMAGE_DOWNLOAD_FAILED",
  "DATASET_FILE_DOWNLOAD_FAILED",
  "DATASET_FILE_BAD_CHECKSUM",
  "INPUT_FILES_DOWNLOAD_FAILED",
]);
const OWN_CODE = /^[A-Z]{3}-\d{4}$/;

/** Whether a failed download ends in a contribution of the error text, as the guide's machine says, or in nothing. */
const isContributable = (cause: string | undefined): boolean =>
  cause === undefined || CONTRIBUTABLE_CAUSES.has(cause) || OWN_CODE.test(cause);

/**
 * What a worker is told in answer to a status that was stored. The chain has the last word: a native worker takes it as a hint.
 *
 * @source wire.md 3.4, in guide words
 */
export function nextAction(status: ReplicateStatus, cause: string | undefined, task: Pick<TaskRecord, "trust" | "tee">): TaskAction {
  switch (status) {
    case "RUNNING":
      return "PLEASE_DOWNLOAD_APP";
    case "APP_DOWNLOADED":
      return "PLEASE_DOWNLOAD_DATA";
    case "DATA_DOWNLOADED":
      return "PLEASE_COMPUTE";
    case "COMPUTED":
      return task.trust <= 1n && task.tee !== undefined ? "PLEASE_CONTRIBUTE_AND_FINALIZE" : "PLEASE_CONTRIBUTE";
    case "APP_DOWNLOAD_FAILED":
    case "DATA_DOWNLOAD_FAILED":
      return isContributable(cause) ? "PLEASE_CONTRIBUTE" : "PLEASE_ABORT";
    case "APP_DOWNLOADING":
    case "DATA_DOWNLOADING":
    case "COMPUTING":
    case "CAN_CONTRIBUTE":
    case "CONTRIBUTING":
    case "REVEALING":
    case "RESULT_UPLOADING":
      return "PLEASE_CONTINUE";
    case "COMPUTE_FAILED":
    case "CONTRIBUTE_FAILED":
    case "CANT_CONTRIBUTE_SINCE_STAKE_TOO_LOW":
    case "CANT_CONTRIBUTE_SINCE_TASK_NOT_ACTIVE":
    case "CANT_CONTRIBUTE_SINCE_AFTER_DEADLINE":
    case "CANT_CONTRIBUTE_SINCE_CONTRIBUTION_ALREADY_SET":
    case "CANT_REVEAL":
    case "REVEAL_FAILED":
      return "PLEASE_ABORT";
    case "CREATED":
    case "CONTRIBUTED":
    case "REVEALED":
    case "RESULT_UPLOAD_REQUESTED":
    case "RESULT_UPLOAD_REQUEST_FAILED":
    case "RESULT_UPLOADED":
    // The replicate is revealed and will be paid: it keeps its result, another upload may be asked.
    case "RESULT_UPLOAD_FAILED":
    case "COMPLETED":
    case "REVEAL_TIMEOUT":
    case "WORKER_LOST":
    case "ABORTED_ON_CONSENSUS_REACHED":
    case "ABORTED_ON_CONTRIBUTION_TIMEOUT":
    case "FAILED":
    case "OUT_OF_GAS":
    case "RECOVERING":
      return "PLEASE_WAIT";
  }
}
