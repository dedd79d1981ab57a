import { randomBytes } from "node:crypto";

/** Chance as a port, so that a run can be repeated from its seed. */
export interface Random {
  bytes(length: number): Uint8Array;
  /** Uniform in [0, 1). */
  float(): number;
}

const TWO_POW_32 = 2 ** 32;

/** Cryptographic randomness of the host. */
export const systemRandom: Random = {
  bytes: (length) => new Uint8Array(randomBytes(length)),
  float: () => randomBytes(4).readUInt32BE() / TWO_POW_32,
};

/**
 * The same sequence for the same seed: for tests and simulations, never for keys or salts.
 *
 * @source mulberry32 (public domain)
 */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
  return {
    bytes: (length) => Uint8Array.from({ length }, () => next() & 0xff),
    float: () => next() / TWO_POW_32,
  };
}
