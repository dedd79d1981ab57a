import type { Clock } from "@iexec-ts/service";

/** A wait that an event may cut short. An event that comes while nobody waits makes the next wait return at once. */
export class Wake {
  #poked = false;
  #closed = false;
  #release: (() => void) | undefined;
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  poke(): void {
    this.#poked = true;
    this.#release?.();
  }

  /** Ends this wait and all later ones at once. */
  close(): void {
    this.#closed = true;
    this.poke();
  }

  /** Resolves after an event, or after `ms` when given. */
  async wait(ms?: number): Promise<void> {
    if (!this.#poked && !this.#closed) await this.#sleep(ms);
    this.#poked = false;
  }

  async #sleep(ms: number | undefined): Promise<void> {
    const timer = new AbortController();
    const poked = new Promise<void>((resolve) => {
      this.#release = resolve;
    });
    const waits = ms === undefined ? [poked] : [poked, this.#clock.sleep(ms, timer.signal).catch(() => undefined)];
    await Promise.race(waits);
    timer.abort();
    this.#release = undefined;
  }
}
