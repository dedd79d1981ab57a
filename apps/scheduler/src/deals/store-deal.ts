import {
  type Address,
  type ChainTime,
  type Deal,
  type DealId,
  dealDeadlines,
  needsGpu,
  needsTee,
  taskIdOf,
  teeFrameworkOf,
  ZERO_ADDRESS,
} from "@iexec-ts/poco";
import { z } from "zod";
import { address } from "../store/columns.ts";
import type { Sql } from "../store/database.ts";
import { signalAll } from "../store/signals.ts";
import type { SkipReason } from "./admission.ts";

/** Tasks written by one statement. */
const CHUNK = 500n;

export interface SeenDeal {
  readonly deal: Deal;
  readonly period: bigint;
  readonly skip: SkipReason | undefined;
  readonly blockNumber: bigint;
  readonly txHash: string;
}

/** Records a deal and the tasks of its bag; a deal already recorded is left as it is. */
export async function storeDeal(sql: Sql, { deal, period, skip, blockNumber, txHash }: SeenDeal): Promise<boolean> {
  const inserted = await sql.run(
    `INSERT INTO deals (id, state, reason, requester, app, dataset, pool_owner, pool_price, worker_stake, trust, category, period, tag, callback,
       params, start_time, bot_first, bot_size, block_number, tx_hash)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20) ON CONFLICT (id) DO NOTHING`,
    [
      deal.id,
      skip === undefined ? "accepted" : "skipped",
      skip ?? null,
      deal.requester,
      deal.app.pointer,
      deal.dataset.pointer,
      deal.workerpool.owner,
      deal.workerpool.price,
      deal.workerStake,
      deal.trust,
      deal.category,
      period,
      deal.tag,
      deal.callback,
      deal.params.replaceAll("\0", "\uFFFD"),
      deal.startTime,
      deal.botFirst,
      deal.botSize,
      blockNumber,
      txHash,
    ],
  );
  if (inserted === 0 || skip !== undefined) return inserted > 0;
  const { contribution, final } = dealDeadlines(deal.startTime, period);
  for (let start = 0n; start < deal.botSize; start += CHUNK) await storeTasks(sql, deal, period, start, { contribution, final });
  return true;
}

const CALLBACK = z.object({ callback: address });

/** The callback of a recorded deal; the zero address when it has none. */
export async function callbackOf(sql: Sql, id: DealId): Promise<Address> {
  return (await sql.row("SELECT callback FROM deals WHERE id = $1", [id], CALLBACK))?.callback ?? ZERO_ADDRESS;
}

async function storeTasks(
  sql: Sql,
  deal: Deal,
  period: bigint,
  start: bigint,
  deadlines: { readonly contribution: ChainTime; readonly final: ChainTime },
): Promise<void> {
  const size = deal.botSize - start < CHUNK ? deal.botSize - start : CHUNK;
  const indices = Array.from({ length: Number(size) }, (_, offset) => deal.botFirst + start + BigInt(offset));
  const ids = indices.map((index) => taskIdOf(deal.id, index).toLowerCase());
  await sql.run(
    `INSERT INTO tasks (id, deal_id, idx, status, needs_tee, needs_gpu, trust, worker_stake, period, contribution_deadline, final_deadline)
     SELECT id, $3, idx, 'RECEIVED', $4, $5, $6, $7, $8, $9, $10 FROM unnest($1::text[], $2::bigint[]) AS new (id, idx)
     ON CONFLICT DO NOTHING`,
    [
      ids,
      indices.map(String),
      deal.id,
      needsTee(deal.tag) ? (teeFrameworkOf(deal.tag) ?? null) : null,
      needsGpu(deal.tag),
      deal.trust,
      deal.workerStake,
      period,
      deadlines.contribution,
      deadlines.final,
    ],
  );
  await sql.run("INSERT INTO task_statuses (task_id, n, status) SELECT unnest($1::text[]), 1, 'RECEIVED' ON CONFLICT DO NOTHING", [ids]);
  const at = new Date().toISOString();
  await signalAll(sql, "task", ids);
  await signalAll(
    sql,
    "status",
    ids.map((taskId) => JSON.stringify({ taskId, status: "RECEIVED", at })),
  );
}
