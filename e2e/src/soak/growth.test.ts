import { expect, test } from "vitest";
import { growthPer100 } from "./growth.ts";

const line = (count: number, value: (tasks: number) => number) =>
  Array.from({ length: count }, (_, n) => ({ tasks: n * 5, value: value(n * 5) }));

test("the slope of a line is found, per hundred tasks", () => {
  expect(growthPer100(line(40, (tasks) => 80 + tasks * 0.03))).toBeCloseTo(3);
  expect(growthPer100(line(40, () => 80))).toBeCloseTo(0);
});

test("a saw tooth that comes back is hardly any growth", () => {
  expect(Math.abs(growthPer100(line(200, (tasks) => 80 + (tasks % 50))) ?? 99)).toBeLessThan(1);
});

test("too few samples or tasks say nothing", () => {
  expect(growthPer100(line(3, (tasks) => tasks))).toBeUndefined();
  expect(growthPer100(Array.from({ length: 50 }, () => ({ tasks: 4, value: 1 })))).toBeUndefined();
});
