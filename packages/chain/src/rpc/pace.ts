import type { Head } from "../api.ts";

const MIN_MS = 50;
const MAX_MS = 2_000;
const MAX_LOCAL_MS = 250;
const LOOKS_PER_BLOCK = 4;
const SAFETY_FACTOR = 4;
const SAFETY_LOCAL_MS = 2_000;
const SAFETY_MIN_MS = 1_000;
const SMOOTHING = 0.2;

/** How often to ask for the newest block, from how often there is one. */
export class Pace {
  #blockMs: number | undefined;
  #last: { readonly number: bigint; readonly atMs: number } | undefined;
  readonly #fixedMs: number | undefined;

  constructor(fixedMs: number | undefined) {
    this.#fixedMs = fixedMs;
  }

  /** Milliseconds between blocks, as observed; undefined before the second block. */
  get blockMs(): number | undefined {
    return this.#blockMs;
  }

  note(head: Head, atMs: number): void {
    const last = this.#last;
    this.#last = { number: head.number, atMs };
    if (last === undefined || head.number <= last.number) return;
    const each = (atMs - last.atMs) / Number(head.number - last.number);
    this.#blockMs = this.#blockMs === undefined ? each : this.#blockMs * (1 - SMOOTHING) + each * SMOOTHING;
  }

  /** Milliseconds until the next look. `announced`: the node tells us of new blocks, looking is only a safety net. */
  nextMs(options: { readonly local: boolean; readonly announced: boolean }): number {
    if (this.#fixedMs !== undefined) return this.#fixedMs;
    const most = options.local ? MAX_LOCAL_MS : MAX_MS;
    const polling = Math.min(most, Math.max(MIN_MS, (this.#blockMs ?? most) / LOOKS_PER_BLOCK));
    if (!options.announced) return polling;
    return options.local ? SAFETY_LOCAL_MS : Math.max(SAFETY_MIN_MS, polling * SAFETY_FACTOR);
  }
}
