/**
 * PCG-like generator on 32-bit integers: the same numbers on every machine and engine.
 * Each pixel gets its own stream, so that the order of rendering does not matter.
 */
export class Random {
  #state: number;

  constructor(seed: number, stream: number) {
    this.#state = mix(seed ^ mix(stream + 0x9e3779b9));
    this.next();
  }

  /** From 0 up to but not including 1, in steps of 2^-24. */
  next(): number {
    this.#state = (Math.imul(this.#state, 747796405) + 2891336453) | 0;
    const word = Math.imul((this.#state >>> ((this.#state >>> 28) + 4)) ^ this.#state, 277803737);
    return (((word >>> 22) ^ word) >>> 8) / 16777216;
  }
}

function mix(value: number): number {
  let v = value | 0;
  v = Math.imul(v ^ (v >>> 16), 0x7feb352d);
  v = Math.imul(v ^ (v >>> 15), 0x846ca68b);
  return v ^ (v >>> 16);
}
