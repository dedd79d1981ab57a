export { type SchedulerSettings, schedulerConfig } from "./config.ts";
export type { JoinOptions } from "./join/join.ts";
export { runScheduler } from "./main.ts";
export { DEFAULT_PATIENCE, type SchedulerDeps, type SchedulerOptions } from "./options.ts";
export type { ResultRepository } from "./replicates/result-repository.ts";
export { type Scheduler, start } from "./start.ts";
export type { Patience } from "./tasks/decision.ts";
export type { EnclaveService } from "./tasks/enclave.ts";
