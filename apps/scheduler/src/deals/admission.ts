import { type Address, type ChainTime, type Deal, dealDeadlines, isOpen, needsTee, sameHex, teeFrameworkOf } from "@iexec-ts/poco";

export type SkipReason =
  /** Its contribution deadline has passed. */
  | "EXPIRED"
  /** TEE with a trust above 1: an enclave proves one execution, it does not take part in a vote. */
  | "TEE_TRUST"
  /** A TEE framework that this pool does not run, or a mix nobody runs. */
  | "TEE_UNSUPPORTED"
  /** The deal was made when somebody else owned the workerpool: only they can authorize and finalize. */
  | "OTHER_OWNER";

/**
 * Why a deal is not taken, or undefined when it is.
 *
 * @param period - `workClockTimeRef` of the deal's category, in seconds
 * @source wire.md 6.1; chain.md 19
 */
export function skipReason(
  deal: Deal,
  period: bigint,
  pool: { readonly now: ChainTime; readonly owner: Address; readonly hasSms: boolean },
): SkipReason | undefined {
  if (!sameHex(deal.workerpool.owner, pool.owner)) return "OTHER_OWNER";
  if (!isOpen(dealDeadlines(deal.startTime, period).contribution, pool.now)) return "EXPIRED";
  if (!needsTee(deal.tag)) return undefined;
  if (deal.trust > 1n) return "TEE_TRUST";
  return teeFrameworkOf(deal.tag) === undefined || !pool.hasSms ? "TEE_UNSUPPORTED" : undefined;
}
