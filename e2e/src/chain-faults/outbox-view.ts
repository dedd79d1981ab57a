import { existsSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { sqliteOutbox, type TxRecord } from "@iexec-ts/chain";
import type { WorkerProcess } from "../rig/worker-process.ts";

const MANY = 1_000;

/** The transactions of a worker as its journal has them, while it runs or after; newest first. */
export async function readOutbox(worker: WorkerProcess): Promise<readonly TxRecord[]> {
  if (!existsSync(worker.journalPath)) return [];
  const db = new DatabaseSync(worker.journalPath, { readOnly: true });
  try {
    return await sqliteOutbox(db).list(MANY);
  } finally {
    db.close();
  }
}
