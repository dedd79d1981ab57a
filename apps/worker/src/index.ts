export { type WorkerSettings, workerConfig } from "./config.ts";
export { type Blame, type Consequence, FAULTS, type Fault } from "./replicate/faults.ts";
export { type JournalView, readJournal } from "./replicate/read-journal.ts";
export type { Replicate, StatusChange } from "./replicate/replicate.ts";
export { serveWorker } from "./server.ts";
export { startWorker } from "./worker.ts";
export type { WorkerDeps, WorkerHandle, WorkerOptions } from "./worker-api.ts";
