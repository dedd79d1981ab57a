import type { ChainTime } from "@iexec-ts/poco";

/** 1.0 as a number of millionths. */
export const ONE = 1_000_000n;
const HEADROOM = 1_250_000n;
const MIN_BUMP = 1_125_000n;

/** What the operator allows. */
export interface FeePolicy {
  /** K in millionths: 1_300_000n is 1.3. */
  readonly multiplier: bigint;
  /** Wei per gas unit; never exceeded. */
  readonly cap: bigint;
  /** The chain takes transactions with price 0. */
  readonly gasless: boolean;
}

/** What the network asks, in wei per gas unit. */
export interface FeeMarket {
  /** Of the newest block; undefined on chains without EIP-1559. */
  readonly baseFee: bigint | undefined;
  /** eth_gasPrice; read only where there is no base fee. */
  readonly gasPrice: bigint;
  /** eth_maxPriorityFeePerGas; 0 where tips do not count. */
  readonly tip: bigint;
}

/** Fees of one attempt. On `free` and `legacy` both members are the gas price. */
export interface Fees {
  readonly kind: "free" | "legacy" | "eip1559";
  readonly maxFeePerGas: bigint;
  readonly maxPriorityFeePerGas: bigint;
}

/** `wait`: the cap is below the base fee, nothing we may pay is accepted now. */
export type FeeOffer =
  | { readonly kind: "offer"; readonly fees: Fees }
  | { readonly kind: "wait"; readonly baseFee: bigint; readonly cap: bigint };

const min = (a: bigint, b: bigint): bigint => (a < b ? a : b);
const max = (a: bigint, b: bigint): bigint => (a > b ? a : b);
const times = (amount: bigint, millionths: bigint): bigint => (amount * millionths) / ONE;
const timesUp = (amount: bigint, millionths: bigint): bigint => (amount * millionths + ONE - 1n) / ONE;
const toward = (from: bigint, to: bigint, millionths: bigint): bigint => (to > from ? from + times(to - from, millionths) : from);

/**
 * K as written in the settings, as a rational of millionths, so that no float multiplies money.
 *
 * @param multiplier - 0 < K, for example 1.3
 */
export function multiplierFrom(multiplier: number): bigint {
  return BigInt(Math.round(multiplier * Number(ONE)));
}

/**
 * What to offer for a gas unit now: min(cap, network price * K) as the guide says, with room for a rising base fee.
 *
 * @param urgency - 0 to 1_000_000; moves the offer from the policy's price up to the cap
 * @source worker guide "Fees"; reference chain.md section 15
 */
export function offerFees(market: FeeMarket, policy: FeePolicy, urgency = 0n): FeeOffer {
  const { multiplier, cap } = policy;
  if (policy.gasless || (market.baseFee === undefined && market.gasPrice === 0n)) {
    return { kind: "offer", fees: { kind: "free", maxFeePerGas: 0n, maxPriorityFeePerGas: 0n } };
  }
  if (market.baseFee === undefined) {
    const price = toward(min(cap, times(market.gasPrice, multiplier)), cap, urgency);
    return { kind: "offer", fees: { kind: "legacy", maxFeePerGas: price, maxPriorityFeePerGas: price } };
  }
  const wished = times(market.baseFee + market.tip, multiplier);
  const calmTip = min(cap, times(market.tip, multiplier));
  const calmMax = min(cap, max(wished, times(market.baseFee, HEADROOM) + calmTip));
  const maxFeePerGas = toward(calmMax, cap, urgency);
  if (maxFeePerGas < market.baseFee) return { kind: "wait", baseFee: market.baseFee, cap };
  const maxPriorityFeePerGas = min(toward(calmTip, cap, urgency), maxFeePerGas);
  return { kind: "offer", fees: { kind: "eip1559", maxFeePerGas, maxPriorityFeePerGas } };
}

/**
 * Fees of a replacement: at least 12.5 % above `previous` on both fields and at least `fresh`, within the cap. Undefined when the cap leaves
 * no room for that; then the last attempt is sent again instead.
 *
 * @source geth replaces from 10 % on both fields, strictly greater; reference chain.md section 16 item 5
 */
export function raiseFees(previous: Fees, fresh: Fees, policy: FeePolicy): Fees | undefined {
  if (previous.kind === "free" || fresh.kind !== previous.kind) return undefined;
  const factor = max(MIN_BUMP, policy.multiplier);
  const raise = (amount: bigint): { readonly least: bigint; readonly wanted: bigint } => ({
    least: max(timesUp(amount, MIN_BUMP), amount + 1n),
    wanted: timesUp(amount, factor),
  });
  const fee = raise(previous.maxFeePerGas);
  const tip = raise(previous.maxPriorityFeePerGas);
  if (fee.least > policy.cap || tip.least > policy.cap) return undefined;
  const maxFeePerGas = min(policy.cap, max(max(fee.least, fee.wanted), max(fresh.maxFeePerGas, tip.least)));
  const maxPriorityFeePerGas =
    previous.kind === "legacy" ? maxFeePerGas : min(maxFeePerGas, max(max(tip.least, tip.wanted), fresh.maxPriorityFeePerGas));
  return { kind: previous.kind, maxFeePerGas, maxPriorityFeePerGas };
}

/**
 * How urgent an effect is, in millionths: 0 until `window` seconds before its deadline, then rising evenly to 1 at the deadline.
 */
export function urgencyAt(now: ChainTime, before: ChainTime | undefined, window: bigint): bigint {
  if (before === undefined || window <= 0n) return 0n;
  const left = before - now;
  if (left >= window) return 0n;
  return left <= 0n ? ONE : ((window - left) * ONE) / window;
}
