import type { Health } from "./http/health.ts";
import type { Metrics } from "./metrics.ts";
import type { Stall, Watchdog } from "./watchdog.ts";

const SHOWN = 10;

const nameOf = ({ loop, of }: Pick<Stall, "loop" | "of">): string => (of === undefined ? loop : `${loop} ${of}`);

/**
 * Shows loops that stand still where an operator and his alarms look: the health component `loops`, the counter `loop_stalls_total`, the
 * gauge `stalled_loops`, and the coded error of each missed beat among the errors.
 *
 * @param to.loops - loops that are shown as zero before they ever stood still: a rate needs the zero before the first
 * SIDE EFFECTS: adds to `metrics` and `health`. Returns a function that stops listening to the watchdog.
 */
export function tellStalls(
  watchdog: Pick<Watchdog, "stalls" | "onStall">,
  to: { readonly metrics: Metrics; readonly health?: Health; readonly loops?: readonly string[] },
): () => void {
  const { metrics, health, loops = [] } = to;
  const standing = () => watchdog.stalls().filter(({ mendedAt }) => mendedAt === undefined);
  const stalls = metrics.counter({
    name: "loop_stalls_total",
    help: "Loops that missed their beat and were started again; each shows a neighbour that never answers, or a fault.",
    labels: ["loop"],
  });
  for (const loop of loops) stalls.add(0, { loop });
  metrics.gauge({
    name: "stalled_loops",
    help: "Loops that stand still now, although they were started again; what they owe is late.",
    read: () => standing().length,
  });
  health?.register("loops", () => {
    const names = standing().map(nameOf);
    const [last] = watchdog.stalls();
    const details = last === undefined ? {} : { details: { last: `${nameOf(last)}, ${last.since.toISOString()}` } };
    if (names.length === 0) return { status: "UP", ...details };
    return { status: "DOWN", details: { ...details.details, stalled: names.slice(0, SHOWN).join(", "), count: names.length } };
  });
  return watchdog.onStall((error, { loop }) => {
    metrics.countError(error);
    stalls.increment({ loop });
  });
}
