import { type Bytes32, chainTime, isOpen, needsMore, workerWeight } from "@iexec-ts/poco";
import { givesUpContribution, isSettled } from "../replicates/classes.ts";
import { fillFromChain, markLost } from "./bookkeeping.ts";
import type { Draft, Situation } from "./decision.ts";

/** Weight of a wallet whose score we never read. */
const UNKNOWN_WEIGHT = workerWeight(0n);

/** Weights on chain by result hash; contributions a reopen rejected count no more. */
function contributedWeights({ chain, replicates, sightings }: Situation): ReadonlyMap<Bytes32, readonly bigint[]> {
  const weights = new Map(replicates.map(({ wallet, weight }) => [wallet, weight]));
  const groups = new Map<Bytes32, readonly bigint[]>();
  for (const [wallet, { status, resultHash }] of chain.contributions) {
    if (status !== "CONTRIBUTED") continue;
    const weight = weights.get(wallet) ?? sightings.get(wallet)?.weight ?? UNKNOWN_WEIGHT;
    groups.set(resultHash, [...(groups.get(resultHash) ?? []), weight]);
  }
  return groups;
}

/**
 * Weights of the workers of whom a contribution may still come. One that has said nothing for a whole period counts no more.
 *
 * @source wire.md 6.4, without its wait for replicates that have already failed
 */
function pendingWeights({ chain, replicates, task, now }: Situation, draft: Draft): readonly bigint[] {
  const pending: bigint[] = [];
  for (const { wallet, weight, alive, status, relevant, changedChain } of replicates) {
    if (chain.contributions.has(wallet) || !alive || givesUpContribution(status) || givesUpContribution(relevant)) continue;
    const silentAt = chainTime(changedChain + task.period);
    if (!isOpen(silentAt, now.chain)) continue;
    pending.push(weight);
    draft.wakeAtChain(silentAt);
  }
  return pending;
}

/** A task that is ACTIVE on chain and whose contribution deadline has not passed. */
export function decideContributing(situation: Situation, draft: Draft): void {
  const { task, replicates } = situation;
  draft.wakeAtChain(task.contributionDeadline);
  if (task.resultLink !== undefined) draft.add({ kind: "forget-result" });
  if (task.status === "REOPENING") draft.add({ kind: "task-status", status: "REOPENED", cause: undefined });

  const started = replicates.some(({ status }) => status !== "CREATED" && !isSettled(status));
  const status = started || task.status === "RUNNING" ? "RUNNING" : "INITIALIZED";
  if (task.status !== status) draft.add({ kind: "task-status", status, cause: undefined });

  fillFromChain(situation, draft);
  markLost(situation, draft);

  if (task.tee !== undefined && task.enclaveChallenge === undefined) {
    draft.add({ kind: "enclave-challenge" });
    return;
  }
  const state = { contributed: contributedWeights(situation), pendingWeights: pendingWeights(situation, draft), trust: task.trust };
  const open = needsMore(state);
  if (open !== task.open) draft.add({ kind: "demand", open });
}
