export { type BenchReport, type Figure, figure, machine, quantile, table } from "./figure.ts";
export { type Rig, type RigOptions, startRig } from "./rig/rig.ts";
export type { WorkerProcess } from "./rig/worker-process.ts";
