import type { Health } from "./http/health.ts";
import type { Metrics } from "./metrics.ts";
import type { Watchdog } from "./watchdog.ts";

/**
 * Shows loops that stand still where an operator and his alarms look: the health component `loops`, the counter `loop_stalls_total`, the
 * gauge `stalled_loops`, and the coded error of each missed beat among the errors.
 *
 * SIDE EFFECTS: adds to `metrics` and `health`. Returns a function that stops listening to the watchdog.
 */
export function tellStalls(watchdog: Watchdog, to: { readonly metrics: Metrics; readonly health?: Health }): () => void {
  const { metrics, health } = to;
  const standing = () => watchdog.stalls().filter(({ mendedAt }) => mendedAt === undefined);
  const stalls = metrics.counter({
    name: "loop_stalls_total",
    help: "Loops that missed their beat and were started again; each shows a neighbour that never answers, or a fault.",
    labels: ["loop"],
  });
  metrics.gauge({
    name: "stalled_loops",
    help: "Loops that stand still now, although they were started again; what they owe is late.",
    read: () => standing().length,
  });
  health?.register("loops", () => {
    const names = standing().map(({ loop, of }) => (of === undefined ? loop : `${loop} ${of}`));
    if (names.length === 0) return { status: "UP" };
    return { status: "DOWN", details: { stalled: names.slice(0, 10).join(", "), count: names.length } };
  });
  return watchdog.onStall((error, { loop }) => {
    metrics.countError(error);
    stalls.increment({ loop });
  });
}
