import type { Clock } from "@iexec-ts/service";

/** True after the wait, false as soon as the signal is aborted. */
export async function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<boolean> {
  try {
    await clock.sleep(ms, signal);
    return true;
  } catch (thrown) {
    if (signal.aborted) return false;
    throw thrown;
  }
}

/** Waits; rejects with the signal's own reason as soon as it is aborted, whatever the clock rejects with. */
export async function sleep(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  if (!(await pause(clock, ms, signal))) throw signal.reason;
}
