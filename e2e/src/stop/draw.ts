import { randomInt } from "node:crypto";

/** Numbers that a seed decides, so that a run that failed can be made again. */
export interface Draw {
  readonly seed: number;
  /** A whole number from 0 to `limit` - 1. */
  below(limit: number): number;
}

/** @param seed - that of an earlier run; drawn unless told. @source mulberry32, public domain */
export function drawFrom(seed = randomInt(2 ** 31)): Draw {
  let state = seed;
  return {
    seed,
    below(limit) {
      state = (state + 0x6d2b79f5) | 0;
      let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
      mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
      return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit);
    },
  };
}
