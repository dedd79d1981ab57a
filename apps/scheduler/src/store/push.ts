import type { Address, TaskId } from "@iexec-ts/poco";
import { type AbortCause, TASK_ACTIONS, type TaskAction, type TaskNotification } from "@iexec-ts/wire";
import { z } from "zod";
import { address, hex } from "./columns.ts";

export interface PushOrder {
  readonly taskId: TaskId;
  readonly action: TaskAction;
  readonly workers: readonly Address[];
  readonly blockNumber: bigint | undefined;
  readonly abortCause: AbortCause | undefined;
}

const PUSH = z.object({
  taskId: hex,
  action: z.enum(TASK_ACTIONS),
  workers: z.array(address),
  blockNumber: z.string().optional(),
  abortCause: z.enum(["CONTRIBUTION_TIMEOUT", "CONSENSUS_REACHED", "UNKNOWN"]).optional(),
});

/** A notification as it travels between the scheduler's own processes. */
export const pushText = ({ blockNumber, ...rest }: PushOrder): string => JSON.stringify({ ...rest, blockNumber: blockNumber?.toString() });

export function parsePush(text: string): TaskNotification {
  const { blockNumber, abortCause, ...rest } = PUSH.parse(JSON.parse(text));
  return {
    ...rest,
    blockNumber: blockNumber === undefined ? undefined : BigInt(blockNumber),
    abortCause,
    smsUrl: undefined,
    authorization: undefined,
  };
}
