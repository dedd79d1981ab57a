import { type Clock, systemClock } from "./clock.ts";
import { CodedError } from "./errors/coded-error.ts";
import { openScope, orAborted } from "./scope.ts";

const PART_MS = 8_000;

export interface ClosersOptions {
  readonly clock?: Clock;
  /** What one part may take to end, in milliseconds. @default 8000 */
  readonly partMs?: number;
  /** For tests: `close:` and the name of a part that never ends; nothing else is of any consequence. */
  readonly hangAt?: string | undefined;
}

/** The ends of the parts of something, closed in the order opposite to that in which they were added. */
export class Closers {
  readonly #options: ClosersOptions;
  readonly #ends: { readonly part: string; readonly end: () => Promise<unknown> | unknown }[] = [];

  constructor(options: ClosersOptions = {}) {
    this.#options = options;
  }

  /** @param part - named in the error when it does not end in time */
  add(part: string, end: () => Promise<unknown> | unknown): void {
    this.#ends.push({ part, end });
  }

  /**
   * Closes one after the other, each within its time. A part that hangs is left behind; once the signal aborts, the rest is closed without
   * waiting.
   *
   * Errors: SVC-1602 naming the parts that were left behind; else what the first part that failed has thrown, once all are closed.
   */
  async close(signal?: AbortSignal): Promise<void> {
    const { clock = systemClock, partMs = PART_MS, hangAt } = this.#options;
    const left: string[] = [];
    const failures: unknown[] = [];
    for (let next = this.#ends.pop(); next !== undefined; next = this.#ends.pop()) {
      const { part, end } = next;
      const ending = (async () => (hangAt === `close:${part}` ? new Promise<never>(() => undefined) : end()))().catch((thrown: unknown) => {
        failures.push(thrown);
      });
      using limit = openScope([signal], { ms: partMs, clock });
      // What ends at once has ended, also when there is no more time.
      const late = orAborted(new Promise<never>(() => undefined), limit.signal).catch(oneTurn);
      if ((await Promise.race([ending.then(() => "closed" as const), late.then(() => "left" as const)])) === "left") left.push(part);
    }
    if (left.length > 0) throw new CodedError("SVC-1602", { part: left.join(", ") });
    if (failures.length > 0) throw failures[0];
  }
}

/** What is settled already may be heard first. */
const oneTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
