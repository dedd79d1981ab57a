import { type Clock, openScope } from "@iexec-ts/service";

/** A wait that an event may cut short. An event that comes while nobody waits makes the next wait return at once. */
export class Wake {
  #poked = false;
  #closed = false;
  /** All who wait: one that hangs elsewhere and comes back late does not take the wake of the next. */
  readonly #waiting = new Set<() => void>();
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  poke(): void {
    this.#poked = true;
    for (const release of this.#waiting) release();
  }

  /** Ends this wait and all later ones at once. */
  close(): void {
    this.#closed = true;
    this.poke();
  }

  /** Resolves after an event, after `ms` milliseconds, or when the signal aborts. There is no wait without an end: an event may be lost. */
  async wait(ms: number, signal?: AbortSignal): Promise<void> {
    if (!this.#poked && !this.#closed && signal?.aborted !== true) {
      using scope = openScope([signal]);
      const woken = Promise.withResolvers<void>();
      const release = (): void => woken.resolve();
      this.#waiting.add(release);
      this.#clock.sleep(ms, scope.signal).then(release, release);
      await woken.promise;
      this.#waiting.delete(release);
    }
    this.#poked = false;
  }
}
