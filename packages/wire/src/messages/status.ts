import { isReplicateStatus } from "@iexec-ts/poco";
import { z } from "zod";
import type { StatusDetails } from "../api.ts";
import { isV9Cause, V9_STATUSES, type V9Cause, type V9Status } from "../dialects/v9-names.ts";
import { taskActionSchema } from "./tasks.ts";

const HEX = /^0x(?:[0-9a-fA-F]{2})*$/;
/** Longest log kept, in UTF-16 units, of each stream. @source wire.md 1.2 */
export const MAX_LOG_UNITS = 100_000;

const cut = (text: string): string => (text.length <= MAX_LOG_UNITS ? text : text.slice(-MAX_LOG_UNITS));
const isHex = (text: string): text is `0x${string}` => HEX.test(text);

const detailsBody = z.object({
  chainReceipt: z
    .object({
      blockNumber: z.union([z.int().nonnegative(), z.string().regex(/^\d{1,18}$/)]).nullish(),
      txHash: z.string().max(80).nullish(),
    })
    .nullish(),
  resultLink: z.string().max(8192).nullish(),
  chainCallbackData: z
    .string()
    .max(1 << 20)
    .nullish(),
  errorMessage: z
    .string()
    .nullish()
    .transform((text) => text?.slice(0, 4096)),
  cause: z.string().max(200).nullish(),
  computeLogs: z.object({ stdout: z.string().nullish(), stderr: z.string().nullish() }).nullish(),
  exitCode: z.int().nullish(),
});
type DetailsBody = z.infer<typeof detailsBody>;

function readDetails(body: DetailsBody): StatusDetails {
  const { chainReceipt: receipt, computeLogs: logs, chainCallbackData: callback } = body;
  return {
    ...(typeof receipt?.txHash === "string" && isHex(receipt.txHash)
      ? { chainReceipt: { blockNumber: BigInt(receipt.blockNumber ?? 0), txHash: receipt.txHash } }
      : {}),
    ...(typeof body.resultLink === "string" ? { resultLink: body.resultLink } : {}),
    ...(typeof callback === "string" && isHex(callback) ? { chainCallbackData: callback } : {}),
    ...(typeof body.exitCode === "number" ? { exitCode: body.exitCode } : {}),
    ...(logs ? { computeLogs: { stdout: cut(logs.stdout ?? ""), stderr: cut(logs.stderr ?? "") } } : {}),
    ...(typeof body.errorMessage === "string" ? { errorMessage: body.errorMessage } : {}),
  };
}

export interface ReadV9Update {
  readonly status: V9Status;
  readonly cause: V9Cause | undefined;
  readonly details: StatusDetails;
}

/**
 * A v9 update as posted; `{"status":"STARTING"}` is the shortest legal one. modifier, date and success are the server's, not read.
 * An unknown status is an error, an unknown cause is read as UNKNOWN.
 *
 * @source wire.md 1.2
 */
export const v9UpdateSchema = z
  .object({ status: z.enum(V9_STATUSES), details: detailsBody.nullish() })
  .transform(({ status, details }): ReadV9Update => {
    const cause = details?.cause ?? undefined;
    return {
      status,
      cause: cause === undefined ? undefined : isV9Cause(cause) ? cause : "UNKNOWN",
      details: details ? readDetails(details) : {},
    };
  });

type Json = { readonly [key: string]: string | number | boolean | null | Json };

const detailsJson = (details: StatusDetails, blockNumber: (block: bigint) => string | number): Json => ({
  ...(details.chainReceipt === undefined
    ? {}
    : { chainReceipt: { blockNumber: blockNumber(details.chainReceipt.blockNumber), txHash: details.chainReceipt.txHash } }),
  ...(details.resultLink === undefined ? {} : { resultLink: details.resultLink }),
  ...(details.chainCallbackData === undefined ? {} : { chainCallbackData: details.chainCallbackData }),
  ...(details.errorMessage === undefined ? {} : { errorMessage: details.errorMessage.slice(0, 4096) }),
  ...(details.computeLogs === undefined
    ? {}
    : { computeLogs: { stdout: cut(details.computeLogs.stdout), stderr: cut(details.computeLogs.stderr) } }),
  ...(details.exitCode === undefined ? {} : { exitCode: details.exitCode }),
});

/** Only keys that ReplicateStatusUpdate has; those without a value are left out. */
export function writeV9Update(status: V9Status, cause: V9Cause | undefined, details: StatusDetails): Json {
  const body = detailsJson(details, Number);
  const withCause = cause === undefined ? body : { ...body, cause };
  return Object.keys(withCause).length === 0 ? { status } : { status, details: withCause };
}

/** Native dialect: what is posted to /v1/replicates/{taskId}/statuses. Block numbers are decimal text. */
export const nativeReportSchema = z
  .object({
    seq: z.int().positive(),
    status: z.string().refine(isReplicateStatus),
    cause: z.string().max(200).optional(),
    at: z.iso.datetime().transform((text) => new Date(text)),
    details: detailsBody.optional(),
  })
  .transform(({ details, ...report }) => ({ ...report, details: details === undefined ? undefined : readDetails(details) }));

export const writeNativeReport = (report: {
  readonly seq: number;
  readonly status: string;
  readonly cause?: string;
  readonly at: Date;
  readonly details?: StatusDetails;
}): Json => ({
  seq: report.seq,
  status: report.status,
  at: report.at.toISOString(),
  ...(report.cause === undefined ? {} : { cause: report.cause }),
  ...(report.details === undefined ? {} : { details: detailsJson(report.details, String) }),
});

export const nativeAnswerSchema = z
  .object({ kind: z.enum(["stored", "duplicate", "refused"]), action: taskActionSchema.nullish().catch(undefined) })
  .transform(({ kind, action }) => ({ kind, action: action ?? undefined }));

/** GET /v1/info */
export const infoSchema = z.object({
  product: z.literal("iexec-ts"),
  version: z.string().max(200),
  dialect: z.literal("native"),
});
