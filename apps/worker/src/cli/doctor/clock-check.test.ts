import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { judgeClock } from "./clock-check.ts";

const MINUTE = 60_000;
const sight = (who: string, aheadMs: number) => ({ who, aheadMs });

describe("the clock", () => {
  test.each([
    ["everybody agrees", [sight("scheduler", 400), sight("node", -900)], -2_000, "PASS"],
    ["nobody answers, quiet chain", [], -10 * MINUTE, "PASS"],
    ["all others are ahead alike", [sight("scheduler", 10 * MINUTE), sight("node", 10 * MINUTE + 900)], 0, "FAIL"],
    ["all others are behind alike", [sight("scheduler", -10 * MINUTE), sight("node", -10 * MINUTE)], -12 * MINUTE, "FAIL"],
    ["one of two is off", [sight("scheduler", 10 * MINUTE), sight("node", 0)], 0, "WARN"],
    ["the others differ among themselves", [sight("scheduler", 10 * MINUTE), sight("node", -10 * MINUTE)], 0, "WARN"],
    ["a block of the future", [sight("scheduler", 0)], 2 * MINUTE, "FAIL"],
  ])("%s", (_, sights, head, verdict) => {
    expect(judgeClock(sights, head).verdict).toBe(verdict);
  });

  test("a failure always comes with what to do", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -3_600_000, max: 3_600_000 }), { maxLength: 4 }), fc.integer(), (offsets, head) => {
        const outcome = judgeClock(
          offsets.map((aheadMs, index) => sight(`server ${index}`, aheadMs)),
          head,
        );
        expect(outcome.verdict === "PASS" || outcome.fix !== undefined).toBe(true);
      }),
    );
  });
});
