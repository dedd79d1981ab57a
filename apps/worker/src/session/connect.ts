import { type Backoff, type Clock, CodedError, type Logger, openScope, orAborted, type Random, type Watchdog } from "@iexec-ts/service";
import { connectScheduler, type SchedulerConnection } from "@iexec-ts/wire";
import { canRetry } from "../replicate/retry.ts";

/** Longest time for one try, in milliseconds: several answers of the scheduler, and a login. */
const TRY_MS = 120_000;

/**
 * Tries until the scheduler answers or refuses for good.
 *
 * Errors: WIR-… when it refuses; the signal's reason.
 * SIDE EFFECTS: connects.
 */
export async function connectPatiently(
  options: Omit<Parameters<typeof connectScheduler>[0], "signal">,
  deps: {
    readonly clock: Clock;
    readonly random: Random;
    readonly log: Logger;
    readonly backoff: () => Backoff;
    /** Watches the link, once it is made. */
    readonly watchdog: Watchdog;
    readonly signal: AbortSignal;
  },
): Promise<SchedulerConnection> {
  const { clock, random, log, backoff, watchdog, signal } = deps;
  const waits = backoff();
  // Bounded: each try has a limit, and the loop ends with the signal or with an answer.
  for (;;) {
    using limit = openScope([signal], { ms: TRY_MS, clock });
    const made = connectScheduler({ ...options, signal: limit.signal }, { clock, random, logger: log, watchdog });
    try {
      return await orAborted(made, limit.signal);
    } catch (thrown) {
      // A link that is made after all would keep the process alive.
      made.then(
        (late) => late.close(),
        () => undefined,
      );
      const error = CodedError.from(thrown);
      if (signal.aborted || !(canRetry(error) || limit.signal.aborted)) throw thrown;
      log.warn("the scheduler does not answer", { error });
      await clock.sleep(waits.nextMs(), signal);
    }
  }
}
