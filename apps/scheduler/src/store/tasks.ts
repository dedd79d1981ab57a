import {
  type Address,
  type ChainTask,
  type ChainTime,
  type Contribution,
  type Hex,
  isTaskStatus,
  type TaskId,
  type TaskStatus,
} from "@iexec-ts/poco";
import { z } from "zod";
import type { Sighting, TaskRecord } from "../model.ts";
import { address, chainSeconds, hex, optional, rlc, units } from "./columns.ts";
import type { Sql } from "./database.ts";
import { signal } from "./signals.ts";

export const taskStatus: z.ZodType<TaskStatus> = z.custom<TaskStatus>(isTaskStatus);

const TASK_ROW = z
  .object({
    id: hex,
    deal_id: hex,
    idx: units,
    status: taskStatus,
    open: z.boolean(),
    ended_at: optional(z.date()),
    closed: z.boolean(),
    needs_tee: optional(z.enum(["scone", "gramine", "tdx"])),
    trust: units,
    worker_stake: rlc,
    period: units,
    contribution_deadline: chainSeconds,
    final_deadline: chainSeconds,
    reveal_deadline: optional(chainSeconds),
    consensus_block: optional(units),
    enclave_challenge: optional(address),
    result_link: optional(z.string()),
    callback_data: optional(hex),
  })
  .transform(
    (row): TaskRecord => ({
      id: row.id,
      dealId: row.deal_id,
      index: row.idx,
      status: row.status,
      open: row.open,
      endedAt: row.ended_at,
      closed: row.closed,
      tee: row.needs_tee,
      trust: row.trust,
      workerStake: row.worker_stake,
      period: row.period,
      contributionDeadline: row.contribution_deadline,
      finalDeadline: row.final_deadline,
      revealDeadline: row.reveal_deadline,
      consensusBlock: row.consensus_block,
      enclaveChallenge: row.enclave_challenge,
      resultLink: row.result_link,
      callbackData: row.callback_data,
    }),
  );

export const readTask = (sql: Sql, id: TaskId): Promise<TaskRecord | undefined> =>
  sql.row("SELECT * FROM tasks WHERE id = $1", [id], TASK_ROW);

/** Every change of a task and of its replicates holds this lock first, in whatever process. */
export const lockTask = (sql: Sql, id: TaskId): Promise<TaskRecord | undefined> =>
  sql.row("SELECT * FROM tasks WHERE id = $1 FOR UPDATE", [id], TASK_ROW);

/** Records a status of a task; frees the CPUs of its workers when it is over. */
export async function recordTaskStatus(sql: Sql, id: TaskId, status: TaskStatus, cause?: string): Promise<void> {
  const over = status === "COMPLETED" || status === "FAILED";
  await sql.run(
    `WITH changed AS (
       UPDATE tasks SET status = $2, updated_at = now(), failure = coalesce($3, failure),
         ended_at = CASE WHEN $4 THEN coalesce(ended_at, now()) ELSE NULL END WHERE id = $1 RETURNING id)
     INSERT INTO task_statuses (task_id, n, status, cause)
     SELECT $1, coalesce((SELECT max(n) FROM task_statuses WHERE task_id = $1), 0) + 1, $2, $3 FROM changed`,
    [id, status, cause ?? null, over],
  );
  if (over) await sql.run("UPDATE replicates SET slot = false WHERE task_id = $1 AND slot", [id]);
  await signal(sql, "status", JSON.stringify({ taskId: id, status, cause, at: new Date().toISOString() }));
}

/** Notes what the chain now says about deadlines, consensus and contributions. Weights are those at first sight. */
export async function noteChain(
  sql: Sql,
  id: TaskId,
  onChain: ChainTask | undefined,
  contributions: ReadonlyMap<Address, Contribution>,
  weights: ReadonlyMap<Address, bigint>,
): Promise<void> {
  const revealing = onChain?.status === "REVEALING" || onChain?.status === "COMPLETED";
  const consensus = onChain !== undefined && revealing ? { value: onChain.consensusValue, deadline: onChain.revealDeadline } : undefined;
  const changed = await sql.run(
    `UPDATE tasks SET consensus = $2, reveal_deadline = $3, consensus_block = CASE WHEN $2::text IS NULL THEN NULL ELSE consensus_block END
     WHERE id = $1 AND (consensus IS DISTINCT FROM $2::text OR reveal_deadline IS DISTINCT FROM $3::bigint)`,
    [id, consensus?.value ?? null, consensus?.deadline ?? null],
  );
  // Another consensus, or none any more: what was said about the old one is void.
  if (changed > 0) await sql.run("UPDATE replicates SET told = NULL WHERE task_id = $1 AND told IN ('REVEAL', 'ABORT')", [id]);
  for (const [wallet, { status, resultHash }] of contributions) {
    await sql.run(
      `INSERT INTO contributions (task_id, wallet, status, result_hash, weight, proved_at)
       VALUES ($1, $2, $3, $4, $5, CASE WHEN $3 = 'PROVED' THEN now() END)
       ON CONFLICT (task_id, wallet) DO UPDATE SET status = excluded.status, result_hash = excluded.result_hash,
         proved_at = coalesce(contributions.proved_at, excluded.proved_at)
       WHERE contributions.status <> excluded.status OR contributions.result_hash <> excluded.result_hash`,
      [id, wallet, status, resultHash, weights.get(wallet) ?? 2n],
    );
  }
  await sql.run("DELETE FROM contributions WHERE task_id = $1 AND wallet <> ALL ($2)", [id, [...contributions.keys()]]);
}

