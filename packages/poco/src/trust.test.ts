import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Address } from "./structs.ts";
import { emptyTally, isConsensus, needsMore, replicatesNeeded, tallyContribution, tallyOf, tallyReopen, workerWeight } from "./trust.ts";

const A = `0x${"aa".repeat(32)}` as const;
const B = `0x${"bb".repeat(32)}` as const;
const worker = (n: number): Address => `0x${n.toString(16).padStart(40, "0")}`;
const says = (n: number, resultHash: `0x${string}`, weight = 2n) => ({ worker: worker(n), resultHash, weight });

describe("weights", () => {
  test.each([
    [0n, 2n],
    [11n, 2n],
    [12n, 3n],
    [15n, 4n],
    [30n, 9n],
    [100n, 32n],
    [300n, 99n],
    [1000n, 332n],
  ])("score %s weighs %s", (score, weight) => {
    expect(workerWeight(score)).toBe(weight);
  });
});

describe("consensus (chain.md 9)", () => {
  test.each([
    [0n, 1],
    [1n, 1],
    [2n, 1],
    [3n, 2],
    [4n, 2],
    [5n, 3],
    [6n, 3],
    [9n, 4],
    [10n, 4],
    [17n, 5],
    [18n, 5],
    [100n, 7],
    [1000n, 10],
  ])("trust %s takes %s agreeing workers of weight 2", (trust, workers) => {
    expect(replicatesNeeded(trust)).toBe(workers);
    const tally = tallyOf(
      trust,
      Array.from({ length: workers }, (_, n) => says(n, A)),
    );
    expect(tally.consensus).toBe(A);
    expect(tallyOf(trust, tally.contributors.slice(1)).consensus).toBeUndefined();
  });

  test("one dissenter at trust 5 costs one more agreeing worker", () => {
    const three = tallyOf(5n, [says(1, B), says(2, A), says(3, A), says(4, A)]);
    expect(three.consensus).toBeUndefined();
    expect(tallyContribution(three, says(5, A)).consensus).toBe(A);
  });

  test("only the hash being contributed can reach consensus", () => {
    const tally = { ...emptyTally(1n), groups: new Map([[A, 1_000n]]), total: 1_001n, trust: 3n };
    expect(tallyContribution(tally, says(9, B)).consensus).toBeUndefined();
  });

  test("after consensus, and twice from one worker, nothing changes", () => {
    const done = tallyOf(1n, [says(1, A)]);
    expect(tallyContribution(done, says(2, B))).toBe(done);
    const open = tallyOf(100n, [says(1, A)]);
    expect(tallyContribution(open, says(1, A))).toBe(open);
  });

  test("a reopening forgets the group that won, and its members cannot come back", () => {
    const won = tallyOf(5n, [says(1, B), says(2, A), says(3, A), says(4, A), says(5, A)]);
    const open = tallyReopen(won);
    expect([open.consensus, open.groups.get(A), open.groups.get(B), open.total]).toEqual([undefined, 0n, 2n, 3n]);
    expect(tallyContribution(open, says(2, A))).toBe(open);
    expect(tallyContribution(open, says(6, B)).groups.get(B)).toBe(4n);
    expect(tallyReopen(open)).toBe(open);
  });

  test("the total is 1 plus the groups, whatever the order", () => {
    const contribution = fc.record({ hash: fc.constantFrom(A, B), weight: fc.bigInt({ min: 2n, max: 400n }) });
    fc.assert(
      fc.property(fc.array(contribution, { maxLength: 12 }), (list) => {
        const tally = tallyOf(
          10n ** 40n,
          list.map(({ hash, weight }, n) => says(n, hash, weight)),
        );
        expect(tally.total).toBe([...tally.groups.values()].reduce((sum, group) => sum + group, 1n));
      }),
    );
  });
});

describe("needsMore (wire.md 6.4)", () => {
  const state = (contributed: Record<string, bigint[]>, pendingWeights: bigint[], trust: bigint) => ({
    contributed: new Map(Object.entries(contributed).map(([hash, weights]) => [`0x${hash}` as const, weights] as const)),
    pendingWeights,
    trust,
  });

  test("a new task wants its first replicate, even at trust 0", () => {
    expect(needsMore(state({}, [], 0n))).toBe(true);
    expect(needsMore(state({}, [2n], 0n))).toBe(false);
  });

  test.each([1n, 2n, 3n, 4n, 5n, 8n, 9n, 16n, 100n, 1000n])("at trust %s it stops at the number of workers that agree", (trust) => {
    const wanted = replicatesNeeded(trust);
    const pending: bigint[] = [];
    while (needsMore(state({}, pending, trust))) pending.push(2n);
    expect(pending).toHaveLength(wanted);
  });

  test("pending workers count with the best group, the others against it", () => {
    expect(needsMore(state({ aa: [2n, 2n], bb: [2n] }, [2n], 5n))).toBe(true);
    expect(needsMore(state({ aa: [2n, 2n], bb: [2n] }, [2n, 2n], 5n))).toBe(false);
  });

  test("a weight of 0 is not counted", () => {
    expect(needsMore(state({ aa: [2n, 0n] }, [0n], 3n))).toBe(needsMore(state({ aa: [2n] }, [], 3n)));
  });

  test("more pending weight never makes more replicates wanted, and many workers do not overflow", () => {
    fc.assert(
      fc.property(
        fc.array(fc.bigInt({ min: 2n, max: 400n }), { maxLength: 60 }),
        fc.bigInt({ min: 0n, max: 10n ** 9n }),
        (weights, trust) => {
          if (!needsMore(state({}, weights, trust))) expect(needsMore(state({}, [...weights, 2n], trust))).toBe(false);
        },
      ),
    );
    expect(needsMore(state({ aa: Array(64).fill(2n) }, [], 10n ** 9n))).toBe(false);
  });
});

test("isConsensus is the contract's inequality", () => {
  fc.assert(
    fc.property(fc.bigInt(0n, 10n ** 12n), fc.bigInt(0n, 10n ** 12n), fc.bigInt(1n, 10n ** 6n), (group, rest, trust) => {
      const total = 1n + group + rest;
      expect(isConsensus(group, total, trust)).toBe(group * trust > total * (trust - 1n));
    }),
  );
});
