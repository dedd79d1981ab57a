import type { Cursor, Hub, RpcPool } from "@iexec-ts/chain";
import { type Address, bytes32Schema, type DealId, EVENT_TOPICS, HUB_ABI, lowerHex, sameHex, type TaskId } from "@iexec-ts/poco";
import { type Clock, CodedError, type Logger, openScope, orAborted } from "@iexec-ts/service";
import { type Hex, type Log, parseEventLogs } from "viem";
import { z } from "zod";
import { hex, units } from "../store/columns.ts";
import type { Database, Sql } from "../store/database.ts";
import { signal } from "../store/signals.ts";
import { skipReason } from "./admission.ts";
import { type SeenDeal, storeDeal } from "./store-deal.ts";

const CURSOR_NAME = "hub";
/** Longest that one batch of events may take; a deal may have a hundred thousand tasks, all written at once. */
const HANDLE_MS = 4 * 60_000;
const CURSOR = z
  .object({ block_number: units, block_hash: hex })
  .transform((row): Cursor => ({ blockNumber: row.block_number, blockHash: row.block_hash }));

const NAMES = [
  "SchedulerNotice",
  "TaskInitialize",
  "TaskContribute",
  "TaskConsensus",
  "TaskReveal",
  "TaskReopen",
  "TaskFinalize",
  "TaskClaimed",
] as const;

/** The events a scheduler follows; those of other pools on the same hub are dropped when they do not name a task of ours. */
export const WATCHED_TOPICS: readonly Hex[] = NAMES.map((name) => EVENT_TOPICS[name]);

interface TaskEvent {
  readonly name: (typeof NAMES)[number];
  readonly taskId: TaskId;
  readonly blockNumber: bigint;
  readonly txHash: Hex;
}
interface Notice {
  readonly dealId: DealId;
  readonly blockNumber: bigint;
  readonly txHash: Hex;
}

const taskArguments = z.object({ taskid: bytes32Schema });

function sort(logs: readonly Log[], workerpool: Address): { readonly notices: readonly Notice[]; readonly events: readonly TaskEvent[] } {
  const notices: Notice[] = [];
  const events: TaskEvent[] = [];
  for (const log of parseEventLogs({ abi: HUB_ABI, logs: [...logs], eventName: [...NAMES] })) {
    const { blockNumber, transactionHash: txHash } = log;
    if (blockNumber === null || txHash === null) continue;
    if (log.eventName === "SchedulerNotice") {
      if (sameHex(log.args.workerpool, workerpool)) notices.push({ dealId: lowerHex(log.args.dealid), blockNumber, txHash });
      continue;
    }
    events.push({ name: log.eventName, taskId: taskArguments.parse(log.args).taskid, blockNumber, txHash });
  }
  return { notices, events };
}

const OURS = z.object({ id: hex }).transform(({ id }) => id);

/** Notes the blocks of events that the state of the chain does not tell, and wakes the tasks; everything else is read from the state. */
async function noteEvents(sql: Sql, events: readonly TaskEvent[]): Promise<void> {
  const named = [...new Set(events.map(({ taskId }) => taskId))];
  if (named.length === 0) return;
  const ours = new Set(await sql.rows("SELECT id FROM tasks WHERE id = ANY ($1) AND NOT closed ORDER BY id FOR UPDATE", [named], OURS));
  for (const { name, taskId, blockNumber } of events) {
    if (!ours.has(taskId)) continue;
    if (name === "TaskInitialize") await sql.run("UPDATE tasks SET init_block = $2 WHERE id = $1", [taskId, blockNumber]);
    if (name === "TaskConsensus") await sql.run("UPDATE tasks SET consensus_block = $2 WHERE id = $1", [taskId, blockNumber]);
  }
  for (const id of ours) await signal(sql, "task", id);
}

export interface DealWatcher {
  load(): Promise<Cursor | undefined>;
  /** Handler of an event stream. Writes effects and cursor in one transaction. */
  handle(batch: { readonly logs: readonly Log[]; readonly cursor: Cursor }): Promise<void>;
}

/**
 * Turns the hub's events into deals, tasks and wake-ups. Idempotent: a deal is recorded once, and a task event only makes us look.
 *
 * Errors: SCH-1401 when a deal cannot be read yet; the stream delivers the batch again.
 * SIDE EFFECTS: writes the store; signals `task` at commit.
 */
export function createDealWatcher(deps: {
  readonly database: Database;
  readonly hub: Hub;
  readonly pool: RpcPool;
  readonly workerpool: Address;
  readonly owner: Address;
  readonly hasSms: boolean;
  readonly clock: Clock;
  readonly logger: Logger;
}): DealWatcher {
  const { database, hub, pool, workerpool, owner, hasSms, clock, logger } = deps;
  // Only the owner of the contracts can add categories: there are few.
  const periods = new Map<bigint, bigint>();

  const periodOf = async (category: bigint, dealId: DealId): Promise<bigint> => {
    const known = periods.get(category);
    if (known !== undefined) return known;
    const found = await hub.category(category);
    if (found === undefined) throw new CodedError("SCH-1402", { category, dealId });
    periods.set(category, found.period);
    return found.period;
  };

  const see = async ({ dealId, blockNumber, txHash }: Notice): Promise<SeenDeal> => {
    const deal = await hub.deal(dealId);
    if (deal === undefined) throw new CodedError("SCH-1401", { dealId, block: blockNumber });
    const period = await periodOf(deal.category, dealId);
    const skip = skipReason(deal, period, { now: pool.head().timestamp, owner, hasSms });
    return { deal, period, skip, blockNumber, txHash };
  };

  return {
    load: () => database.row("SELECT block_number, block_hash FROM chain_cursor WHERE name = $1", [CURSOR_NAME], CURSOR),
    async handle({ logs, cursor }) {
      // One that stands still is delivered again; what it still writes then is refused.
      using patience = openScope([], { ms: HANDLE_MS, clock });
      const { notices, events } = sort(logs, workerpool);
      const deals = await orAborted(Promise.all(notices.map(see)), patience.signal);
      const fresh = await database.transaction(
        async (sql) => {
          const stored: SeenDeal[] = [];
          for (const seen of deals) if (await storeDeal(sql, seen)) stored.push(seen);
          await noteEvents(sql, events);
          await sql.run(
            `INSERT INTO chain_cursor (name, block_number, block_hash) VALUES ($1, $2, $3)
           ON CONFLICT (name) DO UPDATE SET block_number = excluded.block_number, block_hash = excluded.block_hash, updated_at = now()`,
            [CURSOR_NAME, cursor.blockNumber, cursor.blockHash],
          );
          return stored;
        },
        patience.signal,
        HANDLE_MS,
      );
      for (const { deal, skip } of fresh) {
        if (skip === undefined) logger.info("deal accepted", { dealId: deal.id, tasks: deal.botSize, trust: deal.trust });
        else logger.warn("deal skipped", { dealId: deal.id, reason: skip });
      }
    },
  };
}
