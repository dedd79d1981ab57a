import {
  type Address,
  type ChainTime,
  canFollow,
  contributionVerdict,
  isFinal,
  isOpen,
  type NanoRlc,
  type ReplicateStatus,
  revealVerdict,
  sameHex,
  type TaskObservation,
} from "@iexec-ts/poco";
import type { OurContribution, Replicate } from "./replicate.ts";

export type Stage = "DOWNLOAD_APP" | "DOWNLOAD_DATA" | "COMPUTE" | "SEAL_ERROR" | "CONTRIBUTE" | "REVEAL" | "UPLOAD" | "PURGE";

/** What is true outside of the journal, read at one moment. */
export interface Observation {
  /** Undefined when no node answers: nothing that costs money is decided then. */
  readonly chain: TaskObservation | undefined;
  /** Whether the wallet can pay its next transaction for this task, and the reveal it would then owe. */
  readonly canPay: boolean;
  /** Stake that other replicates of this worker will lock. */
  readonly promisedStake: NanoRlc;
}

export type Decision =
  /** Write this status; decide again. */
  | { readonly kind: "record"; readonly status: ReplicateStatus; readonly cause?: string; readonly mirror?: boolean }
  /** Do this work; it records its own statuses; decide again. */
  | { readonly kind: "stage"; readonly stage: Stage }
  /** Nothing to do until something changes, at the latest at `until` (block time). */
  | { readonly kind: "wait"; readonly reason: "chain" | "scheduler" | "gas"; readonly until: ChainTime | undefined }
  /** A contribution of this wallet that the journal knows nothing of: stop the worker. */
  | { readonly kind: "alarm" }
  /** Nothing left to do for ever. */
  | { readonly kind: "done" };

const record = (status: ReplicateStatus, cause?: string): Decision => ({
  kind: "record",
  status,
  ...(cause === undefined ? {} : { cause }),
});
const stage = (name: Stage): Decision => ({ kind: "stage", stage: name });
const wait = (reason: "chain" | "scheduler" | "gas", until?: ChainTime): Decision => ({ kind: "wait", reason, until });

/** Everything decide() looks at. */
export interface Situation {
  readonly worker: Address;
  readonly replicate: Pick<
    Replicate,
    "status" | "progress" | "sealed" | "failure" | "uploadRequested" | "abort" | "closedAt" | "resultLink"
  >;
  readonly contribution: OurContribution | undefined;
  readonly seen: Observation;
}

/**
 * The next thing to do for one replicate, from its journal and from what the chain says. Pure and total.
 *
 * Level-triggered: it never asks what happened, only what is true. A notification of the scheduler is a reason to look again, not a fact.
 * @source worker guide, statuses of replicates; chain.md 13
 */
