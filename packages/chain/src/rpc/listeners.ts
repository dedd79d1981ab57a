import type { Clock } from "@iexec-ts/service";

/** A list of callbacks. One that throws is a bug: it surfaces as an uncaught error and does not disturb the others. */
export class Listeners<T> {
  readonly #all = new Set<(value: T) => void>();

  add(listener: (value: T) => void): () => void {
    this.#all.add(listener);
    return () => {
      this.#all.delete(listener);
    };
  }

  emit(value: T): void {
    for (const listener of [...this.#all]) {
      try {
        listener(value);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }

  /** True at the next event, false after `ms`; rejects with the signal's reason. */
  next(ms: number, clock: Clock, signal: AbortSignal): Promise<boolean> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      const timer = new AbortController();
      const end = () => {
        remove();
        signal.removeEventListener("abort", abort);
        timer.abort();
      };
      const abort = () => {
        end();
        reject(signal.reason);
      };
      const remove = this.add(() => {
        end();
        resolve(true);
      });
      signal.addEventListener("abort", abort, { once: true });
      clock.sleep(ms, timer.signal).then(
        () => {
          end();
          resolve(false);
        },
        () => undefined,
      );
    });
  }
}
