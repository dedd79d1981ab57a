import { CodedError } from "@iexec-ts/service";
import { z } from "zod";
import type { Database, Sql } from "./database.ts";

const EPOCH = z.object({ epoch: z.coerce.bigint() });

/** Counts one further for a process that has just got the lock of the lead. Waits for what the one before is committing at this moment. */
export async function beginEpoch(sql: Sql): Promise<bigint> {
  const row = await sql.row("UPDATE leadership SET epoch = epoch + 1, since = now() RETURNING epoch", [], EPOCH);
  if (row === undefined) throw new CodedError("SCH-1105", { epoch: 0 });
  return row.epoch;
}

/**
 * The database as the holder of the lead may use it: every transaction and every single write first takes a share of the epoch's row, which
 * its successor must change before it may begin. So of two processes that both believe to lead, because the lock's connection was lost without
 * a word, the older one can commit nothing any more from the moment in which the younger one begins.
 *
 * Errors: SCH-1105 for what comes too late.
 */
export function fenced(database: Database, epoch: bigint): Database {
  const transaction: Database["transaction"] = (work, signal, ms) =>
    database.transaction(
      async (sql) => {
        if ((await sql.row("SELECT epoch FROM leadership WHERE epoch = $1 FOR SHARE", [epoch], EPOCH)) === undefined)
          throw new CodedError("SCH-1105", { epoch });
        return await work(sql);
      },
      signal,
      ms,
    );
  return { ...database, transaction, run: (text, values) => transaction((sql) => sql.run(text, values)) };
}
