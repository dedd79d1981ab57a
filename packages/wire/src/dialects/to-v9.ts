import type { ReplicateStatus } from "@iexec-ts/poco";
import type { StatusReport } from "../api.ts";
import { isV9Cause, type V9Cause, type V9Status } from "./v9-names.ts";

/** One update to post to a v9 scheduler. */
export interface V9Update {
  readonly status: V9Status;
  readonly cause: V9Cause | undefined;
  /** The scheduler is known to refuse this one; the next still follows. */
  readonly refusalExpected: boolean;
  /** The report's details travel with this update, and with no other. */
  readonly carriesDetails: boolean;
}

/** A name alone: no cause. A pair: the cause sent when the report's own is not a v9 name. `fixed`: always this cause. */
type Row = readonly { readonly status: V9Status; readonly cause?: V9Cause; readonly fixed?: true; readonly refused?: true }[];

const aborted = (cause: V9Cause): Row => [{ status: "ABORTED", cause, fixed: true }];

/**
 * Guide status -> updates for a v9 scheduler, in order. Empty: nothing to say (the scheduler sets it, or v9 has no word for it).
 * Reasons not to contribute or reveal are sent as (ABORTED, cause): the one status that v9 stores with its cause from any stage.
 *
 * @source wire.md 4.3
 */
const TABLE: Readonly<Record<ReplicateStatus, Row>> = {
  CREATED: [],
  RUNNING: [{ status: "STARTING" }, { status: "STARTED" }],
  APP_DOWNLOADING: [{ status: "APP_DOWNLOADING" }],
  APP_DOWNLOADED: [{ status: "APP_DOWNLOADED" }],
  APP_DOWNLOAD_FAILED: [{ status: "APP_DOWNLOAD_FAILED", cause: "APP_IMAGE_DOWNLOAD_FAILED" }],
  DATA_DOWNLOADING: [{ status: "DATA_DOWNLOADING" }],
  DATA_DOWNLOADED: [{ status: "DATA_DOWNLOADED" }],
  DATA_DOWNLOAD_FAILED: [{ status: "DATA_DOWNLOAD_FAILED", cause: "DATASET_FILE_DOWNLOAD_FAILED" }],
  COMPUTING: [{ status: "COMPUTING" }],
  COMPUTED: [{ status: "COMPUTED" }],
  COMPUTE_FAILED: [{ status: "COMPUTE_FAILED", cause: "APP_COMPUTE_FAILED" }],
  CAN_CONTRIBUTE: [],
  CANT_CONTRIBUTE_SINCE_STAKE_TOO_LOW: aborted("STAKE_TOO_LOW"),
  CANT_CONTRIBUTE_SINCE_TASK_NOT_ACTIVE: aborted("TASK_NOT_ACTIVE"),
  CANT_CONTRIBUTE_SINCE_AFTER_DEADLINE: aborted("CONTRIBUTION_TIMEOUT"),
  CANT_CONTRIBUTE_SINCE_CONTRIBUTION_ALREADY_SET: aborted("CONTRIBUTION_ALREADY_SET"),
  CONTRIBUTING: [{ status: "CONTRIBUTING" }],
  CONTRIBUTE_FAILED: [
    { status: "CONTRIBUTE_FAILED", cause: "CHAIN_RECEIPT_NOT_VALID", refused: true },
    { status: "ABORTED", cause: "CHAIN_RECEIPT_NOT_VALID" },
  ],
  CONTRIBUTED: [{ status: "CONTRIBUTED" }],
  CANT_REVEAL: [{ status: "ABORTED", cause: "CANNOT_REVEAL" }],
  REVEALING: [{ status: "REVEALING" }],
  REVEALED: [{ status: "REVEALED" }],
  REVEAL_FAILED: [
    { status: "REVEAL_FAILED", cause: "CHAIN_RECEIPT_NOT_VALID", refused: true },
    { status: "ABORTED", cause: "CHAIN_RECEIPT_NOT_VALID" },
  ],
  RESULT_UPLOAD_REQUESTED: [],
  RESULT_UPLOAD_REQUEST_FAILED: [],
  RESULT_UPLOADING: [{ status: "RESULT_UPLOADING" }],
  RESULT_UPLOADED: [{ status: "RESULT_UPLOADED" }],
  RESULT_UPLOAD_FAILED: [{ status: "RESULT_UPLOAD_FAILED", cause: "RESULT_LINK_MISSING" }],
  COMPLETED: [{ status: "COMPLETING" }, { status: "COMPLETED" }],
  REVEAL_TIMEOUT: aborted("REVEAL_TIMEOUT"),
  WORKER_LOST: [],
  ABORTED_ON_CONSENSUS_REACHED: aborted("CONSENSUS_REACHED"),
  ABORTED_ON_CONTRIBUTION_TIMEOUT: aborted("CONTRIBUTION_TIMEOUT"),
  FAILED: [{ status: "ABORTED", cause: "UNKNOWN" }],
  OUT_OF_GAS: aborted("OUT_OF_GAS"),
  RECOVERING: [],
};

/** Before these no stake is at risk, so giving the task back to a v9 scheduler costs nothing. */
const NOTHING_AT_STAKE: ReadonlySet<ReplicateStatus> = new Set<ReplicateStatus>([
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
]);

/**
 * The v9 updates that say what this report says.
 *
 * `previous` is this replicate's status before, if known. It matters for OUT_OF_GAS alone: v9 can only abort, and after a contribution
 * (or when we cannot tell) an abort would make the scheduler forget a reveal that a refilled wallet still sends, so nothing is said.
 *
 * @source wire.md 4.3 (left to right)
 */
export function toV9(report: Pick<StatusReport, "status" | "cause">, previous?: ReplicateStatus): readonly V9Update[] {
  if (report.status === "OUT_OF_GAS" && (previous === undefined || !NOTHING_AT_STAKE.has(previous))) return [];
  const row = TABLE[report.status];
  const own = report.cause !== undefined && isV9Cause(report.cause) ? report.cause : undefined;
  return row.map((entry, index) => ({
    status: entry.status,
    cause: entry.cause === undefined || entry.fixed === true ? entry.cause : (own ?? entry.cause),
    refusalExpected: entry.refused === true,
    carriesDetails: index === row.length - 1,
  }));
}
