import { type Clock, openScope } from "@iexec-ts/service";

/**
 * A wait that an event cuts short and that ends by itself: what a loop sleeps on. A ring that nobody hears makes the next wait end at once;
 * rings that come together are heard once.
 */
export class Bell {
  readonly #clock: Clock;
  readonly #waiting = new Set<() => void>();
  #rung = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  ring(): void {
    this.#rung = this.#waiting.size === 0;
    for (const wake of [...this.#waiting]) wake();
  }

  /** Resolves at the next ring, after `ms` milliseconds, or when the signal aborts. Never rejects. */
  async wait(ms: number, signal: AbortSignal): Promise<void> {
    if (this.#rung || signal.aborted) {
      this.#rung = false;
      return;
    }
    using rung = openScope([signal]);
    const wake = (): void => rung.end();
    this.#waiting.add(wake);
    try {
      await this.#clock.sleep(ms, rung.signal).catch(() => undefined);
    } finally {
      this.#waiting.delete(wake);
    }
  }
}
