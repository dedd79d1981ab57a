import type { Address, TaskId } from "@iexec-ts/poco";
import { z } from "zod";
import { optional } from "./columns.ts";
import type { Sql } from "./database.ts";

/** What the HTTP API shows: big numbers as decimal text, times as ISO 8601. */
const amount = z.string();
const date = z.date().transform((at) => at.toISOString());
const seconds = z.coerce.number();
const isoOfSeconds = (value: number): string => new Date(value * 1_000).toISOString();
const deadline = seconds.transform(isoOfSeconds);

const TASK_VIEW = z
  .object({
    id: z.string(),
    deal_id: z.string(),
    idx: amount,
    status: z.string(),
    failure: optional(z.string()),
    open: z.boolean(),
    closed: z.boolean(),
    trust: amount,
    tag: z.string(),
    category: amount,
    period: seconds,
    requester: z.string(),
    app: z.string(),
    dataset: z.string(),
    params: z.string(),
    callback: z.string(),
    worker_stake: amount,
    contribution_deadline: deadline,
    final_deadline: deadline,
    reveal_deadline: optional(deadline),
    init_block: optional(amount),
    consensus: optional(z.string()),
    consensus_block: optional(amount),
    result_link: optional(z.string()),
    callback_data: optional(z.string()),
    uploader: optional(z.string()),
    created_at: date,
    updated_at: date,
    ended_at: optional(date),
    replicates: z.coerce.number(),
  })
  .transform((row) => ({
    taskId: row.id,
    dealId: row.deal_id,
    index: row.idx,
    status: row.status,
    failure: row.failure,
    wantsReplicates: row.open,
    closed: row.closed,
    trust: row.trust,
    tag: row.tag,
    category: row.category,
    periodSeconds: row.period,
    requester: row.requester,
    app: row.app,
    dataset: row.dataset,
    params: row.params,
    callback: row.callback,
    workerStake: row.worker_stake,
    deadlines: { contribution: row.contribution_deadline, reveal: row.reveal_deadline, final: row.final_deadline },
    initBlock: row.init_block,
    consensus: row.consensus,
    consensusBlock: row.consensus_block,
    resultLink: row.result_link,
    callbackData: row.callback_data,
    uploader: row.uploader,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    endedAt: row.ended_at,
    replicateCount: row.replicates,
  }));
export type TaskView = z.output<typeof TASK_VIEW>;

const TASKS = `SELECT t.*, d.requester, d.app, d.dataset, d.params, d.callback, d.tag, d.category,
    (SELECT count(*) FROM replicates r WHERE r.task_id = t.id) AS replicates,
    (SELECT u.wallet FROM uploads u WHERE u.task_id = t.id ORDER BY u.n DESC LIMIT 1) AS uploader
  FROM tasks t JOIN deals d ON d.id = t.deal_id`;

export const viewTask = (sql: Sql, id: TaskId): Promise<TaskView | undefined> => sql.row(`${TASKS} WHERE t.id = $1`, [id], TASK_VIEW);

export interface TaskPage {
  readonly limit: number;
  readonly status: string | undefined;
  readonly dealId: string | undefined;
  /** Only tasks created before this moment. */
  readonly before: Date | undefined;
}

export const viewTasks = (sql: Sql, { limit, status, dealId, before }: TaskPage): Promise<readonly TaskView[]> =>
  sql.rows(
    `${TASKS} WHERE ($2::text IS NULL OR t.status = $2) AND ($3::text IS NULL OR t.deal_id = $3) AND ($4::timestamptz IS NULL OR t.created_at < $4)
     ORDER BY t.created_at DESC, t.id LIMIT $1`,
    [limit, status ?? null, dealId ?? null, before ?? null],
    TASK_VIEW,
  );

const HISTORY_VIEW = z.object({
  wallet: z.string(),
  status: z.string(),
  cause: optional(z.string()),
  set_by: z.string(),
  seq: optional(z.number()),
  late: z.boolean(),
  at: date,
  recorded_at: date,
  details: z.unknown(),
});
const REPLICATE_VIEW = z.object({
  wallet: z.string(),
  name: optional(z.string()),
  status: z.string(),
  cause: optional(z.string()),
  tries: z.number(),
  weight: amount,
  exit_code: optional(z.number()),
  result_link: optional(z.string()),
  callback_data: optional(z.string()),
  assigned_at: date,
  changed_at: date,
  alive: z.boolean(),
  contribution_hash: optional(z.string()),
  chain_status: optional(z.string()),
  has_logs: z.boolean(),
});

