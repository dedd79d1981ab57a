import { readFileSync, rmSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { replaceFileSync } from "./durable-file.ts";
import { CodedError } from "./errors/coded-error.ts";

export interface Lock {
  readonly path: string;
  /** Gives the lock back; a second call does nothing. */
  release(): void;
}

const SQLITE_BUSY = 5;
const MAX_OWNER_CHARACTERS = 200;

const isBusy = (thrown: unknown): boolean => thrown instanceof Error && "errcode" in thrown && thrown.errcode === SQLITE_BUSY;

function holderOf(ownerPath: string): string {
  try {
    return readFileSync(ownerPath, "utf8").slice(0, MAX_OWNER_CHARACTERS).trim() || "another process";
  } catch {
    // The owner file only makes the message better; the lock itself does not depend on it.
    return "another process";
  }
}

/**
 * Takes a file for this process alone, or says who has it. The lock is the kernel's (through SQLite, which holds it as long as the connection
 * is open): it ends with the process however that dies, is never stale, and holds between containers that share the folder, where process
 * ids mean nothing.
 *
 * Errors: SVC-1401 when another holder lives, SVC-1402 when the file cannot be locked.
 * SIDE EFFECTS: creates the empty file `path`, and `path.owner` with the process id for messages.
 */
export function acquireLock(path: string, owner = `process ${process.pid}`): Lock {
  const ownerPath = `${path}.owner`;
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path);
    database.exec("PRAGMA busy_timeout = 0; PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE");
    replaceFileSync(ownerPath, `${owner}\n`, { mode: 0o644, flush: false });
  } catch (thrown) {
    database?.close();
    if (isBusy(thrown)) throw new CodedError("SVC-1401", { path, holder: holderOf(ownerPath) });
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    throw new CodedError("SVC-1402", { path, reason }, { cause: thrown });
  }
  const held = database;
  let released = false;
  return {
    path,
    release() {
      if (released) return;
      released = true;
      rmSync(ownerPath, { force: true });
      held.close();
    },
  };
}
