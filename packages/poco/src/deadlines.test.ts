import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DEFAULT_CATEGORIES, maxExecutionMs } from "./categories.ts";
import { dealDeadlines, isOpen, revealDeadline } from "./deadlines.ts";
import { pullTimeoutMs } from "./pull-timeout.ts";
import { chainTime } from "./units.ts";

test("a GigaPlus deal of 09:27 takes contributions until 16:27 and must be final by 19:27", () => {
  const { contribution, final } = dealDeadlines(chainTime(34_020n), 3_600n);
  expect(contribution).toBe(59_220n);
  expect(final).toBe(70_020n);
});

test("a block at the deadline itself is too late", () => {
  expect(isOpen(chainTime(100n), chainTime(99n))).toBe(true);
  expect(isOpen(chainTime(100n), chainTime(100n))).toBe(false);
});

test("a reveal opened by the last possible contribution still ends before the final deadline", () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 1n, max: 2n ** 40n }), fc.bigInt({ min: 1n, max: 100_000n }), (start, period) => {
      const { contribution, final } = dealDeadlines(chainTime(start), period);
      expect(revealDeadline(chainTime(contribution - 1n), period)).toBeLessThan(final);
    }),
  );
});

test("categories", () => {
  expect(DEFAULT_CATEGORIES.map(({ id, name, period }) => [Number(id), name, maxExecutionMs(period)])).toEqual([
    [0, "XS", 300_000],
    [1, "S", 1_200_000],
    [2, "M", 3_600_000],
    [3, "L", 10_800_000],
    [4, "XL", 36_000_000],
  ]);
});

describe("pull timeout", () => {
  test("in true minutes: XS 5, S 5, M 8, L 13, XL 18", () => {
    expect(DEFAULT_CATEGORIES.map(({ period }) => pullTimeoutMs(period) / 60_000)).toEqual([5, 5, 8, 13, 18]);
  });

  test("bounds are kept, and the maximum wins", () => {
    expect(pullTimeoutMs(36_000n, { minMinutes: 1, maxMinutes: 10 })).toBe(600_000);
    expect(pullTimeoutMs(300n, { minMinutes: 20, maxMinutes: 10 })).toBe(600_000);
    expect(pullTimeoutMs(0n)).toBe(300_000);
  });
});