export function decide(situation: Situation): Decision {
  const { replicate } = situation;
  if (replicate.closedAt !== undefined) return { kind: "done" };
  if (isFinal(replicate.status)) return stage("PURGE");
  if (replicate.abort === "OPERATOR_FORCED" && canFollow(replicate.status, "FAILED")) return record("FAILED", "ABORTED_BY_OPERATOR");
  if (replicate.status === "OUT_OF_GAS") return whenOutOfGas(situation);

  switch (replicate.progress) {
    case "CREATED":
      return interruption(situation) ?? record("RUNNING");
    case "RUNNING":
      return refusal(situation) ?? stage("DOWNLOAD_APP");
    case "APP_DOWNLOADING":
      return interruption(situation) ?? stage("DOWNLOAD_APP");
    case "APP_DOWNLOADED":
      return refusal(situation) ?? stage("DOWNLOAD_DATA");
    case "DATA_DOWNLOADING":
      return interruption(situation) ?? stage("DOWNLOAD_DATA");
    case "DATA_DOWNLOADED":
      return refusal(situation) ?? stage("COMPUTE");
    case "COMPUTING":
      return interruption(situation) ?? stage("COMPUTE");
    case "APP_DOWNLOAD_FAILED":
    case "DATA_DOWNLOAD_FAILED":
      return replicate.sealed === undefined ? stage("SEAL_ERROR") : beforeContributing(situation);
    case "COMPUTED":
      return beforeContributing(situation);
    case "COMPUTE_FAILED":
      return record("FAILED", "COMPUTE_FAILED");
    case "CAN_CONTRIBUTE":
      return whenItCanContribute(situation);
    case "CONTRIBUTING":
      return whenContributing(situation);
    case "CONTRIBUTED":
      return whenContributed(situation);
    case "REVEALING":
      return whenRevealing(situation);
    case "REVEALED":
    case "RESULT_UPLOAD_REQUESTED":
    case "RESULT_UPLOADING":
    case "RESULT_UPLOADED":
    case "RESULT_UPLOAD_FAILED":
    case "RESULT_UPLOAD_REQUEST_FAILED":
      return whenRevealed(situation);
    case "CONTRIBUTE_FAILED":
      return preciseCause(situation) ?? stage("PURGE");
    case "CANT_CONTRIBUTE_SINCE_CONTRIBUTION_ALREADY_SET":
      return situation.contribution === undefined ? whenSomebodyElseContributed(situation) : record("CONTRIBUTED");
    case "CANT_CONTRIBUTE_SINCE_STAKE_TOO_LOW":
    case "CANT_CONTRIBUTE_SINCE_TASK_NOT_ACTIVE":
    case "CANT_CONTRIBUTE_SINCE_AFTER_DEADLINE":
    case "CANT_REVEAL":
    case "REVEAL_FAILED":
    case "REVEAL_TIMEOUT":
    case "ABORTED_ON_CONSENSUS_REACHED":
    case "ABORTED_ON_CONTRIBUTION_TIMEOUT":
    case "COMPLETED":
    case "FAILED":
      return stage("PURGE");
    case "OUT_OF_GAS":
    case "RECOVERING":
    case "WORKER_LOST":
      // Never a progress: the journal keeps the one before.
      return wait("chain");
    default:
      return replicate.progress satisfies never;
  }
}

const question = (seen: Observation) => ({ needStake: true, reserved: seen.promisedStake });

/** Is a contribution of ours on chain, and do we know of it? */
function onChain({ contribution, seen }: Situation): "none" | "ours" | "unknown" {
  const ours = seen.chain?.ours;
  if (ours === undefined || ours.status === "UNSET") return "none";
  return contribution !== undefined && contribution.resultHash === ours.resultHash ? "ours" : "unknown";
}

/** Reasons to drop work that is under way and has cost no stake yet. */
function interruption(situation: Situation): Decision | undefined {
  const { seen } = situation;
  if (onChain(situation) === "unknown") return { kind: "alarm" };
  const task = seen.chain?.task;
  if (seen.chain !== undefined && task !== undefined) {
    if (task.status === "REVEALING" || task.status === "COMPLETED") return record("ABORTED_ON_CONSENSUS_REACHED", "CONSENSUS_REACHED");
    if (task.status === "FAILED") return record("FAILED", "TASK_FAILED");
    if (!isOpen(task.contributionDeadline, seen.chain.block.timestamp)) {
      return record("ABORTED_ON_CONTRIBUTION_TIMEOUT", "CONTRIBUTION_TIMEOUT");
    }
  }
  return givenUp(situation);
}

/** Somebody whose word is enough while nothing of ours is at stake wants no more of this task. */
function givenUp({ replicate, contribution }: Situation): Decision | undefined {
  if (replicate.abort === "UNKNOWN") return record("FAILED", "ABORTED_BY_SCHEDULER");
  return replicate.abort === "OPERATOR" && contribution === undefined ? record("FAILED", "ABORTED_BY_OPERATOR") : undefined;
}

