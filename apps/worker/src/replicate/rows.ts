import {
  CONTRIBUTED_FAILURES,
  chainTime,
  type Hex,
  isReplicateStatus,
  type ReplicateStatus,
  workerpoolAuthorizationSchema,
} from "@iexec-ts/poco";
import type { StatusDetails } from "@iexec-ts/wire";
import { z } from "zod";
import type { OurContribution, Replicate, StatusChange } from "./replicate.ts";

const hex = z.custom<Hex>((value) => typeof value === "string" && /^0x[0-9a-f]*$/i.test(value), "not hex");
const status = z.custom<ReplicateStatus>((value) => typeof value === "string" && isReplicateStatus(value), "not a replicate status");
const moment = z.number().transform((ms) => new Date(ms));
const optional = <T extends z.ZodType>(schema: T) => schema.nullable().transform((value) => value ?? undefined);

const replicateRow = z.object({
  task_id: hex,
  deal_id: hex,
  task_index: z.number(),
  authorization: z.string(),
  sms_url: optional(z.string()),
  status,
  progress: status,
  seq: z.number(),
  created_at: moment,
  updated_at: moment,
  compute_deadline: optional(moment),
  failure: optional(z.enum(CONTRIBUTED_FAILURES)),
  digest: optional(hex),
  callback_data: optional(hex),
  zip_path: optional(z.string()),
  zip_sha256: optional(hex),
  result_link: optional(z.string()),
  upload_requested: z.number(),
  abort: optional(z.enum(["CONTRIBUTION_TIMEOUT", "CONSENSUS_REACHED", "UNKNOWN", "OPERATOR", "OPERATOR_FORCED"])),
  stake: z.string(),
  final_deadline: z.string(),
  closed_at: optional(moment),
});

export function replicateFromRow(raw: unknown): Replicate {
  const row = replicateRow.parse(raw);
  const sealed =
    row.digest === undefined || row.zip_path === undefined || row.zip_sha256 === undefined
      ? undefined
      : { digest: row.digest, callbackData: row.callback_data, zipPath: row.zip_path, zipSha256: row.zip_sha256 };
  return {
    taskId: row.task_id,
    dealId: row.deal_id,
    taskIndex: row.task_index,
    authorization: workerpoolAuthorizationSchema.parse(JSON.parse(row.authorization)),
    smsUrl: row.sms_url,
    status: row.status,
    progress: row.progress,
    seq: row.seq,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    computeDeadline: row.compute_deadline,
    failure: row.failure,
    sealed,
    resultLink: row.result_link,
    uploadRequested: row.upload_requested === 1,
    abort: row.abort,
    stake: BigInt(row.stake),
    finalDeadline: chainTime(BigInt(row.final_deadline)),
    closedAt: row.closed_at,
  };
}

const changeRow = z.object({
  task_id: hex,
  seq: z.number(),
  status,
  cause: optional(z.string()),
  at: moment,
  details: optional(z.string()),
});

const details = z.object({
  chainReceipt: z.object({ blockNumber: z.string().transform(BigInt), txHash: hex }).optional(),
  resultLink: z.string().optional(),
  chainCallbackData: hex.optional(),
  exitCode: z.number().optional(),
  computeLogs: z.object({ stdout: z.string(), stderr: z.string() }).optional(),
  errorMessage: z.string().optional(),
});

const withoutUndefined = (value: z.output<typeof details>): StatusDetails => ({
  ...(value.chainReceipt === undefined ? {} : { chainReceipt: value.chainReceipt }),
  ...(value.resultLink === undefined ? {} : { resultLink: value.resultLink }),
  ...(value.chainCallbackData === undefined ? {} : { chainCallbackData: value.chainCallbackData }),
  ...(value.exitCode === undefined ? {} : { exitCode: value.exitCode }),
  ...(value.computeLogs === undefined ? {} : { computeLogs: value.computeLogs }),
  ...(value.errorMessage === undefined ? {} : { errorMessage: value.errorMessage }),
});

export const detailsToText = (value: StatusDetails | undefined): string | null =>
  value === undefined ? null : JSON.stringify(value, (_, item: unknown) => (typeof item === "bigint" ? item.toString() : item));

export function statusChangeFromRow(raw: unknown): StatusChange {
  const row = changeRow.parse(raw);
  return {
    taskId: row.task_id,
    seq: row.seq,
    status: row.status,
    cause: row.cause,
    at: row.at,
    details: row.details === undefined ? undefined : withoutUndefined(details.parse(JSON.parse(row.details))),
  };
}

const contributionRow = z.object({
  task_id: hex,
  worker: hex,
  digest: hex,
  result_hash: hex,
  result_seal: hex,
  callback_data: optional(hex),
});

export function contributionFromRow(raw: unknown): OurContribution {
  const row = contributionRow.parse(raw);
  return {
    taskId: row.task_id,
    worker: row.worker,
    digest: row.digest,
    resultHash: row.result_hash,
    resultSeal: row.result_seal,
    callbackData: row.callback_data,
  };
}
