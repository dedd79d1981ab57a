import { afterEach, expect, test } from "vitest";
import { countErrors } from "./count-errors.ts";
import { createHealth } from "./http/health.ts";
import { createLogger } from "./logger.ts";
import { createMetrics } from "./metrics.ts";
import { tellStalls } from "./tell-stalls.ts";
import { createWatchdog, type Watchdog } from "./watchdog.ts";

let stop = new AbortController();
afterEach(() => {
  stop.abort();
  stop = new AbortController();
});

/** A loop that hangs until it has been started again so often. */
function hanging(watchdog: Watchdog, runs: number): Promise<void> {
  let run = 0;
  return watchdog.keep({ loop: "calls", of: "pool", boundMs: 30, signal: stop.signal }, async (pulse) => {
    run += 1;
    if (run <= runs) await new Promise<never>(() => undefined);
    pulse.beat();
  });
}

test("a loop that stands still is told by health and metrics, and afterwards that it was so", async () => {
  const watchdog = createWatchdog({ graceMs: 10 });
  const [health, metrics] = [createHealth(), createMetrics("test_")];
  tellStalls(watchdog, { metrics, health });
  expect((await health.report()).components.loops).toEqual({ status: "UP" });
  const first = new Promise<void>((resolve) => watchdog.onStall(() => resolve()));
  const kept = hanging(watchdog, 2);
  await first;
  const { loops } = (await health.report()).components;
  expect([loops?.status, loops?.details?.stalled, loops?.details?.count]).toEqual(["DOWN", "calls pool", 1]);
  expect(await metrics.text()).toContain("test_stalled_loops 1");
  await kept;
  const after = (await health.report()).components.loops;
  expect([after?.status, String(after?.details?.last).startsWith("calls pool")]).toEqual(["UP", true]);
  const text = await metrics.text();
  for (const line of ['test_loop_stalls_total{loop="calls"} 2', "test_stalled_loops 0", 'iexec_errors_total{code="SVC-1501"} 2'])
    expect(text).toContain(line);
});

test("a stall counts once, also when the watchdog's own logger counts what is logged", async () => {
  const metrics = createMetrics("test_");
  const watchdog = createWatchdog({ graceMs: 10, log: countErrors(createLogger({ level: "silent" }), metrics) });
  tellStalls(watchdog, { metrics });
  await hanging(watchdog, 1);
  expect(await metrics.text()).toContain('iexec_errors_total{code="SVC-1501"} 1');
});
