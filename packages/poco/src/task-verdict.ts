import { isOpen } from "./deadlines.ts";
import { sameHex } from "./hex.ts";
import type { TaskObservation } from "./structs.ts";

/** How a task has ended for our worker, or that it has not. */
export type TaskVerdict =
  | { readonly going: true }
  | { readonly status: "COMPLETED"; readonly rewarded: boolean }
  /** Claimed: every stake is back. */
  | { readonly status: "FAILED" }
  | { readonly status: "ABORTED_ON_CONSENSUS_REACHED"; readonly stakeAtRisk: boolean }
  /** A stake that was locked comes back when somebody claims the task after its final deadline. */
  | { readonly status: "ABORTED_ON_CONTRIBUTION_TIMEOUT"; readonly stakeLocked: boolean };

/**
 * Whether the task is still worth anything to our worker.
 *
 * @source chain.md 13
 */
export function taskVerdict({ task, ours, block }: TaskObservation): TaskVerdict {
  if (task === undefined || task.status === "UNSET") return { going: true };
  switch (task.status) {
    case "COMPLETED":
      return { status: "COMPLETED", rewarded: ours.status === "PROVED" };
    case "FAILED":
      return { status: "FAILED" };
    case "REVEALING": {
      const part = ours.status === "PROVED" || (ours.status === "CONTRIBUTED" && sameHex(ours.resultHash, task.consensusValue));
      return part ? { going: true } : { status: "ABORTED_ON_CONSENSUS_REACHED", stakeAtRisk: ours.status !== "UNSET" };
    }
    case "ACTIVE":
      return isOpen(task.contributionDeadline, block.timestamp)
        ? { going: true }
        : { status: "ABORTED_ON_CONTRIBUTION_TIMEOUT", stakeLocked: ours.status !== "UNSET" };
  }
}
