import { type ChainTask, type ChainTime, type Contribution, isOpen, sameHex } from "@iexec-ts/poco";
import type { AbortCause, TaskAction } from "@iexec-ts/wire";
import type { ReplicateRecord, TaskRecord } from "../model.ts";
import { givesUpContribution, isSettled } from "./classes.ts";

export interface Resumption {
  readonly action: TaskAction;
  readonly abortCause: AbortCause | undefined;
}

const act = (action: TaskAction): Resumption => ({ action, abortCause: undefined });
const abort = (abortCause: AbortCause): Resumption => ({ action: "PLEASE_ABORT", abortCause });

function whileRevealing(replicate: ReplicateRecord, onChain: ChainTask, ours: Contribution, now: ChainTime): Resumption {
  if (ours.status === "PROVED") {
    const asked = replicate.relevant === "RESULT_UPLOAD_REQUESTED" || replicate.relevant === "RESULT_UPLOADING";
    return act(asked ? "PLEASE_UPLOAD" : "PLEASE_WAIT");
  }
  if (ours.status !== "CONTRIBUTED" || !sameHex(ours.resultHash, onChain.consensusValue)) return abort("CONSENSUS_REACHED");
  return isOpen(onChain.revealDeadline, now) ? act("PLEASE_REVEAL") : abort("UNKNOWN");
}

/**
 * What a worker that comes back should do about one of its replicates, from the state of the chain; undefined: it need not be told.
 *
 * @source wire.md 1.4, with the chain in place of the scheduler's own task status
 */
export function resumptionOf(
  task: TaskRecord,
  replicate: ReplicateRecord,
  onChain: ChainTask | undefined,
  ours: Contribution,
  now: ChainTime,
): Resumption | undefined {
  if (isSettled(replicate.status)) return undefined;
  switch (onChain?.status) {
    case undefined:
    case "UNSET":
      return undefined;
    case "ACTIVE":
      if (ours.status === "REJECTED") return abort("UNKNOWN");
      if (!isOpen(task.contributionDeadline, now)) return abort("CONTRIBUTION_TIMEOUT");
      if (ours.status !== "UNSET") return act("PLEASE_WAIT");
      return givesUpContribution(replicate.relevant) ? undefined : act("PLEASE_CONTRIBUTE");
    case "REVEALING":
      return isOpen(task.finalDeadline, now) && onChain !== undefined ? whileRevealing(replicate, onChain, ours, now) : abort("UNKNOWN");
    case "COMPLETED":
      return ours.status === "PROVED" ? act("PLEASE_COMPLETE") : abort("CONSENSUS_REACHED");
    case "FAILED":
      return abort("UNKNOWN");
  }
}
