import { type Address, type Contribution, canFollow, isFinal } from "@iexec-ts/poco";
import type { ReplicateRecord } from "../model.ts";
import { isSettled, knowsContribution, knowsReveal } from "../replicates/classes.ts";
import { type Draft, plusMs, type Situation } from "./decision.ts";

/** Marks replicates whose worker does not ping any more. */
export function markLost({ replicates }: Situation, draft: Draft): void {
  for (const { alive, status, wallet } of replicates) {
    if (!alive && status !== "WORKER_LOST" && !isSettled(status) && canFollow(status, "WORKER_LOST")) {
      draft.add({ kind: "replicate-status", wallet, status: "WORKER_LOST", cause: undefined });
    }
  }
}

/** Whether the chain is ahead of what its worker has told us. */
function untold(replicate: ReplicateRecord, contribution: Contribution): "CONTRIBUTED" | "REVEALED" | undefined {
  if (isSettled(replicate.status) || isSettled(replicate.relevant)) return undefined;
  if (contribution.status === "UNSET") return undefined;
  if (!knowsContribution(replicate.relevant)) return "CONTRIBUTED";
  return contribution.status === "PROVED" && !knowsReveal(replicate.relevant) ? "REVEALED" : undefined;
}

/**
 * Records contributions and reveals that are on chain and that their workers have not reported in time. The status alone is written, no
 * stages in between that nobody saw.
 *
 * @param atOnce - without giving anybody time to report: something else is about to be recorded that comes after it
 */
export function fillFromChain({ replicates, chain, sightings, now, patience }: Situation, draft: Draft, atOnce = false): void {
  const known = new Set<Address>();
  for (const replicate of replicates) {
    const { wallet, alive } = replicate;
    known.add(wallet);
    const contribution = chain.contributions.get(wallet);
    const status = contribution === undefined ? undefined : untold(replicate, contribution);
    if (status === undefined) continue;
    const sighting = sightings.get(wallet);
    const since = status === "CONTRIBUTED" ? sighting?.seenAt : (sighting?.provedAt ?? sighting?.seenAt);
    const due = plusMs(since ?? now.wall, alive && !atOnce && since !== undefined ? patience.unnotifiedMs : 0);
    if (due <= now.wall) draft.add({ kind: "replicate-status", wallet, status, cause: "SEEN_ON_CHAIN" });
    else draft.wakeAtWall(due);
  }
  for (const wallet of chain.contributions.keys()) if (!known.has(wallet)) draft.add({ kind: "adopt", wallet });
}

/** After the end of a task: silent replicates get their last status once they had time to say it themselves. */
export function closeReplicates({ task, replicates, chain, now, patience }: Situation, draft: Draft): boolean {
  const ended = task.endedAt ?? now.wall;
  const due = plusMs(ended, patience.closeMs);
  let allSettled = true;
  for (const { wallet, status, alive, relevant } of replicates) {
    if (isSettled(status) || (status === "WORKER_LOST" && isFinal(relevant))) continue;
    allSettled = false;
    if (alive && due > now.wall) {
      draft.wakeAtWall(due);
      continue;
    }
    const paid = chain.task?.status === "COMPLETED" && chain.contributions.get(wallet)?.status === "PROVED";
    if (paid) {
      draft.add({ kind: "replicate-status", wallet, status: "COMPLETED", cause: undefined });
      // It may have missed the first one, and still keeps the result.
      if (alive) draft.add({ kind: "order", order: "COMPLETE", wallets: [wallet], abortCause: undefined });
    } else draft.add({ kind: "replicate-status", wallet, status: "FAILED", cause: causeOfEnd(chain.task?.status) });
  }
  return allSettled;
}

function causeOfEnd(status: string | undefined): string {
  if (status === "COMPLETED" || status === "REVEALING") return "CONSENSUS_REACHED";
  return "CONTRIBUTION_TIMEOUT";
}
