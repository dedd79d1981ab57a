import { larger } from "./integers.ts";
import type { Address, Bytes32 } from "./structs.ts";

/**
 * Weight of a worker with this score.
 *
 * @source IexecPoco2.contribute: max(score / 3, 3) - 1
 */
export function workerWeight(score: bigint): bigint {
  return larger(score / 3n, 3n) - 1n;
}

/**
 * The consensus test of the contracts, right after a contribution to one group.
 *
 * @param group - product of the weights that contributed this hash
 * @param total - 1 + the sum of all groups
 * @param trust - of the deal; 0 counts as 1
 * @source IexecPoco2.checkConsensus: group * trust > total * (trust - 1)
 */
export function isConsensus(group: bigint, total: bigint, trust: bigint): boolean {
  const wanted = larger(trust, 1n);
  return group * wanted > total * (wanted - 1n);
}

export interface TalliedContribution {
  readonly worker: Address;
  readonly resultHash: Bytes32;
  /** `workerWeight` of the score at the time of the contribution. */
  readonly weight: bigint;
}

/** What the contracts have counted for one task so far; they expose no view of it. */
export interface ConsensusTally {
  readonly trust: bigint;
  readonly groups: ReadonlyMap<Bytes32, bigint>;
  readonly total: bigint;
  readonly contributors: readonly TalliedContribution[];
  /** Set by the contribution that reached it; later contributions are refused. */
  readonly consensus: Bytes32 | undefined;
}

/** The tally of a task nobody has contributed to. */
export function emptyTally(trust: bigint): ConsensusTally {
  return { trust, groups: new Map(), total: 1n, contributors: [], consensus: undefined };
}

/**
 * The tally after one more contribution, in the order of the chain. A contribution after the consensus, or a second one of the same worker,
 * changes nothing: the contracts refuse both.
 *
 * @source IexecPoco2.contribute; chain.md 9
 */
export function tallyContribution(tally: ConsensusTally, contribution: TalliedContribution): ConsensusTally {
  if (tally.consensus !== undefined) return tally;
  if (tally.contributors.some(({ worker }) => worker.toLowerCase() === contribution.worker.toLowerCase())) return tally;
  const before = tally.groups.get(contribution.resultHash) ?? 0n;
  const after = larger(before, 1n) * contribution.weight;
  const total = tally.total + after - before;
  return {
    trust: tally.trust,
    groups: new Map(tally.groups).set(contribution.resultHash, after),
    total,
    contributors: [...tally.contributors, contribution],
    consensus: isConsensus(after, total, tally.trust) ? contribution.resultHash : undefined,
  };
}

/**
 * The tally after the task was reopened because nobody revealed: the group that had won counts for nothing, and its members stay contributors.
 *
 * @source IexecPoco2.reopen
 */
export function tallyReopen(tally: ConsensusTally): ConsensusTally {
  if (tally.consensus === undefined) return tally;
  const lost = tally.groups.get(tally.consensus) ?? 0n;
  return {
    ...tally,
    groups: new Map(tally.groups).set(tally.consensus, 0n),
    total: tally.total - lost,
    consensus: undefined,
  };
}

/**
 * The tally of a task from its TaskContribute events, oldest first.
 *
 * @source chain.md 9
 */
export function tallyOf(trust: bigint, contributions: Iterable<TalliedContribution>): ConsensusTally {
  let tally = emptyTally(trust);
  for (const contribution of contributions) tally = tallyContribution(tally, contribution);
  return tally;
}

/**
 * How many workers of weight 2 that all agree reach consensus: 1 up to trust 2, 2 up to 4, 3 up to 8...
 *
 * @source chain.md 9: floor(log2(trust - 1)) + 1
 */
export function replicatesNeeded(trust: bigint): number {
  let workers = 1;
  for (let group = 2n; !isConsensus(group, 1n + group, trust); group *= 2n) workers += 1;
  return workers;
}

/** What a scheduler knows about the replicates of one task. */
export interface ReplicationState {
  /** Weights that contributed each hash. */
  readonly contributed: ReadonlyMap<Bytes32, readonly bigint[]>;
  /** Weights of the replicates still expected to contribute. */
  readonly pendingWeights: readonly bigint[];
  readonly trust: bigint;
}

const product = (weights: readonly bigint[]): bigint =>
  weights.reduce((result, weight) => (weight === 0n ? result : (result === 0n ? 1n : result) * weight), 0n);

/**
 * Whether one more replicate is wanted: no consensus would be reached even if all the pending ones joined the best group.
 *
 * @source wire.md 6.4 (ConsensusHelper), in bigint: the Java one overflows at 31 workers
 */
export function needsMore(state: ReplicationState): boolean {
  const groups = [...state.contributed.values()].map(product);
  const best = groups.reduce(larger, 0n);
  const others = groups.reduce((sum, group) => sum + group, 0n) - best;
  const pending = product(state.pendingWeights);
  const expected = best === 0n || pending === 0n ? best + pending : best * pending;
  return !isConsensus(expected, 1n + expected + others, state.trust);
}
