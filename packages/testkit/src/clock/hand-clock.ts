import { setImmediate as turn } from "node:timers/promises";
import type { Clock } from "@iexec-ts/service";

interface Sleeper {
  readonly atMs: number;
  readonly wake: () => void;
}

/** A clock that moves only when it is told to: minutes of waiting pass in a test at once, in the order they would. */
export class HandClock implements Clock {
  #ms = 0;
  readonly #sleepers = new Set<Sleeper>();

  now(): Date {
    return new Date(this.#ms);
  }

  monotonicMs(): number {
    return this.#ms;
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    const slept = Promise.withResolvers<void>();
    const sleeper = { atMs: this.#ms + ms, wake: slept.resolve };
    const abort = (): void => slept.reject(signal?.reason);
    signal?.addEventListener("abort", abort, { once: true });
    this.#sleepers.add(sleeper);
    try {
      await slept.promise;
    } finally {
      this.#sleepers.delete(sleeper);
      signal?.removeEventListener("abort", abort);
    }
  }

  /** Moves on by `ms`, waking in order whoever sleeps less; what they do at once has been done when it resolves. */
  async pass(ms: number): Promise<void> {
    const until = this.#ms + ms;
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

  /** How many sleep now. */
  get sleeping(): number {
    return this.#sleepers.size;
  }
}