const toHistory = ({ set_by, recorded_at, wallet: _, ...row }: z.output<typeof HISTORY_VIEW>) => ({
  ...row,
  setBy: set_by,
  recordedAt: recorded_at,
});

/** Replicates of a task with their whole histories, oldest first. */
export async function viewReplicates(sql: Sql, id: TaskId, wallet?: Address) {
  const only = wallet ?? null;
  const rows = await sql.rows(
    `SELECT r.*, w.name, coalesce(NOT w.lost, false) AS alive, c.result_hash AS contribution_hash, c.status AS chain_status,
       EXISTS (SELECT 1 FROM replicate_logs l WHERE l.task_id = r.task_id AND l.wallet = r.wallet) AS has_logs
     FROM replicates r LEFT JOIN workers w ON w.wallet = r.wallet
       LEFT JOIN contributions c ON c.task_id = r.task_id AND c.wallet = r.wallet
     WHERE r.task_id = $1 AND ($2::text IS NULL OR r.wallet = $2) ORDER BY r.assigned_at, r.wallet`,
    [id, only],
    REPLICATE_VIEW,
  );
  const history = await sql.rows(
    "SELECT * FROM replicate_statuses WHERE task_id = $1 AND ($2::text IS NULL OR wallet = $2) ORDER BY wallet, n",
    [id, only],
    HISTORY_VIEW,
  );
  return rows.map((row) => ({
    wallet: row.wallet,
    workerName: row.name,
    status: row.status,
    cause: row.cause,
    tries: row.tries,
    weight: row.weight,
    exitCode: row.exit_code,
    resultLink: row.result_link,
    callbackData: row.callback_data,
    assignedAt: row.assigned_at,
    changedAt: row.changed_at,
    alive: row.alive,
    contributionHash: row.contribution_hash,
    chainStatus: row.chain_status ?? "UNSET",
    hasLogs: row.has_logs,
    history: history.filter((entry) => entry.wallet === row.wallet).map(toHistory),
  }));
}
export type ReplicateView = Awaited<ReturnType<typeof viewReplicates>>[number];

const TASK_HISTORY_VIEW = z.object({ status: z.string(), cause: optional(z.string()), at: date });
export const viewTaskHistory = (sql: Sql, id: TaskId) =>
  sql.rows("SELECT status, cause, at FROM task_statuses WHERE task_id = $1 ORDER BY n", [id], TASK_HISTORY_VIEW);

const CALL_VIEW = z
  .object({
    kind: z.string(),
    state: z.string(),
    outcome: optional(z.string()),
    reason: optional(z.string()),
    tx_hash: optional(z.string()),
    created_at: date,
  })
  .transform(({ tx_hash, created_at, ...row }) => ({ ...row, txHash: tx_hash, createdAt: created_at }));
export const viewCalls = (sql: Sql, id: TaskId) =>
  sql.rows("SELECT kind, state, outcome, reason, tx_hash, created_at FROM effects WHERE task_id = $1 ORDER BY created_at", [id], CALL_VIEW);

const WORKER_VIEW = z
  .object({
    wallet: z.string(),
    name: z.string(),
    os: z.string(),
    cpu: z.string(),
    cpu_nb: z.number(),
    memory_gb: z.number(),
    gpu: z.boolean(),
    tee: z.boolean(),
    tdx: z.boolean(),
    max_tasks: z.number(),
    lost: z.boolean(),
    registered_at: date,
    last_alive: date,
    used: z.coerce.number(),
    completed: z.coerce.number(),
  })
  .transform((row) => ({
    wallet: row.wallet,
    name: row.name,
    os: row.os,
    cpu: row.cpu,
    cpuNb: row.cpu_nb,
    memorySize: row.memory_gb,
    gpuEnabled: row.gpu,
    teeEnabled: row.tee,
    tdxEnabled: row.tdx,
    maxTasks: row.max_tasks,
    computing: row.used,
    completed: row.completed,
    alive: !row.lost,
    registeredAt: row.registered_at,
    lastAlive: row.last_alive,
  }));
