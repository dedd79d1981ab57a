export { type Rig, type RigOptions, startRig } from "./rig/rig.ts";
export type { WorkerProcess } from "./rig/worker-process.ts";
