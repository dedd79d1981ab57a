/** A category fixes how long one run may take: its period, in seconds. */
export interface Category {
  readonly id: bigint;
  readonly name: string;
  readonly period: bigint;
}

/** The five categories every public network has, by id. @source chain.md 7 */
export const DEFAULT_CATEGORIES = [
  { id: 0n, name: "XS", period: 300n },
  { id: 1n, name: "S", period: 1_200n },
  { id: 2n, name: "M", period: 3_600n },
  { id: 3n, name: "L", period: 10_800n },
  { id: 4n, name: "XL", period: 36_000n },
] as const satisfies readonly Category[];

/**
 * Longest run of one container, in milliseconds: one period of the category.
 *
 * @param period - `workClockTimeRef`, in seconds
 * @source compute.md 1.5
 */
export function maxExecutionMs(period: bigint): number {
  return Number(period) * 1_000;
}
