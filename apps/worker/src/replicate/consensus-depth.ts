import { type ChainTask, sameHex, type TaskId, type TaskObservation } from "@iexec-ts/poco";

/** Seconds before the reveal deadline from which depth counts no more: what is not revealed costs the stake. */
const LAST_SECONDS = 120n;

/** What is read of an observation. */
interface SeenConsensus {
  readonly task: Pick<ChainTask, "id" | "consensusValue" | "revealDeadline"> | undefined;
  readonly block: Pick<TaskObservation["block"], "number" | "timestamp">;
}
interface PastTasks {
  task(id: TaskId, at: bigint): Promise<Pick<ChainTask, "status" | "consensusValue"> | undefined>;
}

/**
 * Whether the consensus may be relied on. A reveal publishes the digest: if the consensus were undone afterwards, others could copy it.
 *
 * @param confirmations - blocks the consensus must have, its own included; 1 asks for nothing more
 * @source chain.md 18
 */
export async function isConsensusDeep(hub: PastTasks, seen: SeenConsensus, confirmations: bigint): Promise<boolean> {
  const { task, block } = seen;
  if (task === undefined) return false;
  if (confirmations <= 1n || task.revealDeadline - block.timestamp <= LAST_SECONDS) return true;
  const then = block.number - (confirmations - 1n);
  if (then < 0n) return false;
  const earlier = await hub.task(task.id, then);
  return earlier?.status === "REVEALING" && sameHex(earlier.consensusValue, task.consensusValue);
}
