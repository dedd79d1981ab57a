import type { TaskId } from "@iexec-ts/poco";
import type { Sql } from "../store/database.ts";

const DEAL = `0x${"dd".repeat(32)}`;
const WALLET = `0x${"aa".repeat(20)}`;

export const taskNumber = (n: number): TaskId => `0x${n.toString(16).padStart(64, "0")}`;

/** Writes tasks of one deal straight into the store, for tests of what reads them. */
export async function writeTasks(sql: Sql, count: number): Promise<readonly TaskId[]> {
  await sql.run(
    `INSERT INTO deals (id, state, requester, app, dataset, pool_owner, pool_price, worker_stake, trust, category, period, tag, callback, params,
       start_time, bot_first, bot_size) VALUES ($1, 'accepted', $2, $2, $2, $2, 0, 0, 1, 0, 60, $1, $2, '', 0, 0, $3)`,
    [DEAL, WALLET, count],
  );
  const ids = Array.from({ length: count }, (_, n) => taskNumber(n + 1));
  for (const [index, id] of ids.entries()) {
    await sql.run(
      `INSERT INTO tasks (id, deal_id, idx, status, needs_gpu, trust, worker_stake, period, contribution_deadline, final_deadline)
       VALUES ($1, $2, $3, 'RECEIVED', false, 1, 0, 60, 4000000000, 4000000000)`,
      [id, DEAL, index],
    );
  }
  return ids;
}

/** A wish for a transaction of this task. */
export async function writeWish(sql: Sql, id: TaskId): Promise<void> {
  await sql.run("INSERT INTO effects (id, task_id, kind, n, call, state) VALUES ($1, $2, 'claim', 1, '{}', 'wanted')", [`claim:${id}`, id]);
}
