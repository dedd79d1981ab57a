import { expect, test } from "vitest";
import { add, fromE2e, fromVitest, render } from "./totals.ts";

const file = (status: string, ...results: string[]) => ({ status, assertionResults: results.map((each) => ({ status: each })) });

test("vitest results are counted test by test", () => {
  const report = {
    success: false,
    testResults: [file("failed", "passed", "failed", "skipped"), file("passed", "passed", "todo", "pending")],
  };
  expect(fromVitest(report)).toEqual({ passed: 2, failed: 1, skipped: 3 });
});

test("a file that did not load is a failure, and so is a run that failed otherwise", () => {
  expect(fromVitest({ success: false, testResults: [file("failed"), file("passed", "passed")] })).toEqual({
    passed: 1,
    failed: 1,
    skipped: 0,
  });
  expect(fromVitest({ success: false, testResults: [file("passed", "passed")] })).toEqual({ passed: 1, failed: 1, skipped: 0 });
});

test.each([
  ["all passed", 0, 'progress\n{"name":"all","passed":3,"total":3}\n', { passed: 3, failed: 0, skipped: 0 }],
  ["some failed", 1, '{"passed":1,"total":3}', { passed: 1, failed: 2, skipped: 0 }],
  ["it crashed after its report", 1, '{"passed":3,"total":3}', { passed: 3, failed: 1, skipped: 0 }],
  ["it printed no report", 0, "fine\n", { passed: 0, failed: 1, skipped: 0 }],
  ["it ran nothing", 0, '{"passed":0,"total":0}', { passed: 0, failed: 1, skipped: 0 }],
  ["it printed nonsense", 0, '{"passed":4,"total":3}', { passed: 0, failed: 1, skipped: 0 }],
])("e2e: %s", (_, code, stdout, totals) => {
  expect(fromE2e({ code, stdout })).toEqual(totals);
});

test("the sum is one honest line", () => {
  expect(render(add({ passed: 1, failed: 2, skipped: 3 }, { passed: 10, failed: 20, skipped: 30 }))).toBe(
    "11 passed, 22 failed, 33 skipped",
  );
});
