import { CodedError, type Logger } from "@iexec-ts/service";

/** Who wants to hear of one kind of event. A listener that throws is reported and disturbs neither the others nor the sender. */
export class Listeners<T> {
  readonly #listeners = new Set<(event: T) => void>();
  readonly #logger: Logger | undefined;

  constructor(logger: Logger | undefined) {
    this.#logger = logger;
  }

  /** Returns how to stop listening. */
  add(listener: (event: T) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  tell(event: T): void {
    for (const listener of [...this.#listeners]) {
      try {
        listener(event);
      } catch (thrown) {
        this.#logger?.error("a listener of the scheduler link failed", { error: CodedError.from(thrown) });
      }
    }
  }
}
