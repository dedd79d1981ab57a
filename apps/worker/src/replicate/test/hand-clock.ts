import { setImmediate as turn } from "node:timers/promises";
import type { Clock } from "@iexec-ts/service";

/** A clock that moves only when it is told to. */
export class HandClock implements Clock {
  #ms = 0;
  readonly #sleepers = new Set<{ readonly atMs: number; readonly wake: () => void }>();

  now(): Date {
    return new Date(this.#ms);
  }

  monotonicMs(): number {
    return this.#ms;
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    const over = Promise.withResolvers<void>();
    const sleeper = { atMs: this.#ms + ms, wake: over.resolve };
    const stop = () => over.reject(signal?.reason);
    this.#sleepers.add(sleeper);
    signal?.addEventListener("abort", stop, { once: true });
    try {
      await over.promise;
    } finally {
      this.#sleepers.delete(sleeper);
      signal?.removeEventListener("abort", stop);
    }
  }

  /** Moves on by `ms`, waking in order whoever sleeps less. */
  async pass(ms: number): Promise<void> {
    const until = this.#ms + ms;
    // Bounded: by the sleepers that wake before the time is up.
    for (;;) {
      await turn();
      const [next] = [...this.#sleepers].filter(({ atMs }) => atMs <= until).sort((a, b) => a.atMs - b.atMs);
      if (next === undefined) break;
      this.#ms = Math.max(this.#ms, next.atMs);
      this.#sleepers.delete(next);
      next.wake();
    }
    this.#ms = until;
    await turn();
  }
}
