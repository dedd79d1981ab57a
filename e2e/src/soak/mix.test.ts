import { seededRandom } from "@iexec-ts/service";
import { expect, test } from "vitest";
import { KINDS, type Kind, mix } from "./mix.ts";

const SEEDS = [0, 1, 7, 4_294_967_295];

function bought(seed: number, tasks: number): ReadonlyMap<Kind, number> {
  const counts = new Map<Kind, number>();
  let sum = 0;
  for (const { kind, volume } of mix(seededRandom(seed))) {
    counts.set(kind, (counts.get(kind) ?? 0) + volume);
    sum += volume;
    if (sum >= tasks) return counts;
  }
  return counts;
}

test("the first round holds every kind, whatever the seed", () => {
  for (const seed of SEEDS) expect([...bought(seed, 31).keys()].sort()).toEqual([...KINDS].sort());
});

test("most tasks are plain, and one in sixty is large", () => {
  for (const seed of SEEDS) {
    const counts = bought(seed, 610);
    expect(counts.get("plain")).toBeGreaterThan(400);
    expect(counts.get("large")).toBe(10);
  }
});

test("a seed buys the same again", () => {
  const first = mix(seededRandom(5));
  const second = mix(seededRandom(5));
  for (let n = 0; n < 100; n += 1) expect(first.next()).toEqual(second.next());
});
