import type { STATUS_TABLE } from "./status-table.ts";

type Status = keyof typeof STATUS_TABLE;

interface Extra {
  readonly from: readonly Status[];
  readonly to: readonly Status[];
  readonly reason: string;
}

const CANT = [
  "CANT_CONTRIBUTE_SINCE_STAKE_TOO_LOW",
  "CANT_CONTRIBUTE_SINCE_TASK_NOT_ACTIVE",
  "CANT_CONTRIBUTE_SINCE_AFTER_DEADLINE",
  "CANT_CONTRIBUTE_SINCE_CONTRIBUTION_ALREADY_SET",
] as const;

/** Transitions that 3.0.1 does not have and we allow. Everything here is ours, each with its reason. */
export const EXTRA_TRANSITIONS = [
  {
    from: ["RUNNING", "APP_DOWNLOADED", "DATA_DOWNLOADED"],
    to: CANT,
    reason: "3.1.0: the chain is asked before each stage, so a task that cannot pay is left before work is spent on it.",
  },
  {
    from: ["CANT_REVEAL", "REVEAL_FAILED", "REVEAL_TIMEOUT", "ABORTED_ON_CONSENSUS_REACHED", "ABORTED_ON_CONTRIBUTION_TIMEOUT"],
    to: ["FAILED"],
    reason:
      "3.1.0: every status that can no longer complete is closed by FAILED, which leaves COMPLETED and FAILED as the only final ones.",
  },
  {
    from: ["OUT_OF_GAS"],
    to: ["CAN_CONTRIBUTE", "REVEALING", "RECOVERING", "REVEAL_TIMEOUT", "CANT_REVEAL"],
    reason: "An empty wallet is a pause: the worker goes on when it is refilled, or learns what happened meanwhile.",
  },
  {
    from: ["CONTRIBUTING", "REVEALING"],
    to: ["OUT_OF_GAS"],
    reason: "The price of gas may rise between the check of the balance and the sending.",
  },
  {
    from: ["CANT_CONTRIBUTE_SINCE_CONTRIBUTION_ALREADY_SET"],
    to: ["CONTRIBUTED"],
    reason: "The contribution found on chain turns out to be the one this worker sent before it stopped.",
  },
  {
    from: ["CONTRIBUTE_FAILED"],
    to: CANT,
    reason: "Reading the chain after a failed contribution gives the reason.",
  },
  {
    from: ["RESULT_UPLOAD_FAILED", "RESULT_UPLOAD_REQUEST_FAILED"],
    to: ["RESULT_UPLOAD_REQUESTED", "COMPLETED", "FAILED"],
    reason: "The upload may be asked again, and a revealed replicate is paid when another worker uploads.",
  },
  {
    from: ["RESULT_UPLOAD_REQUESTED"],
    to: ["RESULT_UPLOADED", "COMPLETED", "RESULT_UPLOAD_FAILED"],
    reason: "The result may already be stored, another worker may upload it, or it may be missing before the upload starts.",
  },
  {
    from: ["RESULT_UPLOADING"],
    to: ["COMPLETED"],
    reason: "The task is finalized with another worker's upload while ours is on its way.",
  },
  {
    from: ["RECOVERING"],
    to: ["CANT_REVEAL", "REVEAL_FAILED", "RESULT_UPLOAD_REQUEST_FAILED", "RESULT_UPLOAD_FAILED", "REVEAL_TIMEOUT"],
    reason: "v9: a worker that comes back may find that it is too late, or that its result is gone.",
  },
  {
    from: ["WORKER_LOST"],
    to: [
      "CREATED",
      "RUNNING",
      "APP_DOWNLOADING",
      "APP_DOWNLOADED",
      "APP_DOWNLOAD_FAILED",
      "DATA_DOWNLOADING",
      "DATA_DOWNLOADED",
      "DATA_DOWNLOAD_FAILED",
      "COMPUTING",
      "COMPUTED",
      "COMPUTE_FAILED",
      "CAN_CONTRIBUTE",
      ...CANT,
      "CONTRIBUTING",
      "CONTRIBUTE_FAILED",
      "CONTRIBUTED",
      "CANT_REVEAL",
      "REVEALING",
      "REVEALED",
      "REVEAL_FAILED",
      "RESULT_UPLOAD_REQUESTED",
      "RESULT_UPLOADING",
      "RESULT_UPLOADED",
      "OUT_OF_GAS",
    ],
    reason: "v9: a worker whose pings were lost went on working; what it proves it did counts.",
  },
] as const satisfies readonly Extra[];
