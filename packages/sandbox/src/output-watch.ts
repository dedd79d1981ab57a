import type { Clock } from "@iexec-ts/service";

export interface Measure {
  readonly bytes: number;
  readonly exceeded: boolean;
}

/** Fastest a disk is assumed to be filled: the closer to the cap, the sooner the next look. */
const BYTES_PER_MS = 200_000;
const SHORTEST_MS = 100;
const LONGEST_MS = 2_000;

/** Milliseconds to the next look. A look that took long is not repeated at once, so that watching costs at most a tenth of the time. */
export const nextLookMs = (headroomBytes: number, lookMs: number, random: () => number): number =>
  Math.max(Math.min(Math.max(headroomBytes / BYTES_PER_MS, SHORTEST_MS), LONGEST_MS), 9 * lookMs) * (0.75 + random() / 4);

/**
 * Resolves once the measure exceeds its cap; rejects with the signal's reason when aborted.
 *
 * There is no event for the size of a folder tree, hence the repeated look. It is a fallback: an app can overshoot the cap by what it
 * writes between two looks. A volume with a quota is the real limit.
 */
export async function untilExceeded(
  measure: (signal: AbortSignal) => Promise<Measure>,
  capBytes: number,
  { clock, random, signal }: { clock: Clock; random: () => number; signal: AbortSignal },
): Promise<void> {
  // Bounded: the signal ends it, and the run that it belongs to has its own watch.
  for (;;) {
    const began = clock.monotonicMs();
    const { bytes, exceeded } = await measure(signal);
    if (exceeded) return;
    await clock.sleep(nextLookMs(capBytes - bytes, clock.monotonicMs() - began, random), signal);
  }
}
