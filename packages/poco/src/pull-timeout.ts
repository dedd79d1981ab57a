/** Bounds of the time an image may take to pull, in minutes. */
export interface PullTimeoutBounds {
  readonly minMinutes: number;
  readonly maxMinutes: number;
}

/** @source compute.md 1.8 */
export const DEFAULT_PULL_TIMEOUT: PullTimeoutBounds = { minMinutes: 5, maxMinutes: 30 };
/** For the images of TEE stages and checks. @source compute.md 1.8 */
export const AUXILIARY_PULL_TIMEOUT_MS = 60_000;

/**
 * How long the pull of an app's image may take, in milliseconds: XS and S 5 min, M 8, L 13, XL 18 with the default bounds. The Java worker
 * takes milliseconds for seconds here, so it waits 27 to 30 min.
 *
 * @param period - `workClockTimeRef` of the category, in seconds
 * @param bounds - when they cross, the maximum wins
 * @source compute.md 1.8: round(10 * log10(minutes / 10)) minutes
 */
export function pullTimeoutMs(period: bigint, bounds: PullTimeoutBounds = DEFAULT_PULL_TIMEOUT): number {
  const minutes = Math.round(10 * Math.log10(Number(period) / 60 / 10));
  return Math.min(bounds.maxMinutes, Math.max(bounds.minMinutes, minutes)) * 60_000;
}
