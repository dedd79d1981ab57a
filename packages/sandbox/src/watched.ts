import { type LoopOptions, orAborted, type Pulse, type Watchdog } from "@iexec-ts/service";

/**
 * What `run` gives or throws, with `run` under the watchdog: a call that misses its beat is given up and made again, and its late answer is not
 * taken any more.
 *
 * Errors: those of `run`; the reason of the options' signal.
 * SIDE EFFECTS: those of `run`.
 */
export function watched<T>(watchdog: Watchdog, options: LoopOptions, run: (pulse: Pulse) => Promise<T>): Promise<T> {
  const settled = Promise.withResolvers<T>();
  void watchdog.keep(options, async (pulse) => {
    try {
      const value = await run(pulse);
      if (!pulse.signal.aborted) settled.resolve(value);
    } catch (thrown) {
      if (!pulse.signal.aborted) settled.reject(thrown);
    }
  });
  return orAborted(settled.promise, options.signal);
}
