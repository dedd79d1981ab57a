import { type Address, type ChainTime, isReplicateStatus, type NanoRlc, type ReplicateStatus, type TaskId } from "@iexec-ts/poco";
import type { StatusDetails } from "@iexec-ts/wire";
import { z } from "zod";
import type { Order, ReplicateRecord } from "../model.ts";
import { freesSlot, isDigression, usesSlot } from "../replicates/classes.ts";
import { address, chainSeconds, count, hex, optional, units } from "./columns.ts";
import type { Sql } from "./database.ts";
import { signal } from "./signals.ts";

export const replicateStatus: z.ZodType<ReplicateStatus> = z.custom<ReplicateStatus>(isReplicateStatus);

const REPLICATE_ROW = z
  .object({
    task_id: hex,
    wallet: address,
    status: replicateStatus,
    cause: optional(z.string()),
    relevant: replicateStatus,
    worker_status: replicateStatus,
    worker_seq: count,
    history: count,
    slot: z.boolean(),
    weight: units,
    upload_tries: count,
    told: optional(z.enum(["REVEAL", "ABORT", "UPLOAD", "COMPLETE"])),
    told_at: optional(z.date()),
    changed_at: z.date(),
    changed_chain: chainSeconds,
    alive: z.boolean(),
  })
  .transform(
    (row): ReplicateRecord => ({
      taskId: row.task_id,
      wallet: row.wallet,
      status: row.status,
      cause: row.cause,
      relevant: row.relevant,
      workerStatus: row.worker_status,
      workerSeq: row.worker_seq,
      history: row.history,
      slot: row.slot,
      weight: row.weight,
      uploadTries: row.upload_tries,
      told: row.told,
      toldAt: row.told_at,
      changedAt: row.changed_at,
      changedChain: row.changed_chain,
      alive: row.alive,
    }),
  );

const SELECT = "SELECT r.*, coalesce(NOT w.lost, false) AS alive FROM replicates r LEFT JOIN workers w ON w.wallet = r.wallet";

export const readReplicates = (sql: Sql, id: TaskId): Promise<readonly ReplicateRecord[]> =>
  sql.rows(`${SELECT} WHERE r.task_id = $1 ORDER BY r.assigned_at, r.wallet`, [id], REPLICATE_ROW);

export const readReplicate = (sql: Sql, id: TaskId, wallet: Address): Promise<ReplicateRecord | undefined> =>
  sql.row(`${SELECT} WHERE r.task_id = $1 AND r.wallet = $2`, [id, wallet], REPLICATE_ROW);

/** Replicates of a worker on tasks that are not forgotten yet: not closed, or closed while its last word is missing. */
export const readReplicatesOf = (sql: Sql, wallet: Address): Promise<readonly ReplicateRecord[]> =>
  sql.rows(
    `${SELECT} JOIN tasks t ON t.id = r.task_id WHERE r.wallet = $1 AND NOT t.closed ORDER BY r.assigned_at`,
    [wallet],
    REPLICATE_ROW,
  );

export interface StatusEntry {
  readonly taskId: TaskId;
  readonly wallet: Address;
  readonly status: ReplicateStatus;
  readonly cause?: string | undefined;
  readonly setBy: "worker" | "scheduler";
  readonly at: Date;
  /** Position in the worker's own history; undefined in the v9 dialect and for our own entries. */
  readonly seq?: number | undefined;
  readonly details?: StatusDetails | undefined;
  readonly chain: ChainTime;
  /** Kept in history only: we already knew more. */
  readonly late?: boolean;
}

const MAX_CAUSE = 200;
const MAX_TEXT = 4_000;

/** Text of a worker as Postgres can hold it: no NUL, no lone surrogates, bounded. */
const clean = (text: string, max: number): string => text.slice(0, max).replaceAll("\0", "\uFFFD").toWellFormed();

/** What of the details is worth keeping in a row; logs have a table of their own. */
const keptDetails = ({ computeLogs: _, ...rest }: StatusDetails): string =>
  JSON.stringify(rest, (_key, value: unknown) => {
    if (typeof value === "bigint") return value.toString();
    return typeof value === "string" ? clean(value, MAX_TEXT) : value;
  });

/**
 * Appends a status to the history of a replicate and, unless it is late, makes it the current one. The caller holds the task's lock.
 *
 * SIDE EFFECTS: signals `status`, and `demand` when a CPU becomes free, at commit.
 */
