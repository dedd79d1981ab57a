import type { ScenarioSet } from "../scenario.ts";
import { downloadScenarios } from "./downloads.ts";
import { hostScenarios } from "./host.ts";
import { neighbourScenarios } from "./neighbours.ts";
import { walletScenarios } from "./wallets.ts";
import { openWorld, type World } from "./world.ts";

/** What a newcomer meets when something is missing: a code, what to do, nothing lost, nothing left. */
export const wrongSet: ScenarioSet<World> = {
  name: "wrong",
  summary: "what is missing or wrong is named by its code and exit code, with what to do, and nothing is lost",
  open: openWorld,
  scenarios: [...hostScenarios, ...walletScenarios, ...neighbourScenarios, ...downloadScenarios],
};
