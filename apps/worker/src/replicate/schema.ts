import type { DatabaseSync } from "node:sqlite";

/**
 * Each entry moves the journal one version up. Entries are never edited after a release: an old journal must open in a new worker.
 */
const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE owner (address TEXT NOT NULL);
  CREATE TABLE memory (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
  CREATE TABLE replicate (
    task_id TEXT PRIMARY KEY,
    deal_id TEXT NOT NULL,
    task_index INTEGER NOT NULL,
    "authorization" TEXT NOT NULL,
    sms_url TEXT,
    status TEXT NOT NULL,
    progress TEXT NOT NULL,
    seq INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    compute_deadline INTEGER,
    failure TEXT,
    digest TEXT,
    callback_data TEXT,
    zip_path TEXT,
    zip_sha256 TEXT,
    result_link TEXT,
    upload_requested INTEGER NOT NULL DEFAULT 0,
    abort TEXT,
    stake TEXT NOT NULL,
    final_deadline TEXT NOT NULL,
    closed_at INTEGER
  ) STRICT;
  CREATE INDEX replicate_open ON replicate (closed_at) WHERE closed_at IS NULL;
  CREATE TABLE status_change (
    task_id TEXT NOT NULL REFERENCES replicate (task_id),
    seq INTEGER NOT NULL,
    status TEXT NOT NULL,
    cause TEXT,
    at INTEGER NOT NULL,
    details TEXT,
    delivered_at INTEGER,
    PRIMARY KEY (task_id, seq)
  ) STRICT;
  CREATE INDEX status_change_undelivered ON status_change (task_id, seq) WHERE delivered_at IS NULL;
  CREATE TABLE contribution (
    task_id TEXT PRIMARY KEY,
    worker TEXT NOT NULL,
    digest TEXT NOT NULL,
    result_hash TEXT NOT NULL,
    result_seal TEXT NOT NULL,
    callback_data TEXT,
    at INTEGER NOT NULL
  ) STRICT;
  `,
];

/** SIDE EFFECTS: sets the pragmas that make the journal crash-safe and brings its tables up to date. */
export function prepareJournal(db: DatabaseSync): void {
  db.exec("PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;");
  const version = Number(db.prepare("PRAGMA user_version").get()?.user_version ?? 0);
  for (const [index, sql] of MIGRATIONS.entries()) {
    if (index < version) continue;
    db.exec(`BEGIN IMMEDIATE; ${sql} PRAGMA user_version = ${index + 1}; COMMIT;`);
  }
}
