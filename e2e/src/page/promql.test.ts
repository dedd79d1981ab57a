import { expect, test } from "vitest";
import { registryOf, selectorsOf } from "./promql.ts";

test("selectors come with the labels they and their groups name", () => {
  expect(selectorsOf('sum by (code) (rate(x{a="b"}[5m])) > 2 or y')).toEqual([
    { metric: "x", labels: ["a", "code"] },
    { metric: "y", labels: ["code"] },
  ]);
});

test.each(["sum by (a (b)", "x{a=}", "rate(x[5m", "x >"])("%s is no PromQL", (expr) => {
  expect(() => selectorsOf(expr)).toThrow("no PromQL");
});

test("a scrape names what it declares and what it holds", () => {
  const registry = registryOf('# HELP a A.\n# TYPE a histogram\n# TYPE b gauge\na_bucket{le="1",route="/"} 2\nb{state="up"} 1\n');
  expect([...registry.keys()]).toEqual(["a", "a_bucket", "a_sum", "a_count", "b"]);
  expect(registry.get("a_bucket")).toEqual(new Set(["le", "route"]));
});