export async function recordStatus(sql: Sql, entry: StatusEntry): Promise<void> {
  const { taskId, wallet, status, setBy, late = false } = entry;
  const cause = entry.cause === undefined ? undefined : clean(entry.cause, MAX_CAUSE);
  const { exitCode, resultLink, chainCallbackData } = entry.details ?? {};
  const byWorker = setBy === "worker" || status === "CREATED";
  await sql.run(
    `WITH changed AS (
       UPDATE replicates SET history = history + 1, worker_seq = greatest(worker_seq, coalesce($6, 0)),
         worker_status = CASE WHEN $7 THEN $3 ELSE worker_status END,
         status = CASE WHEN $8 THEN status ELSE $3 END, cause = CASE WHEN $8 THEN cause ELSE $4 END,
         relevant = CASE WHEN $8 OR $9 THEN relevant ELSE $3 END,
         slot = CASE WHEN $8 THEN slot WHEN $10 THEN slot OR NOT $9 ELSE false END,
         changed_at = now(), changed_chain = $11,
         exit_code = coalesce(exit_code, $12), result_link = coalesce($13, result_link), callback_data = coalesce($14, callback_data)
       WHERE task_id = $1 AND wallet = $2 RETURNING history)
     INSERT INTO replicate_statuses (task_id, wallet, n, status, cause, set_by, seq, late, at, details)
     SELECT $1, $2, history, $3, $4, $5, $6, $8, $15, $16 FROM changed`,
    [
      taskId,
      wallet,
      status,
      cause ?? null,
      setBy,
      entry.seq ?? null,
      byWorker && !isDigression(status),
      late,
      isDigression(status),
      usesSlot(status),
      entry.chain,
      exitCode ?? null,
      resultLink === undefined ? null : clean(resultLink, MAX_TEXT),
      chainCallbackData ?? null,
      entry.at,
      entry.details === undefined ? null : keptDetails(entry.details),
    ],
  );
  await signal(sql, "status", JSON.stringify({ taskId, wallet, status, cause, at: entry.at.toISOString() }));
  // Its worker may already be asking for the next task.
  if (!late && freesSlot(status)) await signal(sql, "demand", taskId);
}

/** Creates a replicate without a history; the caller records its first status. */
export async function insertReplicate(
  sql: Sql,
  replicate: {
    readonly taskId: TaskId;
    readonly wallet: Address;
    readonly weight: bigint;
    readonly stake: NanoRlc;
    readonly chain: ChainTime;
    readonly slot: boolean;
  },
): Promise<void> {
  const { taskId, wallet, weight, stake, chain, slot } = replicate;
  await sql.run(
    `INSERT INTO replicates (task_id, wallet, status, relevant, worker_status, slot, weight, stake, changed_chain)
     VALUES ($1, $2, 'CREATED', 'CREATED', 'CREATED', $3, $4, $5, $6)`,
    [taskId, wallet, slot, weight, stake, chain],
  );
}

export async function setTold(sql: Sql, id: TaskId, wallets: readonly Address[], order: Order): Promise<void> {
  await sql.run("UPDATE replicates SET told = $3, told_at = now() WHERE task_id = $1 AND wallet = ANY ($2)", [id, [...wallets], order]);
}

export async function noteUploadRequest(sql: Sql, id: TaskId, wallet: Address): Promise<void> {
  await sql.run(
    "UPDATE replicates SET upload_tries = upload_tries + 1, told = 'UPLOAD', told_at = now() WHERE task_id = $1 AND wallet = $2",
    [id, wallet],
  );
  await sql.run(`INSERT INTO uploads (task_id, n, wallet) SELECT $1, coalesce(max(n), 0) + 1, $2 FROM uploads WHERE task_id = $1`, [
    id,
    wallet,
  ]);
}

export async function noteUploadEnd(sql: Sql, id: TaskId, wallet: Address, outcome: ReplicateStatus): Promise<void> {
  await sql.run("UPDATE uploads SET ended_at = now(), outcome = $3 WHERE task_id = $1 AND wallet = $2 AND ended_at IS NULL", [
    id,
    wallet,
    outcome,
  ]);
}

/** Longest log kept of one stream, in UTF-16 units. @source wire.md 1.2 */
export const MAX_LOG = 100_000;

/** Keeps the logs of one run; the first ones win. */
export async function keepLogs(
  sql: Sql,
  id: TaskId,
  wallet: Address,
  logs: { readonly stdout: string; readonly stderr: string },
): Promise<void> {
  const tail = (text: string): string => clean(text.slice(-MAX_LOG), MAX_LOG);
  await sql.run("INSERT INTO replicate_logs (task_id, wallet, stdout, stderr) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING", [
    id,
    wallet,
    tail(logs.stdout),
    tail(logs.stderr),
  ]);
}
