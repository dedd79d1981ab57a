import { CodedError } from "@iexec-ts/service";
import pg from "pg";
import { z } from "zod";

export type SqlValue = string | number | bigint | boolean | Date | null | undefined | readonly string[] | readonly boolean[];

/** One session of the database; inside `transaction`, one transaction. */
export interface Sql {
  /** Rows, each read through its schema. */
  rows<T>(text: string, values: readonly SqlValue[], row: z.ZodType<T>): Promise<readonly T[]>;
  row<T>(text: string, values: readonly SqlValue[], row: z.ZodType<T>): Promise<T | undefined>;
  /** One numeric column called `value`. */
  numbers(text: string, values: readonly SqlValue[]): Promise<readonly number[]>;
  /** Returns how many rows were touched. */
  run(text: string, values?: readonly SqlValue[]): Promise<number>;
}

export interface Database extends Sql {
  /** Commits when `work` resolves; tries again when Postgres chose this transaction as the victim of a conflict. */
  transaction<T>(work: (sql: Sql) => Promise<T>): Promise<T>;
  /** Pins one connection for session-level locks. */
  session<T>(work: (sql: Sql) => Promise<T>): Promise<T>;
  /** A connection of its own, outside the pool, that the caller ends. */
  connection(): Promise<pg.Client>;
  close(): Promise<void>;
}

const CONFLICTS = new Set(["40001", "40P01"]);
const TRIES = 8;
const VALUE = z.object({ value: z.coerce.number() });

interface Queryable {
  query(text: string, values: unknown[]): Promise<pg.QueryResult<Record<string, unknown>>>;
}

const codeOf = (thrown: unknown): string | undefined =>
  thrown instanceof Error && "code" in thrown && typeof thrown.code === "string" ? thrown.code : undefined;

function sqlOver(client: Queryable): Sql {
  const query = async (text: string, values: readonly SqlValue[]): Promise<pg.QueryResult<Record<string, unknown>>> =>
    await client.query(text, [...values]);
  const rows = async <T>(text: string, values: readonly SqlValue[], row: z.ZodType<T>): Promise<readonly T[]> =>
    (await query(text, values)).rows.map((raw) => row.parse(raw));
  return {
    rows,
    row: async (text, values, row) => (await rows(text, values, row))[0],
    numbers: async (text, values) => (await rows(text, values, VALUE)).map(({ value }) => value),
    run: async (text, values = []) => (await query(text, values)).rowCount ?? 0,
  };
}

/**
 * Connects to Postgres.
 *
 * Errors: SCH-1101 when it cannot be reached.
 */
export async function openDatabase(url: string, options: { readonly connections: number }): Promise<Database> {
  const config = { connectionString: url, application_name: "iexec-scheduler", keepAlive: true };
  const pool = new pg.Pool({ ...config, max: options.connections });
  // A dropped idle connection is replaced by the pool at the next query.
  pool.on("error", () => undefined);

  const unreachable = (thrown: unknown): CodedError =>
    new CodedError("SCH-1101", { reason: thrown instanceof Error ? (codeOf(thrown) ?? thrown.name) : "unknown" }, { cause: thrown });

  try {
    await pool.query("SELECT 1");
  } catch (thrown) {
    await pool.end();
    throw unreachable(thrown);
  }

  const session = async <T>(work: (sql: Sql) => Promise<T>): Promise<T> => {
    const client = await pool.connect();
    let broken: Error | undefined;
    try {
      return await work(sqlOver(client));
    } catch (thrown) {
      if (thrown instanceof Error && codeOf(thrown) === undefined && !(thrown instanceof CodedError) && !(thrown instanceof z.ZodError)) {
        broken = thrown;
      }
      throw thrown;
    } finally {
      client.release(broken);
    }
  };

  const once = <T>(work: (sql: Sql) => Promise<T>): Promise<T> =>
    session(async (sql) => {
      await sql.run("BEGIN");
      try {
        const result = await work(sql);
        await sql.run("COMMIT");
        return result;
      } catch (thrown) {
        await sql.run("ROLLBACK").catch(() => undefined);
        throw thrown;
      }
    });

  return {
    ...sqlOver(pool),
    session,
    async transaction(work) {
      for (let attempt = 1; ; attempt += 1) {
        try {
          return await once(work);
        } catch (thrown) {
          const code = codeOf(thrown);
          if (code === undefined || !CONFLICTS.has(code) || attempt === TRIES) throw thrown;
        }
      }
    },
    async connection() {
      const client = new pg.Client(config);
      try {
        await client.connect();
      } catch (thrown) {
        throw unreachable(thrown);
      }
      return client;
    },
    close: () => pool.end(),
  };
}
