import type { Scenario, ScenarioSet } from "../scenario.ts";
import { JoinWorld } from "./join-world.ts";

const SCENARIOS: readonly Scenario<JoinWorld>[] = [];

/** The guide's three ways to join a workerpool, each on a machine that has nothing. */
export const joinSet: ScenarioSet<JoinWorld> = {
  name: "join",
  summary: "the guide's docker line, the join script and the virtual machine, each tried for real",
  async open() {
    const world = new JoinWorld();
    return { context: world, close: () => world.close() };
  },
  scenarios: SCENARIOS,
};