const SIGHTING_ROW = z
  .object({ wallet: address, weight: units, seen_at: z.date(), proved_at: optional(z.date()) })
  .transform((row): Sighting => ({ wallet: row.wallet, weight: row.weight, seenAt: row.seen_at, provedAt: row.proved_at }));

export async function readSightings(sql: Sql, id: TaskId): Promise<ReadonlyMap<Address, Sighting>> {
  const rows = await sql.rows("SELECT wallet, weight, seen_at, proved_at FROM contributions WHERE task_id = $1", [id], SIGHTING_ROW);
  return new Map(rows.map((row) => [row.wallet, row]));
}

export async function setDemand(sql: Sql, id: TaskId, open: boolean): Promise<void> {
  await sql.run("UPDATE tasks SET open = $2, updated_at = now() WHERE id = $1", [id, open]);
  if (open) await signal(sql, "demand", id);
}

export async function setWake(sql: Sql, id: TaskId, chain: ChainTime | undefined, wall: Date | undefined): Promise<void> {
  await sql.run("UPDATE tasks SET wake_chain = $2, wake_wall = $3 WHERE id = $1", [id, chain ?? null, wall ?? null]);
}

/** After a failed decision: look again in a while, whatever deadlines have passed. */
export async function postpone(sql: Sql, id: TaskId, waitMs: number): Promise<void> {
  await sql.run("UPDATE tasks SET wake_chain = NULL, wake_wall = now() + make_interval(secs => $2) WHERE id = $1 AND NOT closed", [
    id,
    waitMs / 1_000,
  ]);
}

export async function setResult(sql: Sql, id: TaskId, link: string | undefined, callback: Hex | undefined): Promise<void> {
  await sql.run("UPDATE tasks SET result_link = $2, callback_data = $3, updated_at = now() WHERE id = $1", [
    id,
    link ?? null,
    callback ?? null,
  ]);
}

export async function closeTask(sql: Sql, id: TaskId): Promise<void> {
  await sql.run("UPDATE tasks SET closed = true, open = false, wake_chain = NULL, wake_wall = NULL, updated_at = now() WHERE id = $1", [
    id,
  ]);
  await sql.run("UPDATE replicates SET slot = false WHERE task_id = $1 AND slot", [id]);
}

const ID = z.object({ id: hex }).transform(({ id }) => id);

/** Tasks that a deadline wants decided again. */
export const dueTasks = (sql: Sql, chain: ChainTime, limit: number): Promise<readonly TaskId[]> =>
  sql.rows("SELECT id FROM tasks WHERE NOT closed AND (wake_chain <= $1 OR wake_wall <= now()) LIMIT $2", [chain, limit], ID);

export const openEndedTasks = (sql: Sql): Promise<readonly TaskId[]> =>
  sql.rows("SELECT id FROM tasks WHERE NOT closed ORDER BY contribution_deadline", [], ID);

const NEXT = z
  .object({ chain: optional(chainSeconds), wall_ms: optional(z.coerce.number()) })
  .transform(({ chain, wall_ms }) => ({ chain, wallMs: wall_ms }));

/** The nearest deadlines of all tasks but some: chain time, and milliseconds from now. */
export async function nextWake(
  sql: Sql,
  except: readonly TaskId[],
): Promise<{ readonly chain: ChainTime | undefined; readonly wallMs: number | undefined }> {
  const next = await sql.row(
    `SELECT (SELECT min(wake_chain) FROM tasks WHERE NOT closed AND id <> ALL ($1)) AS chain,
       (SELECT extract(epoch FROM min(wake_wall) - now()) * 1000 FROM tasks WHERE NOT closed AND id <> ALL ($1)) AS wall_ms`,
    [[...except]],
    NEXT,
  );
  return next ?? { chain: undefined, wallMs: undefined };
}
