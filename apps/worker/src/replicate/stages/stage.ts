import { canFollow, type ReplicateStatus } from "@iexec-ts/poco";
import type { Ports } from "../ports.ts";
import type { Replicate } from "../replicate.ts";

/**
 * One effect of a replicate. A stage may be called again after a crash at any of its lines: it looks at what is already there, does what is
 * missing, and records its own statuses. It throws only to be called again later.
 */
export type StageWork = (replicate: Replicate, ports: Ports, signal: AbortSignal) => Promise<void>;

/** Records what the chain shows as done, with the status that announces it only where the table asks for it. */
export function alreadyDone(
  replicate: Pick<Replicate, "taskId">,
  announced: ReplicateStatus,
  done: ReplicateStatus,
  ports: Pick<Ports, "journal">,
): void {
  if (!canFollow(ports.journal.get(replicate.taskId).status, done)) enter(replicate, announced, ports);
  ports.journal.record(replicate.taskId, done);
}

/** Records the status that announces a stage, unless the replicate is in it already. */
export function enter(replicate: Pick<Replicate, "taskId">, status: ReplicateStatus, ports: Pick<Ports, "journal">): void {
  const current = ports.journal.get(replicate.taskId).status;
  if (current !== status && canFollow(current, status)) ports.journal.record(replicate.taskId, status);
}
