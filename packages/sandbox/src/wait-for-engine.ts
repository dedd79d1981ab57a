import { type Clock, hasCode } from "@iexec-ts/service";

const FIRST_MS = 200;
const LONGEST_MS = 10_000;

/** Milliseconds before attempt `n` (from 0): doubled each time, bounded, between half and the whole of it. */
export const backOffMs = (attempt: number, random: () => number): number =>
  Math.min(FIRST_MS * 2 ** Math.min(attempt, 16), LONGEST_MS) * (0.5 + random() / 2);

/**
 * Repeats a read-only or idempotent call until the engine answers; for work that outlives a restart of the engine.
 *
 * Errors: whatever `call` throws except SBX-1001, and the signal's reason.
 */
export async function onceEngineAnswers<T>(
  call: () => Promise<T>,
  { clock, random, signal, onLost }: { clock: Clock; random: () => number; signal: AbortSignal; onLost: () => void },
): Promise<T> {
  // Bounded: the signal ends it, and each call has a deadline; whoever waits is told of each try by `onLost`.
  for (let attempt = 0; ; attempt++) {
    try {
      return await call();
    } catch (thrown) {
      if (!hasCode(thrown, "SBX-1001")) throw thrown;
      onLost();
      await clock.sleep(backOffMs(attempt, random), signal);
    }
  }
}
