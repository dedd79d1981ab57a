import { openScope } from "@iexec-ts/service";
import type { Scenario, ScenarioSet } from "../scenario.ts";
import { ESCAPE_CASES } from "./cases-escape.ts";
import { INPUT_CASES } from "./cases-inputs.ts";
import { OUTPUT_CASES } from "./cases-output.ts";
import { RESOURCE_CASES } from "./cases-resources.ts";
import { type Lane, openLane, type Runtime } from "./lane.ts";
import { type HostileCase, undergo } from "./ordeal.ts";

const RUNTIMES: readonly Runtime[] = ["runc", "runsc"];
const CASES = [...RESOURCE_CASES, ...ESCAPE_CASES, ...OUTPUT_CASES, ...INPUT_CASES].sort((a, b) => (a.id < b.id ? -1 : 1));
const CASE_MS = 420_000;

/** One network for each runtime, opened when first asked for; a case runs on both at once, since each has its own worker. */
class Arena {
  readonly #signal: AbortSignal;
  readonly #lanes = new Map<Runtime, Promise<Lane>>();
  readonly #fights = new Map<string, Promise<string>>();

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  outcome(hostile: HostileCase, runtime: Runtime): Promise<string> {
    for (const each of RUNTIMES) this.#fight(hostile, each);
    return this.#fight(hostile, runtime);
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#fights.values());
    for (const lane of await Promise.allSettled(this.#lanes.values())) if (lane.status === "fulfilled") await lane.value.close();
  }

  #fight(hostile: HostileCase, runtime: Runtime): Promise<string> {
    const name = `${hostile.id}-${runtime}`;
    const known = this.#fights.get(name);
    if (known !== undefined) return known;
    const lane = this.#lanes.get(runtime) ?? openLane(runtime, this.#signal);
    this.#lanes.set(runtime, lane);
    const fight = lane.then(async (ready) => {
      using limit = openScope([this.#signal], { ms: CASE_MS });
      return await undergo(ready, hostile, limit.signal);
    });
    fight.catch(() => undefined);
    this.#fights.set(name, fight);
    return fight;
  }
}

const scenarioOf = (hostile: HostileCase, runtime: Runtime): Scenario<Arena> => ({
  id: `${hostile.id}-${runtime}`,
  short: hostile.short === true,
  // A case has its own limit; this one also covers the opening of both networks.
  timeoutMs: CASE_MS + 120_000,
  run: async (arena) => `${hostile.title}: ${await arena.outcome(hostile, runtime)}`,
});

/**
 * Hostile images and inputs H01 to H26, each under runc and under gVisor, through a real worker from deal to end. Each is contained with a
 * coded reason; the host, a task beside it and the worker are unharmed, the page answers within a second, the next task is done.
 *
 * @source compute.md 6.7
 */
export const hostileSet: ScenarioSet<Arena> = {
  name: "hostile",
  summary: "hostile apps and inputs H01 to H26, under runc and under gVisor",
  async open(signal) {
    const arena = new Arena(signal);
    return { context: arena, close: () => arena.close() };
  },
  scenarios: CASES.flatMap((hostile) => RUNTIMES.map((runtime) => scenarioOf(hostile, runtime))),
};
