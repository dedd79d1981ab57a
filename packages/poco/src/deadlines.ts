import { type ChainTime, chainTime } from "./units.ts";

/** The moments after which no task of a deal can be contributed to, or finalized. */
export interface Deadlines {
  readonly contribution: ChainTime;
  readonly final: ChainTime;
}

/** @source contribution_deadline_ratio() */
export const CONTRIBUTION_PERIODS = 7n;
/** @source reveal_deadline_ratio() */
export const REVEAL_PERIODS = 2n;
/** @source final_deadline_ratio() */
export const FINAL_PERIODS = 10n;

/**
 * Deadlines that a deal fixes for all its tasks. They count from the match, not from `initialize`.
 *
 * @param start - `startTime` of the deal
 * @param period - `workClockTimeRef` of the deal's category, in seconds
 * @source IexecPoco2: CONTRIBUTION_DEADLINE_RATIO, FINAL_DEADLINE_RATIO
 */
export function dealDeadlines(start: ChainTime, period: bigint): Deadlines {
  return {
    contribution: chainTime(start + CONTRIBUTION_PERIODS * period),
    final: chainTime(start + FINAL_PERIODS * period),
  };
}

/**
 * When contributors to the consensus must have revealed.
 *
 * @param consensusAt - timestamp of the block in which the consensus was reached
 * @param period - `workClockTimeRef` of the deal's category, in seconds
 * @source IexecPoco2: REVEAL_DEADLINE_RATIO
 */
export function revealDeadline(consensusAt: ChainTime, period: bigint): ChainTime {
  return chainTime(consensusAt + REVEAL_PERIODS * period);
}

/** The contracts compare strictly: a transaction in a block at exactly the deadline is too late. */
export function isOpen(deadline: ChainTime, now: ChainTime): boolean {
  return now < deadline;
}
