import { isOpen } from "./deadlines.ts";
import { sameHex } from "./hex.ts";
import { resultHashOf, resultSealOf } from "./ids.ts";
import type { Address, Bytes32, TaskObservation } from "./structs.ts";
import { chainTime } from "./units.ts";

/** Why a reveal is impossible. */
export type CantReveal =
  /** The task is over, or was reopened without our contribution. */
  | "NOT_REVEALING"
  /** We did not contribute, or another result won. */
  | "NOT_IN_CONSENSUS"
  /** The digest we contributed is not known any more. */
  | "DIGEST_LOST"
  /** The digest we hold is not the one we contributed: revealing it would revert. */
  | "DIGEST_MISMATCH";

export type RevealVerdict =
  | { readonly can: true }
  | { readonly wait: "TASK_NOT_SEEN" | "CONSENSUS_NOT_REACHED" }
  | { readonly status: "REVEALED" }
  | { readonly status: "CANT_REVEAL"; readonly because: CantReveal }
  | { readonly status: "REVEAL_TIMEOUT" };

/**
 * Whether our worker may, must not, or need not reveal now. `wait: CONSENSUS_NOT_REACHED` may last for ever: `taskVerdict` says when the
 * contribution deadline has ended it.
 *
 * @param digest - what was made durable before `contribute` was sent, or undefined if it was lost
 * @param marginSeconds - added to the block's time
 * @source IexecPoco2.reveal; chain.md 13: the six conditions of Java's canReveal
 */
export function revealVerdict(
  observation: TaskObservation,
  worker: Address,
  digest: Bytes32 | undefined,
  marginSeconds = 0n,
): RevealVerdict {
  const { task, ours, block } = observation;
  if (ours.status === "PROVED") return { status: "REVEALED" };
  if (task === undefined || task.status === "UNSET") return { wait: "TASK_NOT_SEEN" };
  if (task.status === "ACTIVE" && ours.status === "CONTRIBUTED") return { wait: "CONSENSUS_NOT_REACHED" };
  if (task.status !== "REVEALING") return { status: "CANT_REVEAL", because: "NOT_REVEALING" };
  if (ours.status !== "CONTRIBUTED" || !sameHex(ours.resultHash, task.consensusValue)) {
    return { status: "CANT_REVEAL", because: "NOT_IN_CONSENSUS" };
  }
  if (!isOpen(task.revealDeadline, chainTime(block.timestamp + marginSeconds))) return { status: "REVEAL_TIMEOUT" };
  if (digest === undefined) return { status: "CANT_REVEAL", because: "DIGEST_LOST" };
  const matches =
    sameHex(resultHashOf(task.id, digest), ours.resultHash) && sameHex(resultSealOf(worker, task.id, digest), ours.resultSeal);
  return matches ? { can: true } : { status: "CANT_REVEAL", because: "DIGEST_MISMATCH" };
}
