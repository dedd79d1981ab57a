import type { Hub, RpcPool } from "@iexec-ts/chain";
import { type Address, canFollow, lowerHex } from "@iexec-ts/poco";
import type { TaskNotification } from "@iexec-ts/wire";
import type { Assigner } from "../demand/assign.ts";
import type { ReplicateRecord, TaskRecord } from "../model.ts";
import type { Database, Sql } from "../store/database.ts";
import { readReplicate, readReplicatesOf, recordStatus } from "../store/replicates.ts";
import { signal } from "../store/signals.ts";
import { lockTask, readTask } from "../store/tasks.ts";
import type { WorkerRegistry } from "../workers/registry.ts";
import { isSettled, usesSlot } from "./classes.ts";
import { type Resumption, resumptionOf } from "./recovery.ts";

/** Replicates answered for at once; a worker with more asks again. */
const MAX_ANSWER = 64;

/**
 * Tells a worker that comes back what it missed. RECOVERING is recorded only when it has really been away: it registered again, or it had
 * been declared lost; a push channel that was cut for a moment is not a recovery.
 *
 * SIDE EFFECTS: writes the store; takes a CPU of the worker again for a task it goes on computing.
 * @source wire.md 1.4
 */
export function createInterrupted(deps: {
  readonly database: Database;
  readonly hub: Hub;
  readonly pool: RpcPool;
  readonly registry: WorkerRegistry;
  readonly assigner: Assigner;
  readonly smsUrl: string | undefined;
}): (wallet: Address) => Promise<readonly TaskNotification[]> {
  const { database, hub, pool, registry, assigner, smsUrl } = deps;

  const recover = async (sql: Sql, replicate: ReplicateRecord, restarted: boolean, { action }: Resumption): Promise<void> => {
    const { taskId, wallet, status } = replicate;
    const away = restarted || status === "WORKER_LOST";
    if (!away || isSettled(status) || !canFollow(status, "RECOVERING") || action === "PLEASE_ABORT" || action === "PLEASE_COMPLETE") return;
    await recordStatus(sql, {
      taskId,
      wallet,
      status: "RECOVERING",
      setBy: "scheduler",
      at: new Date(),
      chain: pool.head().timestamp,
    });
    if (action === "PLEASE_CONTRIBUTE" && usesSlot(replicate.relevant)) {
      await sql.run("UPDATE replicates SET slot = true WHERE task_id = $1 AND wallet = $2", [taskId, wallet]);
    }
    await signal(sql, "task", taskId);
  };

  const resume = async (replicate: ReplicateRecord): Promise<{ task: TaskRecord; resumption: Resumption } | undefined> => {
    const task = await readTask(database, replicate.taskId);
    if (task === undefined) return undefined;
    const { number, timestamp } = pool.head();
    const [onChain, ours] = await Promise.all([hub.task(task.id, number), hub.contribution(task.id, replicate.wallet, number)]);
    const resumption = resumptionOf(task, replicate, onChain, ours, timestamp);
    return resumption === undefined ? undefined : { task, resumption };
  };

  return async (wallet) => {
    const replicates = (await readReplicatesOf(database, wallet)).slice(0, MAX_ANSWER);
    const resumed = await Promise.all(replicates.map(resume));
    const restarted = await registry.takeRecovering(database, wallet);
    const notifications: TaskNotification[] = [];
    for (const found of resumed) {
      if (found === undefined) continue;
      const { task, resumption } = found;
      await database.transaction(async (sql) => {
        if ((await lockTask(sql, task.id)) === undefined) return;
        const now = await readReplicate(sql, task.id, wallet);
        if (now !== undefined) await recover(sql, now, restarted, resumption);
      });
      notifications.push({
        taskId: task.id,
        action: resumption.action,
        workers: [lowerHex(wallet)],
        blockNumber: resumption.action === "PLEASE_REVEAL" ? (task.consensusBlock ?? pool.head().number) : undefined,
        abortCause: resumption.abortCause,
        smsUrl: task.tee === undefined ? undefined : smsUrl,
        authorization: await assigner.authorize(wallet, task),
      });
    }
    return notifications;
  };
}
