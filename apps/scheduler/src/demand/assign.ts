import type { Hub, RpcPool } from "@iexec-ts/chain";
import {
  type Address,
  authorizationHashOf,
  type Bytes32,
  type ChainTime,
  chainTime,
  isOpen,
  type NanoRlc,
  nanoRlc,
  needsMore,
  type TaskId,
  type WorkerpoolAuthorization,
  workerWeight,
  ZERO_ADDRESS,
} from "@iexec-ts/poco";
import type { Assignment } from "@iexec-ts/wire";
import type { PrivateKeyAccount } from "viem";
import { z } from "zod";
import type { TaskRecord } from "../model.ts";
import { givesUpContribution } from "../replicates/classes.ts";
import { hex, rlc, units } from "../store/columns.ts";
import type { Database, Sql } from "../store/database.ts";
import { insertReplicate, readReplicates, recordStatus } from "../store/replicates.ts";
import { signal } from "../store/signals.ts";
import { lockTask, setDemand } from "../store/tasks.ts";

/** Tasks looked at for one question before it is answered with nothing. */
const CANDIDATES = 8;
const MAX_TRIES = 2;

const WORKER = z.object({ gpu: z.boolean(), tee: z.boolean(), tdx: z.boolean(), max_tasks: z.number(), used: z.coerce.number() });
const PROMISED = z.object({ promised: rlc });
const CANDIDATE = z.object({ id: hex }).transform(({ id }) => id);
const CONTRIBUTION = z.object({ status: z.string(), result_hash: hex, wallet: hex, weight: units });
const PREVIOUS = z.object({ status: z.string() });

/** Open tasks this worker could do, the most urgent of those already running first; bits of the tag are compared as bits. */
const SELECT_OPEN = `SELECT t.id FROM tasks t
  WHERE t.open AND NOT t.closed AND t.contribution_deadline > $2 AND (t.worker_stake <= $6 OR (t.needs_tee IS NOT NULL AND t.trust <= 1))
    AND (NOT t.needs_gpu OR $3) AND (t.needs_tee IS NULL OR (t.needs_tee = 'tdx' AND $5) OR (t.needs_tee IN ('scone', 'gramine') AND $4))
    AND NOT EXISTS (SELECT 1 FROM replicates r WHERE r.task_id = t.id AND r.wallet = $1
      AND NOT (r.tries < $7 AND NOT r.slot AND r.status IN ('WORKER_LOST', 'RECOVERING')
        AND NOT EXISTS (SELECT 1 FROM contributions c WHERE c.task_id = t.id AND c.wallet = $1)))
  ORDER BY (t.status = 'RUNNING') DESC, t.contribution_deadline, t.created_at LIMIT $8`;

/** Stake that the worker will need for what it has taken and not yet contributed to. */
const SELECT_PROMISED = `SELECT coalesce(sum(r.stake), 0) AS promised FROM replicates r JOIN tasks t ON t.id = r.task_id
  WHERE r.wallet = $1 AND NOT t.closed AND t.ended_at IS NULL
    AND r.relevant IN ('CREATED', 'RUNNING', 'APP_DOWNLOADING', 'APP_DOWNLOADED', 'APP_DOWNLOAD_FAILED', 'DATA_DOWNLOADING', 'DATA_DOWNLOADED',
      'DATA_DOWNLOAD_FAILED', 'COMPUTING', 'COMPUTED', 'CAN_CONTRIBUTE', 'CONTRIBUTING')
    AND NOT EXISTS (SELECT 1 FROM contributions c WHERE c.task_id = r.task_id AND c.wallet = r.wallet)`;

/** An assignment that its worker has not confirmed in time: the answer may have been lost on the way. */
const SELECT_UNCONFIRMED = `SELECT r.task_id AS id FROM replicates r JOIN tasks t ON t.id = r.task_id
  WHERE r.wallet = $1 AND r.slot AND r.status = 'CREATED' AND r.changed_at < now() - make_interval(secs => $2)
    AND NOT t.closed AND t.ended_at IS NULL AND t.contribution_deadline > $3 ORDER BY r.changed_at LIMIT 1`;

