import type { ScenarioSet } from "../scenario.ts";
import { COMMAND_SCENARIOS } from "./commands.ts";
import { DOCTOR_SCENARIOS } from "./doctor.ts";
import { INIT_SCENARIOS } from "./init.ts";
import { LIFECYCLE_SCENARIOS } from "./lifecycle.ts";
import { MONEY_SCENARIOS } from "./money.ts";
import { SECRET_SCENARIOS } from "./secrets.ts";
import { SETTINGS_SCENARIOS } from "./settings.ts";
import { STOPPING_SCENARIOS } from "./stopping.ts";
import { WALLET_SCENARIOS } from "./wallet.ts";
import { IDLE_SCENARIOS } from "./why-idle.ts";
import { openWorld, type World } from "./world.ts";

/** Somebody at a terminal sets a worker up, looks at it, moves money, and finds out what is wrong. */
export const operatorSet: ScenarioSet<World> = {
  name: "operator",
  summary: "a scripted operator at a terminal: setting up, doctor, why-idle, money, settings, secrets",
  open: openWorld,
  scenarios: [
    ...INIT_SCENARIOS,
    ...WALLET_SCENARIOS,
    ...DOCTOR_SCENARIOS,
    ...IDLE_SCENARIOS,
    ...LIFECYCLE_SCENARIOS,
    ...STOPPING_SCENARIOS,
    ...SETTINGS_SCENARIOS,
    ...COMMAND_SCENARIOS,
    ...MONEY_SCENARIOS,
    // Last: it looks at what all the others left.
    ...SECRET_SCENARIOS,
  ],
};
