import type { Hub, RpcPool, TxOutcome, TxQueue } from "@iexec-ts/chain";
import { type Clock, type Logger, openScope, orAborted, type Pulse } from "@iexec-ts/service";
import { z } from "zod";
import { Bell } from "../bell.ts";
import { address, chainSeconds, hex, units } from "../store/columns.ts";
import type { Database } from "../store/database.ts";
import { signal as send } from "../store/signals.ts";
import { intentOf, type WantedCall } from "./calls.ts";

const WANTED = z
  .object({
    id: z.string(),
    kind: z.enum(["initialize", "finalize", "reopen", "claim"]),
    task_id: hex,
    deal_id: hex,
    idx: units,
    call: z.unknown(),
    callback: address,
    contributors: units,
    contribution_deadline: chainSeconds,
    final_deadline: chainSeconds,
  })
  .transform(
    (row): WantedCall => ({
      id: row.id,
      kind: row.kind,
      taskId: row.task_id,
      dealId: row.deal_id,
      index: row.idx,
      call: row.call,
      callbackTarget: row.callback,
      contributors: row.contributors,
      contributionDeadline: row.contribution_deadline,
      finalDeadline: row.final_deadline,
    }),
  );

const SELECT_DUE = `SELECT e.id, e.kind, e.task_id, e.call, t.deal_id, t.idx, d.callback, t.contribution_deadline, t.final_deadline,
    (SELECT count(*) FROM contributions c WHERE c.task_id = t.id) AS contributors
  FROM effects e JOIN tasks t ON t.id = e.task_id JOIN deals d ON d.id = t.deal_id
  WHERE e.state = 'wanted' AND e.not_before <= now() ORDER BY e.created_at`;
const NEXT = z.object({ ms: z.coerce.number().nullable() });

const reasonOf = (outcome: TxOutcome): string | undefined => {
  if (outcome.kind === "refused") return outcome.reason;
  return outcome.kind === "out-of-gas" ? `needs ${outcome.needed} wei, has ${outcome.balance}` : undefined;
};

/** Wishes are looked for again after this, whatever was heard of. */
const LOOK_MS = 60_000;
const RETRY_MS = 1_000;
/** A submission that has no outcome after this is made again: the queue joins it to the first one, whatever became of our waiting. */
const SUBMIT_MS = 2 * 60_000;
export const CALLS_BOUND_MS = 3 * 60_000;

export interface CallRunner {
  /** Sends what is wanted and due; all wishes in parallel, each once. */
  look(): void;
  /** Looks after the wishes until the signal of the pulse. They are durable: it may be started again at any time. */
  run(pulse: Pulse): Promise<void>;
}

/**
 * Carries out the wishes for transactions. A wish is durable before this sees it, and the queue's outbox joins a second submission of the
 * same id to the first: a crash anywhere leaves exactly one effect.
 *
 * SIDE EFFECTS: sends transactions; wakes the task when one is settled; runs until the signal.
 */
export function createCallRunner(deps: {
  readonly database: Database;
  readonly hub: { readonly configuration: Pick<Hub["configuration"], "address" | "callbackGas"> };
  readonly pool: Pick<RpcPool, "head" | "waitForBlock">;
  readonly queue: Pick<TxQueue, "submit">;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onError: (thrown: unknown) => void;
  readonly onOutcome: (kind: WantedCall["kind"], outcome: TxOutcome["kind"]) => void;
  readonly signal: AbortSignal;
}): CallRunner {
  const { database, hub, pool, queue, clock, logger, onError, onOutcome, signal } = deps;
  const inFlight = new Set<string>();
  const bell = new Bell(clock);

  const settle = async (wanted: WantedCall, outcome: TxOutcome, within: AbortSignal): Promise<void> => {
    const mined = outcome.kind === "mined" || outcome.kind === "reverted" ? outcome : undefined;
    // The next decision must see a block that holds it.
    if (mined !== undefined) await pool.waitForBlock(mined.receipt.blockNumber, within);
    const reason = reasonOf(outcome);
    const settled = await database.transaction(async (sql) => {
      const changed = await sql.run(
        `UPDATE effects SET state = 'settled', outcome = $2, reason = $3, tx_hash = $4, settled_at = now()
         WHERE id = $1 AND state = 'wanted'`,
        [wanted.id, outcome.kind, reason?.slice(0, 500) ?? null, mined?.hash ?? null],
      );
      await send(sql, "task", wanted.taskId);
      return changed > 0;
    }, within);
    if (!settled) return;
    onOutcome(wanted.kind, outcome.kind);
    const record = { intent: wanted.id, taskId: wanted.taskId, txHash: mined?.hash };
    if (outcome.kind === "mined") logger.info(`${wanted.kind} mined`, record);
    else logger.warn(`${wanted.kind} ${outcome.kind}`, { ...record, reason });
  };

  const carryOut = async (wanted: WantedCall): Promise<void> => {
    using patience = openScope([signal], { ms: SUBMIT_MS, clock });
    try {
      const { address: hubAddress, callbackGas } = hub.configuration;
      const intent = intentOf(wanted, { address: hubAddress, callbackGas }, pool.head().timestamp);
      const outcome = await orAborted(queue.submit(intent, patience.signal), patience.signal);
      await settle(wanted, outcome, patience.signal);
    } catch (thrown) {
      if (signal.aborted) return;
      // One that only takes its time is asked for again; the queue or the store itself failed otherwise, and the wish stays.
      if (!patience.signal.aborted) {
        onError(thrown);
        await clock.sleep(RETRY_MS, signal).catch(() => undefined);
      }
      inFlight.delete(wanted.id);
      bell.ring();
    } finally {
      inFlight.delete(wanted.id);
    }
  };

  /** Begins what is due. Returns how long to sleep unless something rings, in milliseconds. */
  const lookOnce = async (pulse: Pulse): Promise<number> => {
    for (const wanted of await database.rows(SELECT_DUE, [], WANTED)) {
      if (pulse.signal.aborted) return 0;
      if (inFlight.has(wanted.id)) continue;
      inFlight.add(wanted.id);
      void carryOut(wanted);
    }
    const next = await database.row(
      "SELECT extract(epoch FROM min(not_before) - now()) * 1000 AS ms FROM effects WHERE state = 'wanted' AND not_before > now()",
      [],
      NEXT,
    );
    return Math.min(LOOK_MS, Math.max(0, next?.ms ?? LOOK_MS) + 5);
  };

  return {
    look: () => bell.ring(),
    async run(pulse) {
      while (!pulse.signal.aborted) {
        pulse.beat();
        let ms = RETRY_MS;
        try {
          ms = await lookOnce(pulse);
        } catch (thrown) {
          if (!pulse.signal.aborted) onError(thrown);
        }
        await bell.wait(ms, pulse.signal);
      }
    },
  };
}
