import { expect, test } from "vitest";
import { figure, keeps, quantile } from "./figure.ts";

test("quantiles are samples, not interpolations", () => {
  const samples = [5, 1, 4, 2, 3];
  expect([quantile(samples, 0), quantile(samples, 0.5), quantile(samples, 0.99), quantile(samples, 1)]).toEqual([1, 3, 5, 5]);
});

test("a figure says whether it keeps its target", () => {
  expect(keeps(figure([1, 2, 3], "ms", { max: 2 }))).toBe(true);
  expect(keeps(figure([1, 2, 3], "ms", { max: 2 }, 3))).toBe(false);
  expect(keeps(figure([0.9], "ratio", { min: 0.8 }))).toBe(true);
  expect(keeps(figure([0.7], "ratio", { min: 0.8 }))).toBe(false);
  expect(keeps(figure([7], "MiB"))).toBe(true);
});
