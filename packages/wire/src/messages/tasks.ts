import type { Address, WorkerpoolAuthorization } from "@iexec-ts/poco";
import { z } from "zod";
import { type AbortCause, type Assignment, TASK_ACTIONS, type TaskAction, type TaskNotification } from "../api.ts";
import { addressSchema, blockNumberJson, bytes32Schema, hexSchema } from "./primitives.ts";

export const taskActionSchema = z.enum(TASK_ACTIONS);

export const authorizationSchema = z.object({
  chainTaskId: bytes32Schema,
  dealId: bytes32Schema,
  taskIndex: z.int().nonnegative(),
  workerWallet: addressSchema,
  enclaveChallenge: addressSchema,
  signature: z.object({ value: hexSchema }),
});

/** Exact keys: a Java client refuses others. @source wire.md 9.1.1 */
export const writeAuthorization = (authorization: WorkerpoolAuthorization): WorkerpoolAuthorization => ({
  chainTaskId: authorization.chainTaskId,
  dealId: authorization.dealId,
  taskIndex: authorization.taskIndex,
  workerWallet: authorization.workerWallet,
  enclaveChallenge: authorization.enclaveChallenge,
  signature: { value: authorization.signature.value },
});

/** @source wire.md 1.2 (ReplicateTaskSummary), in both dialects */
export const assignmentSchema = z
  .object({ workerpoolAuthorization: authorizationSchema, smsUrl: z.string().max(2048).nullish() })
  .transform((body): Assignment => ({ authorization: body.workerpoolAuthorization, smsUrl: body.smsUrl ?? undefined }));

export interface ReplicateTaskSummary {
  readonly workerpoolAuthorization: WorkerpoolAuthorization;
  readonly smsUrl: string | null;
}

export const writeAssignment = (assignment: Assignment): ReplicateTaskSummary => ({
  workerpoolAuthorization: writeAuthorization(assignment.authorization),
  smsUrl: assignment.smsUrl ?? null,
});

const abortCauseSchema = z.enum(["CONTRIBUTION_TIMEOUT", "CONSENSUS_REACHED", "UNKNOWN"]).catch("UNKNOWN");

const notificationBodySchema = z.object({
  chainTaskId: bytes32Schema,
  workersAddress: z.array(z.string().max(64)).max(100_000).nullish(),
  taskNotificationType: taskActionSchema,
  taskNotificationExtra: z
    .object({
      workerpoolAuthorization: authorizationSchema.nullish().catch(null),
      smsUrl: z.string().max(2048).nullish(),
      blockNumber: blockNumberJson.nullish(),
      taskAbortCause: abortCauseSchema.nullish(),
    })
    .nullish(),
});

/**
 * A notification of either dialect, or undefined when it is not one or is addressed to nobody (`workersAddress: null`).
 *
 * @source wire.md 2.2
 */
export function readNotification(json: unknown): TaskNotification | undefined {
  const parsed = notificationBodySchema.safeParse(json);
  if (!parsed.success) return undefined;
  const { chainTaskId, workersAddress, taskNotificationType, taskNotificationExtra: extra } = parsed.data;
  if (workersAddress === undefined || workersAddress === null) return undefined;
  const workers = workersAddress.flatMap((text): Address[] => {
    const address = addressSchema.safeParse(text);
    return address.success ? [address.data] : [];
  });
  // Every name was unreadable: that is nobody, not everybody.
  if (workers.length === 0 && workersAddress.length > 0) return undefined;
  return {
    taskId: chainTaskId,
    action: taskNotificationType,
    workers,
    blockNumber: extra?.blockNumber ? extra.blockNumber : undefined,
    abortCause: extra?.taskAbortCause ?? undefined,
    smsUrl: extra?.smsUrl ?? undefined,
    authorization: extra?.workerpoolAuthorization ?? undefined,
  };
}

export interface TaskNotificationBody {
  readonly chainTaskId: string;
  readonly workersAddress: readonly string[];
  readonly taskNotificationType: TaskAction;
  readonly taskNotificationExtra: {
    readonly workerpoolAuthorization: WorkerpoolAuthorization | null;
    readonly smsUrl: string | null;
    readonly blockNumber: number;
    readonly taskAbortCause: AbortCause | null;
  };
}

/**
 * The v9 form. The top-level `taskAbortCause` that a Java core writes is left out: over REST a Java worker refuses a body that has it.
 *
 * @source wire.md 1.4, 2.2, 9.1.2
 */
export const writeNotification = (notification: TaskNotification): TaskNotificationBody => ({
  chainTaskId: notification.taskId.toLowerCase(),
  workersAddress: notification.workers.map((worker) => worker.toLowerCase()),
  taskNotificationType: notification.action,
  taskNotificationExtra: {
    workerpoolAuthorization: notification.authorization === undefined ? null : writeAuthorization(notification.authorization),
    smsUrl: notification.smsUrl ?? null,
    blockNumber: Number(notification.blockNumber ?? 0n),
    taskAbortCause: notification.abortCause ?? null,
  },
});
