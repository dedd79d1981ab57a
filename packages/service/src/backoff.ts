import type { Random } from "./random.ts";

export interface BackoffOptions {
  readonly baseMs: number;
  readonly maxMs: number;
  /** How much longer each wait may be than the one before; 2 unless told. */
  readonly factor?: number;
}

export interface Backoff {
  /** How long to wait before the next attempt, in milliseconds; grows with each call. */
  nextMs(): number;
  /** Calls of `nextMs` since the last `reset`. */
  readonly attempts: number;
  /** After a success. */
  reset(): void;
}

/**
 * Growing waits with jitter: each is between half and all of its ceiling, so that many clients of one broken peer do not return together.
 */
export function backoff({ baseMs, maxMs, factor = 2 }: BackoffOptions, random: Random): Backoff {
  let attempts = 0;
  return {
    nextMs() {
      const ceiling = Math.min(maxMs, baseMs * factor ** attempts);
      attempts += 1;
      return Math.round(ceiling / 2 + (random.float() * ceiling) / 2);
    },
    get attempts() {
      return attempts;
    },
    reset() {
      attempts = 0;
    },
  };
}
