import type { TaskId } from "@iexec-ts/poco";

/** Lets a replicate sleep until something changes. A wake-up that comes while nobody sleeps is kept for the next sleep. */
export class Wakeups {
  readonly #sleepers = new Map<TaskId, () => void>();
  readonly #pending = new Set<TaskId>();

  wake(taskId: TaskId): void {
    const sleeper = this.#sleepers.get(taskId);
    if (sleeper === undefined) this.#pending.add(taskId);
    else sleeper();
  }

  wakeAll(taskIds: Iterable<TaskId>): void {
    for (const taskId of [...taskIds]) this.wake(taskId);
  }

  /** Resolves at the next wake-up, or at once if one is pending; rejects when aborted. */
  async sleep(taskId: TaskId, signal: AbortSignal): Promise<void> {
    if (this.#pending.delete(taskId)) return;
    signal.throwIfAborted();
    await new Promise<void>((resolve, reject) => {
      const finish = (done: () => void) => {
        this.#sleepers.delete(taskId);
        signal.removeEventListener("abort", onAbort);
        done();
      };
      const onAbort = () => finish(() => reject(signal.reason));
      signal.addEventListener("abort", onAbort, { once: true });
      this.#sleepers.set(taskId, () => finish(resolve));
    });
  }

  forget(taskId: TaskId): void {
    this.#pending.delete(taskId);
  }
}