/** Between stages: reasons not to start the next one. Waits while the chain cannot be read or does not show the task yet. */
function refusal(situation: Situation): Decision | undefined {
  const { replicate, seen } = situation;
  if (onChain(situation) === "unknown") return record("CANT_CONTRIBUTE_SINCE_CONTRIBUTION_ALREADY_SET", "UNKNOWN_CONTRIBUTION");
  if (seen.chain === undefined) return givenUp(situation) ?? wait("chain");
  const verdict = contributionVerdict(seen.chain, question(seen));
  if ("wait" in verdict)
    return (
      givenUp(situation) ??
      (replicate.abort === undefined || replicate.abort === "OPERATOR" ? wait("chain") : record("FAILED", "ABORTED_BY_SCHEDULER"))
    );
  if (!("can" in verdict)) return record(verdict.status);
  return givenUp(situation);
}

/** Our wallet contributed and this journal did not: no new work while that task may still cost or pay somebody who holds the same key. */
function whenSomebodyElseContributed({ seen }: Situation): Decision {
  const task = seen.chain?.task;
  if (seen.chain === undefined || task === undefined) return wait("chain");
  const over = task.status === "COMPLETED" || task.status === "FAILED" || !isOpen(task.finalDeadline, seen.chain.block.timestamp);
  return over ? stage("PURGE") : { kind: "alarm" };
}

function beforeContributing(situation: Situation): Decision {
  if (situation.replicate.sealed === undefined) return record("FAILED", "DETERMINISM_HASH_NOT_FOUND");
  return refusal(situation) ?? record("CAN_CONTRIBUTE");
}

function whenItCanContribute(situation: Situation): Decision {
  const { seen, contribution } = situation;
  if (seen.chain === undefined) return wait("chain");
  const where = onChain(situation);
  if (where === "unknown") return { kind: "alarm" };
  if (where === "ours") return stage("CONTRIBUTE");
  const over = interruption(situation);
  // Once registered it may already be on its way: only the chain ends it then.
  if (over !== undefined && contribution === undefined) return over;
  const verdict = contributionVerdict(seen.chain, question(seen));
  if ("wait" in verdict) return wait("chain");
  if (!("can" in verdict) && contribution === undefined) return record("FAILED", verdict.status);
  if (!seen.canPay) return record("OUT_OF_GAS");
  return stage("CONTRIBUTE");
}

function whenContributing(situation: Situation): Decision {
  if (onChain(situation) === "unknown") return { kind: "alarm" };
  return situation.seen.chain === undefined ? wait("chain") : stage("CONTRIBUTE");
}

/** After a failed contribution: the state of the chain says why. */
function preciseCause(situation: Situation): Decision | undefined {
  const { seen, contribution } = situation;
  if (seen.chain === undefined) return wait("chain");
  const where = onChain(situation);
  if (where === "unknown") return { kind: "alarm" };
  if (where === "ours" && contribution !== undefined) return record("CANT_CONTRIBUTE_SINCE_CONTRIBUTION_ALREADY_SET");
  const verdict = contributionVerdict(seen.chain, question(seen));
  return "status" in verdict ? record(verdict.status) : undefined;
}

