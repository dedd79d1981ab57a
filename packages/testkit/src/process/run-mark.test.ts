import { expect, test } from "vitest";
import { isOfRun, markInside, RUN_MARK } from "./run-mark.ts";

test("what a run inside a run starts belongs to both, and to no other", () => {
  const inner = `${RUN_MARK}=${markInside(markInside(undefined, "outer"), "inner")}`;
  expect(isOfRun(inner, "outer")).toBe(true);
  expect(isOfRun(inner, "inner")).toBe(true);
  expect(isOfRun(inner, "inn")).toBe(false);
  expect(isOfRun(`${RUN_MARK}=outer`, "inner")).toBe(false);
  expect(isOfRun("WORDS=outer/inner", "outer")).toBe(false);
});
