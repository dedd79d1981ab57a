import type { Hub } from "@iexec-ts/chain";
import type { Address, ReplicateStatus } from "@iexec-ts/poco";
import type { JournalFacts } from "../cli/facts/journal-facts.ts";

/** Stake that one task of ours holds. */
export interface StakeLock {
  readonly taskId: string;
  readonly status: ReplicateStatus;
  readonly amount: bigint;
  /** When the chain lets it go at the latest, reward or not. */
  readonly until: Date;
  readonly revealBefore: Date | undefined;
  readonly revealed: boolean;
}

/**
 * Which of our tasks lock stake on chain now, soonest release first.
 *
 * SIDE EFFECTS: adds to `settled`, and never asks again for, tasks that are over.
 *
 * @source chain.md 8: a contribution locks the deal's stake until finalize or claim
 */
export async function stakeLocks(
  hub: Hub,
  wallet: Address,
  journal: JournalFacts | undefined,
  settled: Set<string> = new Set(),
): Promise<readonly StakeLock[]> {
  const candidates = (journal?.replicates ?? []).filter(({ taskId }) => journal?.contributed.has(taskId) === true && !settled.has(taskId));
  const locks = await Promise.all(
    candidates.map(async (replicate): Promise<StakeLock | undefined> => {
      const task = await hub.task(replicate.taskId);
      if (task?.status === "COMPLETED" || task?.status === "FAILED") settled.add(replicate.taskId);
      if (task === undefined || settled.has(replicate.taskId)) return undefined;
      const ours = await hub.contribution(replicate.taskId, wallet);
      if (ours.status === "UNSET") return undefined;
      return {
        taskId: replicate.taskId,
        status: replicate.status,
        amount: replicate.stake,
        until: new Date(Number(task.finalDeadline) * 1_000),
        revealBefore: task.status === "REVEALING" ? new Date(Number(task.revealDeadline) * 1_000) : undefined,
        revealed: ours.status === "PROVED",
      };
    }),
  );
  return locks.filter((lock) => lock !== undefined).sort((one, other) => one.until.getTime() - other.until.getTime());
}

/** Stake that tasks under way will lock when they contribute. */
export const promisedStake = (journal: JournalFacts | undefined): bigint =>
  (journal?.replicates ?? [])
    .filter(({ taskId, closedAt }) => closedAt === undefined && journal?.contributed.has(taskId) === false)
    .reduce((sum, { stake }) => sum + stake, 0n);

const RECENT_TASKS = 5;

/** The most that one of the last tasks locked: what the pool's next task is likely to need; 0 without a task. */
export function recentStake(journal: JournalFacts | undefined): bigint {
  let most = 0n;
  for (const { stake } of (journal?.replicates ?? []).slice(-RECENT_TASKS)) if (stake > most) most = stake;
  return most;
}
