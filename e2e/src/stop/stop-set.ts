import type { ScenarioSet } from "../scenario.ts";
import { type Draw, drawFrom } from "./draw.ts";
import { RUN_CASES } from "./run-cases.ts";
import { SERVICE_CASES } from "./service-cases.ts";

/** Whatever we start, ends: commands, told to end at any moment in any way. SEED= repeats a run. */
export const stopSet: ScenarioSet<Draw> = {
  name: "stop",
  summary: "every command is ended at moments drawn by a seed: nothing of it stays",
  async open() {
    const draw = drawFrom(process.env.SEED === undefined ? undefined : Number(process.env.SEED));
    process.stderr.write(`stop: SEED=${draw.seed}\n`);
    return { context: draw, close: async () => undefined };
  },
  scenarios: [...RUN_CASES, ...SERVICE_CASES],
};
