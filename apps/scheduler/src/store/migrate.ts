import { hasCode } from "@iexec-ts/service";
import type { Database, OwnConnection } from "./database.ts";
import { CORE } from "./migrations/001-core.ts";
import { OUTBOX } from "./migrations/002-outbox.ts";
import { LEADERSHIP } from "./migrations/003-leadership.ts";

/** In order; a released migration never changes. */
const MIGRATIONS: readonly { readonly number: number; readonly name: string; readonly sql: string }[] = [
  { number: 1, name: "core", sql: CORE },
  { number: 2, name: "outbox", sql: OUTBOX },
  { number: 3, name: "leadership", sql: LEADERSHIP },
];

const LOCK = 4_905_001;
/** A large table takes its time; a process that starts beside the one that migrates waits for it this often. */
const LIMITS = { lockMs: 20_000, statementMs: 600_000, answerMs: 620_000 };
const LOCK_TRIES = 30;

/**
 * Brings the database to the newest schema; several processes may call it at once.
 *
 * Errors: SCH-1101, and SCH-1104 when another process migrates for ten minutes.
 * SIDE EFFECTS: creates and alters tables, each migration in its own transaction.
 */
export async function migrate(database: Database): Promise<readonly string[]> {
  const sql = await database.connection(LIMITS);
  try {
    await lock(sql);
    await sql.run(
      "CREATE TABLE IF NOT EXISTS migrations (number integer PRIMARY KEY, name text NOT NULL, at timestamptz NOT NULL DEFAULT now())",
    );
    const done = new Set(await sql.numbers("SELECT number AS value FROM migrations", []));
    const applied: string[] = [];
    for (const { number, name, sql: text } of MIGRATIONS.filter((migration) => !done.has(migration.number))) {
      await sql.run("BEGIN");
      await sql.run(text);
      await sql.run("INSERT INTO migrations (number, name) VALUES ($1, $2)", [number, name]);
      await sql.run("COMMIT");
      applied.push(name);
    }
    return applied;
  } finally {
    // Its end takes the lock back, and what was not committed.
    await sql.end();
  }
}

async function lock(sql: OwnConnection): Promise<void> {
  // Bounded: ends after a few tries, each of which waits no longer than the lock timeout.
  for (let tries = 1; ; tries += 1) {
    try {
      await sql.run("SELECT pg_advisory_lock($1)", [LOCK]);
      return;
    } catch (thrown) {
      if (!hasCode(thrown, "SCH-1104") || tries === LOCK_TRIES) throw thrown;
    }
  }
}
