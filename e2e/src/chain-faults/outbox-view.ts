import { existsSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { sqliteOutbox, type TxRecord } from "@iexec-ts/chain";
import type { WorkerProcess } from "../rig/worker-process.ts";

const MANY = 1_000;
const BUSY_MS = 5_000;

/** The transactions of a worker as its journal has them, while it runs or after; newest first. */
export async function readOutbox(worker: WorkerProcess): Promise<readonly TxRecord[]> {
  if (!existsSync(worker.journalPath)) return [];
  const db = new DatabaseSync(worker.journalPath, { readOnly: true, timeout: BUSY_MS });
  try {
    // The worker creates its tables one after the other when it starts for the first time.
    const last = db.prepare("SELECT name FROM sqlite_master WHERE name = 'tx_attempt_record'").get();
    return last === undefined ? [] : await sqliteOutbox(db).list(MANY);
  } finally {
    db.close();
  }
}
