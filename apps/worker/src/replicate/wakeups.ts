import type { TaskId } from "@iexec-ts/poco";
import { type Clock, openScope, systemClock } from "@iexec-ts/service";

/**
 * Lets whoever works on a replicate sleep until something changes, and never longer than it says: a wake-up that was lost is no sleep for
 * ever. A wake-up that comes while nobody sleeps is kept for the next sleep.
 */
export class Wakeups {
  readonly #clock: Clock;
  readonly #sleepers = new Map<TaskId, Set<() => void>>();
  readonly #pending = new Set<TaskId>();

  constructor(clock: Clock = systemClock) {
    this.#clock = clock;
  }

  /** Wakes everybody who sleeps for this task. */
  wake(taskId: TaskId): void {
    const sleepers = this.#sleepers.get(taskId);
    if (sleepers === undefined) this.#pending.add(taskId);
    else for (const wake of [...sleepers]) wake();
  }

  wakeAll(taskIds: Iterable<TaskId>): void {
    for (const taskId of [...taskIds]) this.wake(taskId);
  }

  /**
   * Resolves at the next wake-up, at once if one is pending, or when `atMostMs` milliseconds are over.
   *
   * Errors: the signal's reason.
   */
  async sleep(taskId: TaskId, signal: AbortSignal, atMostMs: number): Promise<void> {
    signal.throwIfAborted();
    if (this.#pending.delete(taskId)) return;
    using nap = openScope([signal]);
    const woken = () => nap.end();
    const sleepers = this.#sleepers.get(taskId) ?? new Set();
    this.#sleepers.set(taskId, sleepers.add(woken));
    try {
      await this.#clock.sleep(atMostMs, nap.signal);
    } catch {
      // Woken, or told to end.
      signal.throwIfAborted();
    } finally {
      sleepers.delete(woken);
      if (sleepers.size === 0 && this.#sleepers.get(taskId) === sleepers) this.#sleepers.delete(taskId);
    }
  }

  forget(taskId: TaskId): void {
    this.#pending.delete(taskId);
  }
}
