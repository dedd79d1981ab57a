import { type Rig, startRig } from "../rig/rig.ts";
import type { ScenarioSet } from "../scenario.ts";
import { FEE_SCENARIOS } from "./fees.ts";
import { NODE_SCENARIOS } from "./nodes.ts";
import { CHAIN_SCENARIOS } from "./other-chains.ts";
import { SCHEDULER_SCENARIOS } from "./pool-link.ts";
import { REORG_SCENARIOS } from "./reorgs.ts";
import { WALLET_SCENARIOS } from "./wallet.ts";

const shared = [...FEE_SCENARIOS, ...NODE_SCENARIOS, ...REORG_SCENARIOS, ...WALLET_SCENARIOS, ...SCHEDULER_SCENARIOS];

/** The chain misbehaves between deal and payment: nothing is missed, nothing is done twice. */
export const chainFaultsSet: ScenarioSet<Rig> = {
  name: "chain-faults",
  summary: "nodes, fees, reorganisations, wallets and schedulers that misbehave during a task",
  async open(signal) {
    const rig = await startRig({ wallets: shared.length }, signal);
    return { context: rig, close: () => rig.close() };
  },
  scenarios: [...shared, ...CHAIN_SCENARIOS],
};
