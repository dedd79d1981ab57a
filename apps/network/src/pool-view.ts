import { isReplicateStatus, type ReplicateStatus, type TaskId } from "@iexec-ts/poco";
import { CodedError } from "@iexec-ts/service";
import { z } from "zod";

const status = z.custom<ReplicateStatus>((value) => isReplicateStatus(value), "not a replicate status");
const hex = z.custom<`0x${string}`>((value) => typeof value === "string" && value.startsWith("0x"));
const taskSchema = z.object({
  status: z.string(),
  wantsReplicates: z.boolean(),
  replicates: z.array(
    z.object({
      wallet: hex,
      workerName: z.string().nullish(),
      status,
      cause: z.string().nullish(),
      changedAt: z.coerce.date(),
      history: z.array(z.object({ status, at: z.coerce.date(), cause: z.string().nullish(), setBy: z.string() })),
    }),
  ),
});
/** A task as its scheduler records it. */
export type PoolTask = z.output<typeof taskSchema>;

/** Errors: NET-2005 when the scheduler does not answer as it should. */
export async function readTask(schedulerUrl: string, taskId: TaskId, signal: AbortSignal): Promise<PoolTask | undefined> {
  const response = await fetch(`${schedulerUrl}/v1/tasks/${taskId}`, { signal });
  if (response.status === 404) return undefined;
  const parsed = taskSchema.safeParse(await response.json());
  if (!parsed.success)
    throw new CodedError("NET-2005", { reason: `the scheduler's answer for ${taskId} is unreadable` }, { cause: parsed.error });
  return parsed.data;
}

/**
 * Calls `onChange` whenever the scheduler records a status, until `signal` aborts. A cut connection counts as a change and is made again.
 */
export async function followStatuses(schedulerUrl: string, onChange: () => void, signal: AbortSignal): Promise<void> {
  // Bounded: by the signal of whoever watches, who has a limit; a connection that goes silent only delays the next look.
  while (!signal.aborted) {
    try {
      const response = await fetch(`${schedulerUrl}/v1/events`, { signal });
      onChange();
      for await (const _ of response.body ?? []) onChange();
    } catch (thrown) {
      if (signal.aborted) return;
      throw thrown;
    }
  }
}