export const viewWorkers = (sql: Sql, limit: number) =>
  sql.rows(
    `SELECT w.*, (SELECT count(*) FROM replicates r WHERE r.wallet = w.wallet AND r.slot) AS used,
       (SELECT count(*) FROM replicates r WHERE r.wallet = w.wallet AND r.status = 'COMPLETED') AS completed
     FROM workers w ORDER BY w.lost, w.last_alive DESC LIMIT $1`,
    [limit],
    WORKER_VIEW,
  );

const DEAL_VIEW = z
  .object({
    id: z.string(),
    state: z.string(),
    reason: optional(z.string()),
    requester: z.string(),
    app: z.string(),
    dataset: z.string(),
    pool_price: amount,
    worker_stake: amount,
    trust: amount,
    category: amount,
    tag: z.string(),
    bot_first: amount,
    bot_size: amount,
    start_time: deadline,
    block_number: optional(amount),
    tx_hash: optional(z.string()),
    created_at: date,
    done: z.coerce.number(),
  })
  .transform((row) => ({
    dealId: row.id,
    state: row.state,
    skipReason: row.reason,
    requester: row.requester,
    app: row.app,
    dataset: row.dataset,
    workerpoolPrice: row.pool_price,
    workerStake: row.worker_stake,
    trust: row.trust,
    category: row.category,
    tag: row.tag,
    botFirst: row.bot_first,
    botSize: row.bot_size,
    startTime: row.start_time,
    blockNumber: row.block_number,
    txHash: row.tx_hash,
    seenAt: row.created_at,
    completedTasks: row.done,
  }));
export const viewDeals = (sql: Sql, limit: number, before: Date | undefined) =>
  sql.rows(
    `SELECT d.*, (SELECT count(*) FROM tasks t WHERE t.deal_id = d.id AND t.status = 'COMPLETED') AS done
     FROM deals d WHERE $2::timestamptz IS NULL OR d.created_at < $2 ORDER BY d.created_at DESC, d.id LIMIT $1`,
    [limit, before ?? null],
    DEAL_VIEW,
  );

const LOGS_VIEW = z.object({ wallet: z.string(), stdout: z.string(), stderr: z.string() });
export const viewLogs = (sql: Sql, id: TaskId, wallet?: Address) =>
  sql.rows(
    "SELECT wallet, stdout, stderr FROM replicate_logs WHERE task_id = $1 AND ($2::text IS NULL OR wallet = $2) ORDER BY wallet",
    [id, wallet ?? null],
    LOGS_VIEW,
  );

const COUNT_VIEW = z.object({ status: z.string(), count: z.coerce.number() });
export const viewTaskCounts = (sql: Sql) => sql.rows("SELECT status, count(*) AS count FROM tasks GROUP BY status", [], COUNT_VIEW);

const CAPACITY_VIEW = z.object({
  alive: z.coerce.number(),
  cpu: z.coerce.number(),
  gpu: z.coerce.number(),
  busy_cpu: z.coerce.number(),
  busy_gpu: z.coerce.number(),
  deals: z.coerce.number(),
  last_deal_block: z.coerce.number(),
});
/** Workers that ping, their CPUs and GPUs, and how many of them compute. */
export async function viewCapacity(sql: Sql) {
  const none = { alive: 0, cpu: 0, gpu: 0, busy_cpu: 0, busy_gpu: 0, deals: 0, last_deal_block: 0 };
  const row = await sql.row(
    `SELECT count(*) AS alive, coalesce(sum(cpu_nb), 0) AS cpu, count(*) FILTER (WHERE gpu) AS gpu,
       coalesce(sum(used) FILTER (WHERE NOT gpu), 0) AS busy_cpu, coalesce(sum(used) FILTER (WHERE gpu), 0) AS busy_gpu,
       (SELECT count(*) FROM deals) AS deals, (SELECT coalesce(max(block_number), 0) FROM deals) AS last_deal_block
     FROM (SELECT w.cpu_nb, w.gpu, (SELECT count(*) FROM replicates r WHERE r.wallet = w.wallet AND r.slot) AS used FROM workers w WHERE NOT w.lost) x`,
    [],
    CAPACITY_VIEW,
  );
  return row ?? none;
}
