export { type NetworkSettings, networkConfig } from "./config.ts";
export { buyTask, type TaskOrder } from "./local/buy-task.ts";
export type { DemoImage } from "./local/demo-image.ts";
export { ROLE_ACCOUNTS } from "./local/prepare-chain.ts";
export { ANY_PORTS, type Network, type NetworkOptions, startNetwork } from "./network.ts";
export {
  Doubt,
  describeReplicates,
  type Outlook,
  type OutlookChain,
  type OutlookWorker,
  type Wish,
  whyImpossible,
} from "./outlook.ts";
export type { RunService, ServiceProgram } from "./service-programs.ts";