const ANYTHING = `SELECT CASE WHEN EXISTS (SELECT 1 FROM tasks WHERE open) OR EXISTS (SELECT 1 FROM replicates
  WHERE wallet = $1 AND slot AND status = 'CREATED' AND changed_at < now() - make_interval(secs => $2)) THEN 1 ELSE 0 END AS value`;

export type Offer = { readonly kind: "assigned"; readonly assignment: Assignment } | { readonly kind: "nothing" };

export interface Assigner {
  /** Gives the worker one replicate if there is work for it now, unless the signal aborts before. */
  assign(wallet: Address, signal: AbortSignal): Promise<Offer>;
  authorize(wallet: Address, task: Pick<TaskRecord, "id" | "dealId" | "index" | "enclaveChallenge">): Promise<WorkerpoolAuthorization>;
}

/** Replication as the contracts will count it, from what is on chain and what is expected. */
async function wanted(sql: Sql, task: TaskRecord, now: ChainTime): Promise<boolean> {
  const contributions = await sql.rows(
    "SELECT status, result_hash, wallet, weight FROM contributions WHERE task_id = $1",
    [task.id],
    CONTRIBUTION,
  );
  const contributed = new Map<Bytes32, readonly bigint[]>();
  for (const { status, result_hash, weight } of contributions) {
    if (status === "CONTRIBUTED") contributed.set(result_hash, [...(contributed.get(result_hash) ?? []), weight]);
  }
  const onChain = new Set(contributions.map(({ wallet }) => wallet));
  const pending = (await readReplicates(sql, task.id)).filter(
    ({ wallet, alive, status, relevant, changedChain }) =>
      !onChain.has(wallet) &&
      alive &&
      !givesUpContribution(status) &&
      !givesUpContribution(relevant) &&
      isOpen(chainTime(changedChain + task.period), now),
  );
  return needsMore({ contributed, pendingWeights: pending.map(({ weight }) => weight), trust: task.trust });
}

/**
 * Gives replicates to workers that ask. A task is taken under its lock and a worker under its own, so no task gets one replicate too many
 * and no worker one task too many, however many processes answer.
 *
 * SIDE EFFECTS: writes the store; signs with the pool owner's key.
 * @source wire.md 6.3, 6.4, 6.9
 */
