import { DatabaseSync } from "node:sqlite";
import type { TaskId } from "@iexec-ts/poco";
import type { Replicate, StatusChange } from "./replicate.ts";
import { replicateFromRow, statusChangeFromRow } from "./rows.ts";

/** What a journal says, read while its worker may be running or dead. */
export interface JournalView {
  readonly replicates: readonly Replicate[];
  history(taskId: TaskId): readonly StatusChange[];
}

/** While its worker starts, the file is locked for a moment. */
const BUSY_MS = 5_000;

/** Reads the journal file at `path` without touching it. */
export function readJournal(path: string): JournalView {
  const db = new DatabaseSync(path, { readOnly: true, timeout: BUSY_MS });
  try {
    // Its worker has only just created the file.
    if (db.prepare("PRAGMA user_version").get()?.user_version === 0) return { replicates: [], history: () => [] };
    const replicates = db.prepare("SELECT * FROM replicate ORDER BY created_at, task_id").all().map(replicateFromRow);
    const changes = db.prepare("SELECT * FROM status_change ORDER BY task_id, seq").all().map(statusChangeFromRow);
    return { replicates, history: (taskId) => changes.filter((change) => change.taskId === taskId) };
  } finally {
    db.close();
  }
}
