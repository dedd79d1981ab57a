import { expect, test } from "vitest";
import { CodedError } from "./errors/coded-error.ts";
import { createMetrics } from "./metrics.ts";

test("counters, gauges and histograms appear with prefix and labels", async () => {
  const metrics = createMetrics("iexec_worker_");
  const tasks = metrics.counter({ name: "tasks_total", help: "Tasks by outcome.", labels: ["outcome"] });
  tasks.increment({ outcome: "completed" });
  tasks.add(2, { outcome: "completed" });
  metrics.gauge({ name: "stake_ratio", help: "Free stake.", read: () => 0.5 });
  metrics.histogram({ name: "compute_seconds", help: "Compute time.", buckets: [1, 2] }).observe(1.5);
  const text = await metrics.text();
  expect(text).toContain('iexec_worker_tasks_total{outcome="completed"} 3');
  expect(text).toContain("iexec_worker_stake_ratio 0.5");
  expect(text).toContain('iexec_worker_compute_seconds_bucket{le="2"} 1');
});

test("every error is counted by its code, unknown throws too", async () => {
  const metrics = createMetrics("x_");
  metrics.countError(new CodedError("SVC-1302", { path: "p" }));
  expect(metrics.countError(new TypeError("boom")).code).toBe("SVC-1000");
  const text = await metrics.text();
  expect(text).toContain('iexec_errors_total{code="SVC-1302"} 1');
  expect(text).toContain('iexec_errors_total{code="SVC-1000"} 1');
});

test("two services in one process do not share numbers", async () => {
  const [one, two] = [createMetrics("x_"), createMetrics("x_", { withProcess: true })];
  one.counter({ name: "a_total", help: "A." }).increment();
  expect(await two.text()).not.toContain("x_a_total");
  expect(await two.text()).toContain("x_process_cpu");
});

test("names without their unit are refused", () => {
  const metrics = createMetrics("x_");
  expect(() => metrics.counter({ name: "tasks", help: "A." })).toThrow(expect.objectContaining({ code: "SVC-1000" }));
  expect(() => metrics.gauge({ name: "tasks_total", help: "A." })).toThrow(expect.objectContaining({ code: "SVC-1000" }));
  expect(() => metrics.histogram({ name: "wait_ms", help: "A.", buckets: [1] })).toThrow(expect.objectContaining({ code: "SVC-1000" }));
});
