import { isOpen, type TaskStatus } from "@iexec-ts/poco";
import { closeReplicates, fillFromChain } from "./bookkeeping.ts";
import { decideContributing } from "./contribution-phase.ts";
import { type Decision, Draft, type Situation } from "./decision.ts";
import { decideRevealing } from "./reveal-phase.ts";

/** Announces the end of a task once: why, then the final status, then the order to its workers. */
function end({ task }: Situation, why: TaskStatus, status: "COMPLETED" | "FAILED", draft: Draft): void {
  if (task.open) draft.add({ kind: "demand", open: false });
  if (task.status === status) return;
  if (why !== status) draft.add({ kind: "task-status", status: why, cause: undefined });
  draft.add({ kind: "task-status", status, cause: why === status ? undefined : why });
  const abortCause = why === "CONTRIBUTION_TIMEOUT" ? "CONTRIBUTION_TIMEOUT" : undefined;
  draft.add({ kind: "order", order: status === "COMPLETED" ? "COMPLETE" : "ABORT", wallets: [], abortCause });
}

function decideUnset(situation: Situation, draft: Draft): void {
  const { task, now } = situation;
  if (isOpen(task.contributionDeadline, now.chain)) {
    draft.wakeAtChain(task.contributionDeadline);
    if (task.open) draft.add({ kind: "demand", open: false });
    if (task.status !== "INITIALIZING") draft.add({ kind: "task-status", status: "INITIALIZING", cause: undefined });
    draft.add({ kind: "call", call: "initialize" });
    return;
  }
  end(situation, "CONTRIBUTION_TIMEOUT", "FAILED", draft);
  closeReplicates(situation, draft);
  // Only an initialized task can be claimed, and only a claim gives the requester's money back.
  if (isOpen(task.finalDeadline, now.chain)) draft.wakeAtChain(task.finalDeadline);
  else draft.add({ kind: "call", call: "initialize" });
}

function decidePastFinal(situation: Situation, draft: Draft): void {
  end(situation, "FINAL_DEADLINE_REACHED", "FAILED", draft);
  closeReplicates(situation, draft);
  draft.add({ kind: "call", call: "claim" });
}

function decideOver(situation: Situation, status: "COMPLETED" | "FAILED", draft: Draft): void {
  end(situation, status === "COMPLETED" ? "FINALIZED" : "FAILED", status, draft);
  fillFromChain(situation, draft);
  const settled = closeReplicates(situation, draft);
  if (settled && situation.task.status === status) draft.add({ kind: "close" });
}

/**
 * What to do about one task now. It looks at the state of the chain and at our records, never at how they came about, so it may be asked
 * at any time and after any crash; asking again after its effects were done asks for nothing new.
 *
 * Deterministic and total: no clock, no chance, no I/O.
 *
 * @source chain.md 7, 11; wire.md 3.6, 6.5-6.8
 */
export function decideTask(situation: Situation): Decision {
  const { task, chain, now } = situation;
  const draft = new Draft(now);
  const onChain = chain.task;
  if (task.closed) return draft.decision();
  switch (onChain?.status) {
    case undefined:
    case "UNSET":
      decideUnset(situation, draft);
      break;
    case "ACTIVE":
      if (!isOpen(task.finalDeadline, now.chain)) decidePastFinal(situation, draft);
      else if (isOpen(task.contributionDeadline, now.chain)) decideContributing(situation, draft);
      else {
        draft.wakeAtChain(task.finalDeadline);
        fillFromChain(situation, draft);
        end(situation, "CONTRIBUTION_TIMEOUT", "FAILED", draft);
        closeReplicates(situation, draft);
      }
      break;
    case "REVEALING":
      if (!isOpen(task.finalDeadline, now.chain)) decidePastFinal(situation, draft);
      else if (onChain !== undefined) decideRevealing(situation, onChain, draft);
      break;
    case "COMPLETED":
    case "FAILED":
      decideOver(situation, onChain.status, draft);
      break;
  }
  return draft.decision();
}
