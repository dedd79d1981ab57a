import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  dealCost,
  distributeRewards,
  distributeSingle,
  KITTY_MIN,
  kittyShare,
  rewardWeight,
  schedulerStake,
  scoreAfter,
  workerStake,
} from "./money.ts";
import type { Address } from "./structs.ts";
import { tallyOf, workerWeight } from "./trust.ts";
import { nanoRlc } from "./units.ts";

const RLC = 1_000_000_000n;
const worker = (n: number): Address => `0x${n.toString(16).padStart(40, "0")}`;
const [W1, W2, W3] = [worker(1), worker(2), worker(3)];

describe("the golden example (chain.md 8.4)", () => {
  const price = nanoRlc(20n * RLC);
  const stake = workerStake(price, 35n);
  const scores = { w1: 12n, w2: 100n, w3: 300n };
  const hash = (answer: number) => `0x${answer.toString(16).padStart(64, "0")}` as const;
  const contributions = [
    { worker: W1, resultHash: hash(17), weight: workerWeight(scores.w1) },
    { worker: W2, resultHash: hash(42), weight: workerWeight(scores.w2) },
    { worker: W3, resultHash: hash(42), weight: workerWeight(scores.w3) },
  ];

  test("locks", () => {
    expect(dealCost({ app: nanoRlc(0n), dataset: nanoRlc(RLC), workerpool: price }, 1n)).toBe(21n * RLC);
    expect(schedulerStake(price)).toBe(6n * RLC);
    expect(stake).toBe(7n * RLC);
  });

  test("consensus comes with the third contribution", () => {
    expect(tallyOf(100n, contributions.slice(0, 2)).consensus).toBeUndefined();
    expect(tallyOf(100n, contributions).consensus).toBe(hash(42));
  });

  test("rewards to the last nRLC", () => {
    const paid = contributions.map(({ worker: who, weight }) => ({ worker: who, proved: who !== W1, weight: rewardWeight(weight) }));
    const { rewards, seized, scheduler } = distributeRewards(paid, {
      workerpoolPrice: price,
      workerStake: stake,
      schedulerRewardRatio: 5n,
    });
    expect(seized).toEqual(new Map([[W1, 7n * RLC]]));
    expect(rewards).toEqual(
      new Map([
        [W2, 11_659_090_909n],
        [W3, 13_990_909_090n],
      ]),
    );
    expect(scheduler).toBe(1_350_000_001n);
  });

  test("scores", () => {
    expect(scoreAfter(scores.w1, false, 3)).toBe(8n);
    expect(scoreAfter(scores.w2, true, 3)).toBe(101n);
    expect(scoreAfter(scores.w3, true, 3)).toBe(301n);
  });
});

test("one worker: price 1000, policy 35/5", () => {
  const stake = workerStake(nanoRlc(1000n), 35n);
  const { rewards, scheduler } = distributeRewards([{ worker: W1, proved: true, weight: 1n }], {
    workerpoolPrice: nanoRlc(1000n),
    workerStake: stake,
    schedulerRewardRatio: 5n,
  });
  expect([stake, rewards.get(W1), scheduler]).toEqual([350n, 950n, 50n]);
  expect(scoreAfter(0n, true, 1)).toBe(0n);
});

test("four right, one wrong: price 10000", () => {
  const paid = [1, 2, 3, 4, 5].map((n) => ({ worker: worker(n), proved: n < 5, weight: 1n }));
  const { rewards, scheduler } = distributeRewards(paid, {
    workerpoolPrice: nanoRlc(10_000n),
    workerStake: nanoRlc(3_500n),
    schedulerRewardRatio: 5n,
  });
  expect([rewards.get(W1), scheduler]).toEqual([3206n, 676n]);
});

test("contributeAndFinalize shares the price", () => {
  expect(distributeSingle(nanoRlc(1001n), 5n)).toEqual({ worker: 950n, scheduler: 51n });
});

test("kitty", () => {
  expect(kittyShare(nanoRlc(0n))).toBe(0n);
  expect(kittyShare(nanoRlc(300n))).toBe(300n);
  expect(kittyShare(nanoRlc(5n * RLC))).toBe(KITTY_MIN);
  expect(kittyShare(nanoRlc(100n * RLC))).toBe(10n * RLC);
});

test.each([
  [0n, 0n],
  [1n, 0n],
  [2n, 1n],
  [3n, 1n],
  [32n, 5n],
  [99n, 6n],
])("a weight of %s is paid by %s", (weight, paid) => {
  expect(rewardWeight(weight)).toBe(paid);
});

test("nothing is made and nothing is lost", () => {
  const contribution = fc.record({ proved: fc.boolean(), weight: fc.bigInt(1n, 10n) });
  fc.assert(
    fc.property(
      fc.array(contribution, { maxLength: 8 }),
      fc.bigInt(0n, 10n ** 15n),
      fc.bigInt(0n, 100n),
      fc.bigInt(0n, 100n),
      (list, price, stakeRatio, schedulerRewardRatio) => {
        const stake = workerStake(nanoRlc(price), stakeRatio);
        const deal = { workerpoolPrice: nanoRlc(price), workerStake: stake, schedulerRewardRatio };
        const { rewards, seized, scheduler } = distributeRewards(
          list.map((entry, n) => ({ worker: worker(n), ...entry })),
          deal,
        );
        const sum = (values: Iterable<bigint>) => [...values].reduce((total, value) => total + value, 0n);
        expect(sum(rewards.values()) + scheduler).toBe(price + sum(seized.values()));
        expect(scheduler >= 0n).toBe(true);
      },
    ),
  );
});

test("scores never fall below zero and only grow by one", () => {
  fc.assert(
    fc.property(fc.bigInt(0n, 10n ** 6n), fc.boolean(), fc.integer({ min: 1, max: 9 }), (score, proved, contributors) => {
      const after = scoreAfter(score, proved, contributors);
      expect(after >= 0n && after <= score + 1n).toBe(true);
    }),
  );
});
