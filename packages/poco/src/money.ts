import { larger, smaller } from "./integers.ts";
import type { Address } from "./structs.ts";
import { type NanoRlc, nanoRlc } from "./units.ts";

/** Share of the workerpool price that the pool's owner locks, in percent. @source workerpool_stake_ratio() */
export const WORKERPOOL_STAKE_RATIO = 30n;
/** Share of the kitty given for a finalized task, in percent. @source kitty_ratio() */
export const KITTY_RATIO = 10n;
/** Least amount given from the kitty, when it has as much. @source kitty_min() */
export const KITTY_MIN = nanoRlc(1_000_000_000n);
/** Holder of the stakes of pools that let tasks expire. @source kitty_address() */
export const KITTY_ADDRESS: Address = "0x99c2268479b93fde36232351229815df80837e23";
/** A new workerpool's policy: worker stake and scheduler reward, in percent. @source chain.md 8.1 */
export const DEFAULT_POLICY = { workerStakeRatio: 30n, schedulerRewardRatio: 1n } as const;

const percent = (amount: bigint, ratio: bigint): bigint => (amount * ratio) / 100n;

/**
 * What one contribution locks.
 *
 * @param ratio - `workerStakeRatio` of the workerpool, in percent
 * @source IexecPoco1.matchOrders
 */
export function workerStake(workerpoolPrice: NanoRlc, ratio: bigint): NanoRlc {
  return nanoRlc(percent(workerpoolPrice, ratio));
}

/** What the pool's owner locks for a deal of `volume` tasks: rounded down for one task, then multiplied. @source chain.md 6.1 */
export function schedulerStake(workerpoolPrice: NanoRlc, volume = 1n): NanoRlc {
  return nanoRlc(percent(workerpoolPrice, WORKERPOOL_STAKE_RATIO) * volume);
}

/** What the requester (or sponsor) locks for a whole deal. @source chain.md 6.1 */
export function dealCost(
  prices: { readonly app: NanoRlc; readonly dataset: NanoRlc; readonly workerpool: NanoRlc },
  volume: bigint,
): NanoRlc {
  return nanoRlc((prices.app + prices.dataset + prices.workerpool) * volume);
}

/** The weight a contribution is paid by. @source IexecPoco2.contribute: floor(log2(weight)) */
export function rewardWeight(weight: bigint): bigint {
  return weight <= 0n ? 0n : BigInt(weight.toString(2).length - 1);
}

/** What a finalized task pays from the kitty to the pool's owner. @source IexecPoco2.finalize; chain.md 8.2 */
export function kittyShare(kitty: NanoRlc): NanoRlc {
  return nanoRlc(smaller(larger(percent(kitty, KITTY_RATIO), KITTY_MIN), kitty));
}

export interface PaidContribution {
  readonly worker: Address;
  /** Revealed, hence `PROVED` on chain. */
  readonly proved: boolean;
  /** `Contribution.weight`: already floor(log2). */
  readonly weight: bigint;
}

export interface Distribution {
  /** Reward of each proved worker; its stake comes back on top. */
  readonly rewards: ReadonlyMap<Address, NanoRlc>;
  /** Stake lost by each of the others. */
  readonly seized: ReadonlyMap<Address, NanoRlc>;
  /** Reward of the pool's owner: the rest, roundings included, without the kitty. */
  readonly scheduler: NanoRlc;
}

/**
 * Who gets what when a task is finalized.
 *
 * @param contributions - of all contributors of the task
 * @param deal - price paid to the pool for one task, stake locked by each contributor, scheduler's share in percent
 * @source IexecPoco2.distributeRewards; chain.md 8.2
 */
export function distributeRewards(
  contributions: readonly PaidContribution[],
  deal: { readonly workerpoolPrice: NanoRlc; readonly workerStake: NanoRlc; readonly schedulerRewardRatio: bigint },
): Distribution {
  const proved = contributions.filter((contribution) => contribution.proved);
  const others = contributions.filter((contribution) => !contribution.proved);
  const total = deal.workerpoolPrice + deal.workerStake * BigInt(others.length);
  const forWorkers = percent(total, 100n - deal.schedulerRewardRatio);
  const weights = proved.reduce((sum, { weight }) => sum + weight, 0n);
  const rewards = new Map(
    proved.map(({ worker, weight }) => [worker, nanoRlc(weights === 0n ? 0n : (forWorkers * weight) / weights)] as const),
  );
  const paid = [...rewards.values()].reduce((sum, reward) => sum + reward, 0n);
  return {
    rewards,
    seized: new Map(others.map(({ worker }) => [worker, deal.workerStake] as const)),
    scheduler: nanoRlc(total - paid),
  };
}

/**
 * Who gets what in `contributeAndFinalize`: no stake, no other contributor, no change of score.
 *
 * @source IexecPoco2.contributeAndFinalize; chain.md 8.2
 */
export function distributeSingle(workerpoolPrice: NanoRlc, schedulerRewardRatio: bigint): { worker: NanoRlc; scheduler: NanoRlc } {
  const worker = percent(workerpoolPrice, 100n - schedulerRewardRatio);
  return { worker: nanoRlc(worker), scheduler: nanoRlc(workerpoolPrice - worker) };
}

/**
 * A worker's score after a task was finalized.
 *
 * @param contributors - how many contributed to the task: a proved worker alone gains nothing
 * @source IexecPoco2.finalize; chain.md 8.3
 */
export function scoreAfter(score: bigint, proved: boolean, contributors: number): bigint {
  if (!proved) return (score * 2n) / 3n;
  return contributors > 1 ? score + 1n : score;
}
