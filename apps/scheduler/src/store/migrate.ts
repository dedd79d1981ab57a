import type { Database } from "./database.ts";
import { CORE } from "./migrations/001-core.ts";
import { OUTBOX } from "./migrations/002-outbox.ts";

/** In order; a released migration never changes. */
const MIGRATIONS: readonly { readonly number: number; readonly name: string; readonly sql: string }[] = [
  { number: 1, name: "core", sql: CORE },
  { number: 2, name: "outbox", sql: OUTBOX },
];

const LOCK = 4_905_001;

/**
 * Brings the database to the newest schema; several processes may call it at once.
 *
 * SIDE EFFECTS: creates and alters tables, each migration in its own transaction.
 */
export async function migrate(database: Database): Promise<readonly string[]> {
  return await database.session(async (sql) => {
    await sql.run("SELECT pg_advisory_lock($1)", [LOCK]);
    try {
      await sql.run(
        "CREATE TABLE IF NOT EXISTS migrations (number integer PRIMARY KEY, name text NOT NULL, at timestamptz NOT NULL DEFAULT now())",
      );
      const done = new Set(await sql.numbers("SELECT number AS value FROM migrations", []));
      const applied: string[] = [];
      for (const { number, name, sql: text } of MIGRATIONS.filter((migration) => !done.has(migration.number))) {
        await sql.run("BEGIN");
        try {
          await sql.run(text);
          await sql.run("INSERT INTO migrations (number, name) VALUES ($1, $2)", [number, name]);
          await sql.run("COMMIT");
        } catch (thrown) {
          await sql.run("ROLLBACK");
          throw thrown;
        }
        applied.push(name);
      }
      return applied;
    } finally {
      await sql.run("SELECT pg_advisory_unlock($1)", [LOCK]);
    }
  });
}
