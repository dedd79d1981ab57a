export { type WorkerSettings, workerConfig } from "./config.ts";
export { type Blame, type Consequence, FAULTS, type Fault } from "./replicate/faults.ts";
export { type JournalView, readJournal } from "./replicate/read-journal.ts";
export type { Replicate, StatusChange } from "./replicate/replicate.ts";
export { serveWorker } from "./server.ts";
export { startWorker, type WorkerDeps, type WorkerHandle, type WorkerOptions } from "./worker.ts";