export function createAssigner(deps: {
  readonly database: Database;
  readonly hub: Hub;
  readonly pool: RpcPool;
  readonly account: PrivateKeyAccount;
  readonly smsUrl: string | undefined;
  readonly redeliverMs: number;
}): Assigner {
  const { database, hub, pool, account, smsUrl, redeliverMs } = deps;

  const authorize: Assigner["authorize"] = async (wallet, task) => {
    const enclaveChallenge = task.enclaveChallenge ?? ZERO_ADDRESS;
    const raw = authorizationHashOf(wallet, task.id, enclaveChallenge);
    return {
      chainTaskId: task.id,
      dealId: task.dealId,
      taskIndex: Number(task.index),
      workerWallet: wallet,
      enclaveChallenge,
      signature: { value: await account.signMessage({ message: { raw } }) },
    };
  };

  const give = async (sql: Sql, task: TaskRecord, wallet: Address, weight: bigint): Promise<void> => {
    const now = pool.head().timestamp;
    const previous = await sql.row("SELECT status FROM replicates WHERE task_id = $1 AND wallet = $2", [task.id, wallet], PREVIOUS);
    const entry = { taskId: task.id, wallet, setBy: "scheduler", at: new Date(), chain: now } as const;
    if (previous === undefined) {
      await insertReplicate(sql, { taskId: task.id, wallet, weight, stake: task.workerStake, chain: now, slot: true });
      await recordStatus(sql, { ...entry, status: "CREATED" });
    } else {
      // Its journal is gone with its first try: positions begin anew.
      await sql.run("UPDATE replicate_statuses SET seq = NULL WHERE task_id = $1 AND wallet = $2", [task.id, wallet]);
      await sql.run("UPDATE replicates SET tries = tries + 1, worker_seq = 0, told = NULL WHERE task_id = $1 AND wallet = $2", [
        task.id,
        wallet,
      ]);
      if (previous.status === "WORKER_LOST") await recordStatus(sql, { ...entry, status: "RECOVERING" });
      await recordStatus(sql, { ...entry, status: "CREATED", cause: "SECOND_TRY" });
    }
    const stillOpen = await wanted(sql, task, now);
    await setDemand(sql, task.id, stillOpen);
    await signal(sql, "task", task.id);
  };

  /** The task, if one more replicate of it is wanted; the caller's transaction now holds its lock. */
  const take = async (sql: Sql, id: TaskId, wallet: Address, score: bigint): Promise<TaskRecord | undefined> => {
    const found = await lockTask(sql, id);
    if (found === undefined || !found.open) return undefined;
    if (!(await wanted(sql, found, pool.head().timestamp))) {
      await setDemand(sql, id, false);
      return undefined;
    }
    await give(sql, found, wallet, workerWeight(score));
    return found;
  };

  const choose = async (sql: Sql, wallet: Address, stake: NanoRlc, score: bigint): Promise<TaskRecord | undefined> => {
    const now = pool.head().timestamp;
    const worker = await sql.row(
      `SELECT gpu, tee, tdx, max_tasks, (SELECT count(*) FROM replicates r WHERE r.wallet = w.wallet AND r.slot) AS used
       FROM workers w WHERE wallet = $1 FOR UPDATE`,
      [wallet],
      WORKER,
    );
    if (worker === undefined) return undefined;
    await sql.run("UPDATE workers SET last_demand = now(), last_alive = now() WHERE wallet = $1", [wallet]);
    const unconfirmed = await sql.row(SELECT_UNCONFIRMED, [wallet, redeliverMs / 1_000, now], CANDIDATE);
    if (unconfirmed !== undefined) {
      await sql.run("UPDATE replicates SET changed_at = now() WHERE task_id = $1 AND wallet = $2", [unconfirmed, wallet]);
      return await lockTask(sql, unconfirmed);
    }
    if (worker.used >= worker.max_tasks) return undefined;
    const promised = (await sql.row(SELECT_PROMISED, [wallet], PROMISED))?.promised ?? nanoRlc(0n);
    const parameters = [wallet, now, worker.gpu, worker.tee, worker.tdx, stake - promised, MAX_TRIES, CANDIDATES];
    let busy: TaskId | undefined;
    for (const id of await sql.rows(SELECT_OPEN, parameters, CANDIDATE)) {
      const locked = await sql.row("SELECT id FROM tasks WHERE id = $1 FOR UPDATE SKIP LOCKED", [id], CANDIDATE);
      if (locked === undefined) busy ??= id;
      const taken = locked === undefined ? undefined : await take(sql, id, wallet, score);
      if (taken !== undefined) return taken;
    }
    // Only tasks that somebody else is changing were left: the change is short, and it may leave something for us.
    return busy === undefined ? undefined : await take(sql, busy, wallet, score);
  };

  return {
    authorize,
    async assign(wallet, signal) {
      // Most questions of an idle pool end here, without a call to the chain.
      const [anything = 0] = await database.numbers(ANYTHING, [wallet, redeliverMs / 1_000]);
      if (anything === 0) return { kind: "nothing" };
      const { number } = pool.head();
      const [{ stake }, score] = await Promise.all([hub.account(wallet, number), hub.score(wallet, number)]);
      const task = await database.transaction((sql) => choose(sql, wallet, stake, score), signal);
      if (task === undefined) return { kind: "nothing" };
      const authorization = await authorize(wallet, task);
      return { kind: "assigned", assignment: { authorization, smsUrl: task.tee === undefined ? undefined : smsUrl } };
    },
  };
}
