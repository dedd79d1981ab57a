import { CodedError } from "./errors/coded-error.ts";

/** The ends of the parts of something, closed in the order opposite to that in which they were added. */
export class Closers {
  readonly #planted: string | undefined;
  readonly #ends: { readonly part: string; readonly end: () => Promise<unknown> | unknown }[] = [];

  /** @param planted - for tests: `close:` and the name of a part that never ends; nothing else is of any consequence */
  constructor(planted?: string) {
    this.#planted = planted;
  }

  /** @param part - named in the error when it does not end in time */
  push(end: () => Promise<unknown> | unknown, part = "a part"): void {
    this.#ends.push({ part, end });
  }

  /**
   * Closes one after the other. When the signal aborts, a part that hangs is left behind, and the rest is closed without waiting.
   *
   * Errors: SVC-1602 naming the parts that were left behind; else what the first part that failed has thrown, once all are closed.
   */
  async close(signal?: AbortSignal): Promise<void> {
    const hurried = Promise.withResolvers<"hurried">();
    const hurry = () => hurried.resolve("hurried");
    if (signal?.aborted === true) hurry();
    signal?.addEventListener("abort", hurry, { once: true });
    const left: string[] = [];
    const failures: unknown[] = [];
    try {
      for (let next = this.#ends.pop(); next !== undefined; next = this.#ends.pop()) {
        const { part, end } = next;
        const ending = (async () => (this.#planted === `close:${part}` ? new Promise<never>(() => undefined) : end()))().then(
          () => "closed" as const,
          (thrown: unknown) => {
            failures.push(thrown);
            return "failed" as const;
          },
        );
        // One that ends at once wins, also when there is no more time.
        if ((await Promise.race([ending, hurried.promise.then(oneTurn)])) === "hurried") left.push(part);
      }
    } finally {
      signal?.removeEventListener("abort", hurry);
    }
    if (left.length > 0) throw new CodedError("SVC-1602", { part: left.join(", ") });
    if (failures.length > 0) throw failures[0];
  }
}

/** What is settled already may be heard first. */
const oneTurn = <T>(value: T): Promise<T> => new Promise((resolve) => setImmediate(() => resolve(value)));
