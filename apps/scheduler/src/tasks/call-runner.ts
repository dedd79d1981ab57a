import type { Hub, RpcPool, TxOutcome, TxQueue } from "@iexec-ts/chain";
import type { Clock, Logger } from "@iexec-ts/service";
import { z } from "zod";
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

export interface CallRunner {
  /** Sends what is wanted and due; all wishes in parallel, each once. */
  look(): void;
}

/**
 * Carries out the wishes for transactions. A wish is durable before this sees it, and the queue's outbox joins a second submission of the
 * same id to the first: a crash anywhere leaves exactly one effect.
 *
 * SIDE EFFECTS: sends transactions; wakes the task when one is settled; runs until the signal.
 */
export function createCallRunner(deps: {
  readonly database: Database;
  readonly hub: Hub;
  readonly pool: RpcPool;
  readonly queue: TxQueue;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onError: (thrown: unknown) => void;
  readonly onOutcome: (kind: WantedCall["kind"], outcome: TxOutcome["kind"]) => void;
  readonly signal: AbortSignal;
}): CallRunner {
  const { database, hub, pool, queue, clock, logger, onError, onOutcome, signal } = deps;
  const inFlight = new Set<string>();
  let looking = false;
  let again = false;
  let timer: AbortController | undefined;

  const settle = async (wanted: WantedCall, outcome: TxOutcome): Promise<void> => {
    const mined = outcome.kind === "mined" || outcome.kind === "reverted" ? outcome : undefined;
    // The next decision must see a block that holds it.
    if (mined !== undefined) await pool.waitForBlock(mined.receipt.blockNumber, signal);
    const reason = reasonOf(outcome);
    await database.transaction(async (sql) => {
      await sql.run("UPDATE effects SET state = 'settled', outcome = $2, reason = $3, tx_hash = $4, settled_at = now() WHERE id = $1", [
        wanted.id,
        outcome.kind,
        reason?.slice(0, 500) ?? null,
        mined?.hash ?? null,
      ]);
      await send(sql, "task", wanted.taskId);
    });
    onOutcome(wanted.kind, outcome.kind);
    const record = { intent: wanted.id, taskId: wanted.taskId, txHash: mined?.hash };
    if (outcome.kind === "mined") logger.info(`${wanted.kind} mined`, record);
    else logger.warn(`${wanted.kind} ${outcome.kind}`, { ...record, reason });
  };

  const carryOut = async (wanted: WantedCall): Promise<void> => {
    try {
      const { address: hubAddress, callbackGas } = hub.configuration;
      const intent = intentOf(wanted, { address: hubAddress, callbackGas }, pool.head().timestamp);
      await settle(wanted, await queue.submit(intent, signal));
    } finally {
      inFlight.delete(wanted.id);
    }
  };

  const armTimer = async (): Promise<void> => {
    const next = await database.row(
      "SELECT extract(epoch FROM min(not_before) - now()) * 1000 AS ms FROM effects WHERE state = 'wanted' AND not_before > now()",
      [],
      NEXT,
    );
    timer?.abort();
    if (next?.ms === undefined || next.ms === null || signal.aborted) return;
    timer = new AbortController();
    clock.sleep(Math.max(0, next.ms) + 5, AbortSignal.any([timer.signal, signal])).then(look, () => undefined);
  };

  const lookOnce = async (): Promise<void> => {
    for (const wanted of await database.rows(SELECT_DUE, [], WANTED)) {
      if (inFlight.has(wanted.id) || signal.aborted) continue;
      inFlight.add(wanted.id);
      carryOut(wanted).catch((thrown: unknown) => {
        if (signal.aborted) return;
        onError(thrown);
        retryLater();
      });
    }
    await armTimer();
  };

  /** The queue itself failed, not the transaction: the wish stays, and is looked at again. */
  const retryLater = (): void => void clock.sleep(1_000, signal).then(look, () => undefined);

  const look = (): void => {
    again = true;
    if (looking || signal.aborted) return;
    looking = true;
    void (async () => {
      try {
        while (again && !signal.aborted) {
          again = false;
          await lookOnce();
        }
      } catch (thrown) {
        if (signal.aborted) return;
        onError(thrown);
        retryLater();
      } finally {
        looking = false;
      }
    })();
  };

  return { look };
}
