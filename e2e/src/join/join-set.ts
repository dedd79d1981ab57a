import type { Scenario, ScenarioSet } from "../scenario.ts";
import { COMPOSE_CASES } from "./compose-cases.ts";
import { DOCKER_CASES } from "./docker-cases.ts";
import { JoinWorld } from "./join-world.ts";
import { PAGE_CASES } from "./page-cases.ts";
import { SCRIPT_CASES } from "./script-cases.ts";
import { SECRET_CASES } from "./secret-cases.ts";
import { UPDATE_CASES } from "./update-cases.ts";
import { VM_CASES } from "./vm-cases.ts";

const SCENARIOS: readonly Scenario<JoinWorld>[] = [
  ...DOCKER_CASES,
  ...COMPOSE_CASES,
  ...PAGE_CASES,
  ...SCRIPT_CASES,
  ...SECRET_CASES,
  ...UPDATE_CASES,
  ...VM_CASES,
];

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
