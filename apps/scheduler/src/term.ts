import { createEventStream, createTxQueue, type Hub, type RpcPool } from "@iexec-ts/chain";
import type { Clock, Counter, Gauge, Histogram, Logger, Metrics, Random } from "@iexec-ts/service";
import { createDealWatcher, WATCHED_TOPICS } from "./deals/watcher.ts";
import type { SchedulerOptions } from "./options.ts";
import type { Database } from "./store/database.ts";
import { postgresOutbox } from "./store/outbox.ts";
import { type Signals, signal as send } from "./store/signals.ts";
import { postpone } from "./store/tasks.ts";
import { createCallRunner } from "./tasks/call-runner.ts";
import { createDispatcher } from "./tasks/dispatcher.ts";
import type { EnclaveService } from "./tasks/enclave.ts";
import { createExecutor } from "./tasks/executor.ts";
import { watchLiveness } from "./workers/liveness.ts";

/** A safety net for signals that were lost in ways nobody thought of; nothing on a task's way waits for it. */
const SWEEP_MS = 10 * 60_000;
const CHALLENGE_RETRY_MS = 5_000;

/** @source wire.md 5.1: logs are kept for 3 days after the final deadline */
const PURGE_LOGS = `DELETE FROM replicate_logs l USING tasks t
  WHERE t.id = l.task_id AND t.closed AND to_timestamp(t.final_deadline) < now() - interval '3 days'`;

/** Made once for a process, used in each of its terms. */
export interface TermMetrics {
  readonly leading: Gauge;
  readonly decisionSeconds: Histogram;
  readonly calls: Counter<"kind" | "outcome">;
}

export const termMetrics = (metrics: Metrics): TermMetrics => ({
  leading: metrics.gauge({ name: "leading", help: "1 in the process that leads the pool; the sum over the pool must be 1." }),
  decisionSeconds: metrics.histogram({
    name: "decision_seconds",
    help: "From a wake-up of a task to its committed decision; grows when the node or the database is slow.",
    buckets: [0.01, 0.05, 0.2, 1, 5, 30],
  }),
  calls: metrics.counter({
    name: "calls_total",
    help: "Transactions by kind and outcome; anything but mined costs time or gas.",
    labels: ["kind", "outcome"],
  }),
});

export interface TermDeps {
  readonly options: SchedulerOptions;
  readonly database: Database;
  readonly pool: RpcPool;
  readonly hub: Hub;
  readonly signals: Signals;
  readonly enclaves: EnclaveService | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: TermMetrics;
  readonly onError: (thrown: unknown) => void;
}

/**
 * What one process of the pool does for all of them while it leads: follows the chain, decides tasks, sends transactions, and declares
 * workers lost. Everything it knows is in the database, so the next one goes on where this one stopped.
 *
 * SIDE EFFECTS: all of the above, until the signal.
 */
export async function runTerm(deps: TermDeps, until: AbortSignal): Promise<void> {
  const { options, database, pool, hub, signals, enclaves, clock, random, logger, metrics, onError } = deps;
  const over = new AbortController();
  const term = AbortSignal.any([until, over.signal]);
  const queue = await createTxQueue(
    {
      pool,
      account: options.account,
      store: postgresOutbox(database),
      gas: options.gas,
      confirmations: options.confirmations,
      finalDepth: options.reorgDepth,
    },
    { clock, logger, random, onFault: onError, onForeign: (event) => logger.error("another program uses this wallet", { ...event }) },
  );
  const executor = createExecutor({ database, hub, pool, random, patience: options.patience });

  const challenge = async (taskId: `0x${string}`): Promise<void> => {
    try {
      if (enclaves === undefined) return;
      const address = await enclaves.challenge(taskId);
      await database.run("UPDATE tasks SET enclave_challenge = $2 WHERE id = $1 AND enclave_challenge IS NULL", [taskId, address]);
      await send(database, "task", taskId);
    } catch (thrown) {
      onError(thrown);
      await postpone(database, taskId, CHALLENGE_RETRY_MS);
    }
  };
  const dispatcher = createDispatcher({
    database,
    pool,
    clock,
    onError,
    signal: term,
    evaluate: async (id) => {
      const began = clock.monotonicMs();
      const after = await executor.evaluate(id);
      metrics.decisionSeconds.observe((clock.monotonicMs() - began) / 1_000);
      for (const { taskId } of after) await challenge(taskId);
    },
  });
  const runner = createCallRunner({
    database,
    hub,
    pool,
    queue,
    clock,
    logger,
    onError,
    signal: term,
    onOutcome: (kind, outcome) => metrics.calls.increment({ kind, outcome }),
  });
  const watcher = createDealWatcher({
    database,
    hub,
    pool,
    workerpool: options.workerpool,
    owner: options.account.address,
    hasSms: enclaves !== undefined,
    logger,
  });
  const stream = createEventStream(
    pool,
    {
      address: hub.configuration.address,
      topics: [[...WATCHED_TOPICS]],
      fromBlock: options.startBlock,
      reorgDepth: options.reorgDepth,
      lag: 0,
      maxRange: options.maxLogRange,
    },
    { load: watcher.load, clock, logger, random },
  );
  const sweepAgain = async (): Promise<void> => {
    while (!term.aborted) {
      await dispatcher.sweep();
      runner.look();
      await database.run(PURGE_LOGS);
      await clock.sleep(SWEEP_MS, term).catch(() => undefined);
    }
  };

  const stopListening = [
    signals.on("task", (id) => {
      if (/^0x[0-9a-f]{64}$/.test(id)) dispatcher.wake(`0x${id.slice(2)}`);
    }),
    signals.on("effect", () => runner.look()),
    signals.onGap(() => {
      dispatcher.sweep().catch(onError);
      runner.look();
    }),
  ];
  metrics.leading.set(1);
  logger.info("leading", { workerpool: options.workerpool });
  const duties = [
    stream.run(watcher.handle, term),
    watchLiveness(database, { lostAfterMs: options.lostAfterMs, clock, logger, signal: term }),
    sweepAgain(),
  ];
  try {
    await Promise.all(duties);
  } finally {
    over.abort();
    metrics.leading.set(0);
    for (const stop of stopListening) stop();
    await Promise.allSettled(duties);
    await dispatcher.settled();
    await queue.close();
  }
}
