import { isOpen } from "./deadlines.ts";
import { sameHex } from "./hex.ts";
import type { Bytes32, ChainTaskStatus, ContributionStatus, TaskObservation } from "./structs.ts";
import { chainTime, type NanoRlc, nanoRlc } from "./units.ts";

/** What the chain says about contributing to a task. Exactly one of `can`, `wait` and `status` says it. */
export type ContributionVerdict =
  | { readonly can: true }
  /** Not initialised, or our node has not seen it yet: wait for a block, do not give up. */
  | { readonly wait: "TASK_NOT_SEEN" }
  | { readonly status: "CANT_CONTRIBUTE_SINCE_STAKE_TOO_LOW"; readonly missing: NanoRlc }
  | { readonly status: "CANT_CONTRIBUTE_SINCE_TASK_NOT_ACTIVE"; readonly task: ChainTaskStatus }
  | { readonly status: "CANT_CONTRIBUTE_SINCE_AFTER_DEADLINE" }
  | {
      readonly status: "CANT_CONTRIBUTE_SINCE_CONTRIBUTION_ALREADY_SET";
      readonly contribution: Exclude<ContributionStatus, "UNSET">;
      /** It is the one `expected` describes: go on as CONTRIBUTED. */
      readonly expected: boolean;
    };

export interface ContributionQuestion {
  /** False for `contributeAndFinalize`, which locks nothing. */
  readonly needStake: boolean;
  /** What this worker has sent, or is about to send: tells its own contribution from another machine's. */
  readonly expected?: { readonly resultHash: Bytes32; readonly resultSeal: Bytes32 };
  /** Stake already promised to other tasks in hand and not locked yet. */
  readonly reserved?: NanoRlc;
  /** Seconds added to the block's time, so that a transaction sent now is mined before the deadline. */
  readonly marginSeconds?: bigint;
}

/**
 * Whether our worker may contribute to the task now.
 *
 * A contribution of ours is looked for first, before the checks of 3.0.0 in their order (stake, active, deadline): after a crash the
 * stake it locked, or the consensus it reached, would otherwise hide it and its stake would be lost.
 *
 * @source IexecPoco2.contribute; chain.md 13
 */
export function contributionVerdict(observation: TaskObservation, question: ContributionQuestion): ContributionVerdict {
  const { task, deal, ours, account, block } = observation;
  if (task === undefined || deal === undefined || task.status === "UNSET") return { wait: "TASK_NOT_SEEN" };
  if (ours.status !== "UNSET") {
    const { expected } = question;
    const same = expected !== undefined && sameHex(ours.resultHash, expected.resultHash) && sameHex(ours.resultSeal, expected.resultSeal);
    return { status: "CANT_CONTRIBUTE_SINCE_CONTRIBUTION_ALREADY_SET", contribution: ours.status, expected: same };
  }
  const missing = deal.workerStake + (question.reserved ?? 0n) - account.stake;
  if (question.needStake && missing > 0n) return { status: "CANT_CONTRIBUTE_SINCE_STAKE_TOO_LOW", missing: nanoRlc(missing) };
  if (task.status !== "ACTIVE") return { status: "CANT_CONTRIBUTE_SINCE_TASK_NOT_ACTIVE", task: task.status };
  const now = chainTime(block.timestamp + (question.marginSeconds ?? 0n));
  if (!isOpen(task.contributionDeadline, now)) return { status: "CANT_CONTRIBUTE_SINCE_AFTER_DEADLINE" };
  return { can: true };
}

/** Whether `contributeAndFinalize` is open, besides the checks above: trust 1 and nobody contributed. @source IexecPoco2.contributeAndFinalize */
export function canContributeAndFinalize({ task, deal }: TaskObservation): boolean {
  return task?.status === "ACTIVE" && task.contributors.length === 0 && deal?.trust === 1n;
}
