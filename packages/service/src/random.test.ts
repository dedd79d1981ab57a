import fc from "fast-check";
import { expect, test } from "vitest";
import { backoff } from "./backoff.ts";
import { freePort } from "./free-port.ts";
import { seededRandom, systemRandom } from "./random.ts";

test("the same seed gives the same sequence, another seed another", () => {
  const take = (seed: number) => {
    const random = seededRandom(seed);
    return [random.float(), ...random.bytes(8)];
  };
  expect(take(7)).toEqual(take(7));
  expect(take(7)).not.toEqual(take(8));
});

test.each([
  ["system", systemRandom],
  ["seeded", seededRandom(1)],
])("%s floats are in [0, 1) and bytes have their length", (_, random) => {
  for (let i = 0; i < 1_000; i++) {
    const float = random.float();
    expect(float).toBeGreaterThanOrEqual(0);
    expect(float).toBeLessThan(1);
  }
  expect(random.bytes(33)).toHaveLength(33);
});

test("waits grow between half and all of their ceiling and never pass the maximum", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5_000 }), fc.integer({ min: 1, max: 100_000 }), fc.integer(), (baseMs, maxMs, seed) => {
      const waits = backoff({ baseMs, maxMs, factor: 3 }, seededRandom(seed));
      for (let attempt = 0; attempt < 50; attempt++) {
        const ceiling = Math.min(maxMs, baseMs * 3 ** attempt);
        const wait = waits.nextMs();
        expect(wait).toBeGreaterThanOrEqual(Math.floor(ceiling / 2));
        expect(wait).toBeLessThanOrEqual(Math.ceil(ceiling));
      }
    }),
  );
});

test("a reset starts again from the base", () => {
  const waits = backoff({ baseMs: 100, maxMs: 10_000 }, seededRandom(3));
  for (let i = 0; i < 8; i++) waits.nextMs();
  expect(waits.attempts).toBe(8);
  waits.reset();
  expect(waits.nextMs()).toBeLessThanOrEqual(100);
});

test("a free port is a port", async () => {
  const port = await freePort();
  expect(port).toBeGreaterThan(0);
  expect(port).toBeLessThan(65_536);
});