function whenContributed({ worker, replicate, contribution, seen }: Situation): Decision {
  const { chain } = seen;
  if (chain === undefined || chain.task === undefined || contribution === undefined) return wait("chain");
  const { task, ours } = chain;
  const now = chain.block.timestamp;
  if (ours.status === "PROVED") return stage("REVEAL");
  // Only contributions that were in the consensus and did not reveal in time are rejected. A worker that was down or dry took too long; one
  // that was not had no moment to reveal in.
  if (ours.status === "REJECTED") return record(replicate.status === "CONTRIBUTED" ? "CANT_REVEAL" : "REVEAL_TIMEOUT", "TASK_REOPENED");
  switch (task.status) {
    case "UNSET":
      return wait("chain");
    case "ACTIVE":
      return isOpen(task.contributionDeadline, now)
        ? wait("chain", task.contributionDeadline)
        : record("ABORTED_ON_CONTRIBUTION_TIMEOUT", "CONTRIBUTION_TIMEOUT");
    case "FAILED":
      return record("FAILED", "TASK_FAILED");
    case "REVEALING":
    case "COMPLETED": {
      // Not there although the consensus is: a reorganisation dropped it, or this node is behind.
      if (ours.status === "UNSET") {
        return task.status === "COMPLETED" ? record("ABORTED_ON_CONSENSUS_REACHED") : wait("chain", task.revealDeadline);
      }
      const verdict = revealVerdict(chain, worker, contribution.digest);
      if ("can" in verdict) return seen.canPay || replicate.status === "OUT_OF_GAS" ? stage("REVEAL") : record("OUT_OF_GAS");
      if ("wait" in verdict) return wait("chain", task.revealDeadline);
      if (verdict.status === "REVEALED") return stage("REVEAL");
      if (verdict.status === "REVEAL_TIMEOUT") return record("REVEAL_TIMEOUT", "REVEAL_TIMEOUT");
      if (!sameHex(ours.resultHash, task.consensusValue)) return record("ABORTED_ON_CONSENSUS_REACHED", "CONSENSUS_REACHED");
      return verdict.because === "NOT_REVEALING" ? record("REVEAL_TIMEOUT", "REVEAL_TIMEOUT") : record("CANT_REVEAL", verdict.because);
    }
    default:
      return task.status satisfies never;
  }
}

function whenRevealing({ seen, worker, contribution }: Situation): Decision {
  const { chain } = seen;
  if (chain === undefined || chain.task === undefined || contribution === undefined) return wait("chain");
  if (chain.ours.status === "PROVED") return stage("REVEAL");
  if (chain.task.status === "FAILED") return record("FAILED", "TASK_FAILED");
  // Reopened or finalized without our reveal: it can never be mined any more.
  if (chain.ours.status === "REJECTED") return record("REVEAL_TIMEOUT", "TASK_REOPENED");
  if (chain.task.status === "COMPLETED" && chain.ours.status === "CONTRIBUTED") return record("REVEAL_TIMEOUT", "REVEAL_TIMEOUT");
  const verdict = revealVerdict(chain, worker, contribution.digest);
  if ("status" in verdict && verdict.status === "REVEAL_TIMEOUT") return record("REVEAL_TIMEOUT", "REVEAL_TIMEOUT");
  if ("status" in verdict && verdict.status === "CANT_REVEAL" && chain.task.status !== "REVEALING")
    return wait("chain", chain.task.finalDeadline);
  return seen.canPay ? stage("REVEAL") : record("OUT_OF_GAS");
}

function whenRevealed({ replicate, seen }: Situation): Decision {
  const task = seen.chain?.task;
  if (task?.status === "COMPLETED") return record("COMPLETED");
  if (task?.status === "FAILED") return record("FAILED", "TASK_FAILED");
  switch (replicate.progress) {
    case "RESULT_UPLOAD_REQUESTED":
    case "RESULT_UPLOADING":
      return stage("UPLOAD");
    case "RESULT_UPLOADED":
      return wait("chain", task?.finalDeadline);
    default:
      return replicate.uploadRequested
        ? { kind: "record", status: "RESULT_UPLOAD_REQUESTED", mirror: true }
        : wait("scheduler", task?.finalDeadline);
  }
}

/** An empty wallet is a pause: go on where we stopped once it is refilled, unless the chain has moved on. */
function whenOutOfGas(situation: Situation): Decision {
  const { replicate, seen } = situation;
  if (seen.chain === undefined) return wait("chain");
  const revealing = replicate.progress === "CONTRIBUTED" || replicate.progress === "REVEALING";
  if (!revealing) {
    const over = interruption(situation);
    if (over !== undefined && situation.contribution === undefined) return over;
    return seen.canPay ? record("CAN_CONTRIBUTE") : wait("gas", seen.chain.task?.contributionDeadline);
  }
  const next = whenContributed(situation);
  if (next.kind === "stage")
    return seen.canPay || seen.chain.ours.status === "PROVED" ? next : wait("gas", seen.chain.task?.revealDeadline);
  return next.kind === "wait" ? wait("gas", seen.chain.task?.revealDeadline) : next;
}
