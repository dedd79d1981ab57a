import type { LoopOptions, Pulse, Watchdog } from "./watchdog.ts";

/** The environment of a process that a scenario hangs on purpose. */
export interface PlantedHang {
  /**
   * Which loops hang, as `loop`, or `loop#2` for its first two runs; several with commas: what IEXEC_TEST_HANG_AT says. The name is that of
   * the loop in the watchdog.
   */
  readonly at: string | undefined;
  /** The bound of the runs that hang, in milliseconds, so that nobody waits minutes for it: what IEXEC_TEST_LOOP_BOUND_MS says. */
  readonly boundMs: string | undefined;
}

/** What the scenarios' environment asks for. */
export const plantedHang = (env: NodeJS.ProcessEnv): PlantedHang => ({ at: env.IEXEC_TEST_HANG_AT, boundMs: env.IEXEC_TEST_LOOP_BOUND_MS });

/**
 * A watchdog whose named loops hang: their first runs wait for a promise that nobody settles, as a loop with a lost wake-up does. Every other
 * run keeps the bound it asked for. It is `watchdog` itself for everybody who plants nothing.
 */
export function plantHang(watchdog: Watchdog, { at, boundMs }: PlantedHang): Watchdog {
  if (at === undefined || at === "") return watchdog;
  const left = new Map<string, number>();
  for (const point of at.split(",")) {
    const [loop = "", count = "1"] = point.split("#");
    left.set(loop.trim(), Number(count));
  }
  const planted = (loop: string): boolean => (left.get(loop) ?? 0) > 0;
  return {
    ...watchdog,
    keep(options, run) {
      const { loop } = options;
      if (!planted(loop)) return watchdog.keep(options, run);
      const short: LoopOptions = { ...options, boundMs: boundMs === undefined ? options.boundMs : Number(boundMs) };
      return watchdog.keep(short, (pulse) => {
        if (planted(loop)) {
          left.set(loop, (left.get(loop) ?? 0) - 1);
          return new Promise<never>(() => undefined);
        }
        return run(withBound(pulse, options.boundMs));
      });
    },
  };
}

/** The pulse of a run that keeps its real bound in a loop that was given a short one. */
function withBound(pulse: Pulse, boundMs: number): Pulse {
  pulse.beat(boundMs);
  return { signal: pulse.signal, beat: (withinMs = 0) => pulse.beat(Math.max(boundMs, withinMs)) };
}
