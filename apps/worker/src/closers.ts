import { type Clock, CodedError, type Logger, openScope, orAborted } from "@iexec-ts/service";

/** What one part may take to end, in milliseconds. */
const PART_MS = 8_000;

/**
 * What was started and has to end again, the last first, each within its time: a part that hangs is named and left behind, and does not keep
 * the others from ending.
 */
export class Closers {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #parts: { readonly part: string; readonly end: () => Promise<void> | void }[] = [];

  constructor({ clock, log }: { readonly clock: Clock; readonly log: Logger }) {
    this.#clock = clock;
    this.#log = log;
  }

  /** @param part - what it is, for the log */
  add(part: string, end: () => Promise<void> | void): void {
    this.#parts.push({ part, end });
  }

  /** SIDE EFFECTS: ends every part. Never rejects. */
  async close(): Promise<void> {
    for (let next = this.#parts.pop(); next !== undefined; next = this.#parts.pop()) {
      const { part, end } = next;
      using limit = openScope([], { ms: PART_MS, clock: this.#clock });
      try {
        await orAborted(Promise.resolve().then(end), limit.signal);
      } catch (thrown) {
        const record = limit.signal.aborted ? { part, ms: PART_MS } : { part, error: CodedError.from(thrown) };
        this.#log.warn(limit.signal.aborted ? "a part did not end in time and is left behind" : "a part did not end well", record);
      }
    }
  }
}
