import { readdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { Address } from "@iexec-ts/poco";
import { acquireLock, CodedError, hasCode } from "@iexec-ts/service";

const BUSY_MS = 5_000;
const JOURNAL = /^(0x[0-9a-f]{40})\.sqlite$/;

/**
 * Refuses to start with another wallet than the last run of this worker when that one still has to reveal: only its own wallet can.
 *
 * Journals are told apart by the worker's name, so that workers with different names may share a folder; a journal whose worker is running
 * now is nobody's past.
 * Errors: WRK-1302.
 */
export function refuseChangedWallet(stateDir: string, name: string, wallet: Address): void {
  for (const file of readdirSync(stateDir)) {
    const known = JOURNAL.exec(file)?.[1];
    if (known === undefined || known === wallet || isRunning(join(stateDir, `${known}.lock`))) continue;
    const path = join(stateDir, file);
    if (owesReveal(path, name)) throw new CodedError("WRK-1302", { path, known, wallet });
  }
}

/** SIDE EFFECTS: writes the journal. */
export function rememberName(db: DatabaseSync, name: string): void {
  db.prepare("INSERT INTO memory (name, value) VALUES ('worker', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value").run(name);
}

function owesReveal(path: string, name: string): boolean {
  const db = new DatabaseSync(path, { readOnly: true, timeout: BUSY_MS });
  try {
    if (db.prepare("SELECT 1 FROM sqlite_master WHERE name = 'contribution'").get() === undefined) return false;
    if (db.prepare("SELECT value FROM memory WHERE name = 'worker'").get()?.value !== name) return false;
    const open = db.prepare("SELECT 1 FROM replicate JOIN contribution USING (task_id) WHERE closed_at IS NULL LIMIT 1").get();
    return open !== undefined;
  } finally {
    db.close();
  }
}

function isRunning(lockPath: string): boolean {
  try {
    acquireLock(lockPath).release();
    return false;
  } catch (thrown) {
    if (hasCode(thrown, "SVC-1401")) return true;
    throw thrown;
  }
}
