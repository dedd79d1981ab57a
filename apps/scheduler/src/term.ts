import { createEventStream, createTxQueue, type Hub, type RpcPool } from "@iexec-ts/chain";
import {
  type Clock,
  CodedError,
  type Counter,
  type Gauge,
  type Histogram,
  type Logger,
  type Metrics,
  openScope,
  orAborted,
  type Pulse,
  type Random,
  type Watchdog,
} from "@iexec-ts/service";
import { createDealWatcher, WATCHED_TOPICS } from "./deals/watcher.ts";
import type { SchedulerOptions } from "./options.ts";
import type { Lead } from "./store/leader.ts";
import { postgresOutbox } from "./store/outbox.ts";
import { type Signals, signal as send } from "./store/signals.ts";
import { postpone } from "./store/tasks.ts";
import { CALLS_BOUND_MS, createCallRunner } from "./tasks/call-runner.ts";
import { createDispatcher, LOOK_BOUND_MS } from "./tasks/dispatcher.ts";
import type { EnclaveService } from "./tasks/enclave.ts";
import { createExecutor } from "./tasks/executor.ts";
import { LIVENESS_BOUND_MS, watchLiveness } from "./workers/liveness.ts";
import type { WorkerRegistry } from "./workers/registry.ts";

/** A safety net for signals that were lost in ways nobody thought of; nothing on a task's way waits for it. */
const SWEEP_MS = 10 * 60_000;
/** Between two sweeps deadlines and wishes are looked at this often, which costs three small queries. */
const LOOK_MS = 60_000;
const SWEEP_BOUND_MS = 4 * 60_000;
/** How long what runs in a term may take to end, and after it the queue. */
const PARTS_END_MS = 4_000;
const QUEUE_END_MS = 3_000;
/** A loop that was started again this often in a row and still stands still: a new term makes everything anew. */
const MAX_RESTARTS = 3;
const CHALLENGE_RETRY_MS = 5_000;

/** @source wire.md 5.1: logs are kept for 3 days after the final deadline */
const PURGE_LOGS = `DELETE FROM replicate_logs WHERE (task_id, wallet) IN (SELECT l.task_id, l.wallet FROM replicate_logs l
  JOIN tasks t ON t.id = l.task_id WHERE t.closed AND to_timestamp(t.final_deadline) < now() - interval '3 days' LIMIT 500)`;

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
  readonly pool: RpcPool;
  readonly hub: Hub;
  readonly signals: Signals;
  readonly registry: Pick<WorkerRegistry, "flush">;
  readonly enclaves: EnclaveService | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly watchdog: Watchdog;
  readonly metrics: TermMetrics;
  readonly decisionBoundMs: number | undefined;
  readonly onError: (thrown: unknown) => void;
}

/**
 * What one process of the pool does for all of them while it leads: follows the chain, decides tasks, sends transactions, and declares
 * workers lost. Everything it knows is in the database, so the next one goes on where this one stopped. A part that does not end with the
 * term is named and left behind; the lead refuses what it still writes.
 *
 * SIDE EFFECTS: all of the above, until the signal of the lead, or until a loop cannot be brought to move.
 */
export async function runTerm(deps: TermDeps, lead: Lead): Promise<void> {
  const { options, pool, hub, signals, registry, enclaves, clock, random, logger, watchdog, metrics, onError } = deps;
  const { database } = lead;
  using over = openScope([lead.signal]);
  const term = over.signal;
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
    watchdog,
    ...(deps.decisionBoundMs === undefined ? {} : { decisionBoundMs: deps.decisionBoundMs }),
    evaluate: async (id, signal) => {
      const began = clock.monotonicMs();
      const after = await executor.evaluate(id, signal);
      metrics.decisionSeconds.observe((clock.monotonicMs() - began) / 1_000);
      for (const { taskId } of after) if (!signal.aborted) await challenge(taskId);
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
    clock,
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
  const sweep = async (pulse: Pulse): Promise<void> => {
    let sweptMs: number | undefined;
    while (!pulse.signal.aborted) {
      pulse.beat();
      dispatcher.look();
      runner.look();
      const nowMs = clock.monotonicMs();
      try {
        if (sweptMs === undefined || nowMs - sweptMs >= SWEEP_MS) {
          await dispatcher.sweep();
          pulse.beat();
          await database.run(PURGE_LOGS);
          sweptMs = nowMs;
        }
      } catch (thrown) {
        if (!pulse.signal.aborted) onError(thrown);
      }
      await clock.sleep(LOOK_MS, pulse.signal).catch(() => undefined);
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
  const stopWatching = watchdog.onStall((_, { loop, restarts }) => {
    if (restarts >= MAX_RESTARTS && TERM_LOOPS.has(loop)) over.end();
  });
  metrics.leading.set(1);
  logger.info("leading", { workerpool: options.workerpool });
  const keep = (loop: string, boundMs: number, run: (pulse: Pulse) => Promise<void>): Promise<void> =>
    watchdog.keep({ loop, boundMs, signal: term }, run);
  const liveness = { lostAfterMs: options.lostAfterMs, clock, logger, flush: registry.flush };
  const parts: Readonly<Record<string, Promise<void>>> = {
    "chain events": stream.run(watcher.handle, term),
    dispatcher: keep("dispatcher", LOOK_BOUND_MS, dispatcher.run),
    calls: keep("calls", CALLS_BOUND_MS, runner.run),
    liveness: keep("liveness", LIVENESS_BOUND_MS, (pulse) => watchLiveness(database, liveness, pulse)),
    sweep: keep("sweep", SWEEP_BOUND_MS, sweep),
  };
  const end = async (part: string, ending: Promise<void>, ms: number): Promise<void> => {
    using patience = openScope([], { ms, clock });
    await orAborted(ending, patience.signal).catch((thrown: unknown) =>
      onError(patience.signal.aborted ? new CodedError("SCH-1204", { part }) : thrown),
    );
  };
  try {
    await Promise.race([Promise.all(Object.values(parts)), ended(term)]);
  } finally {
    over.end();
    metrics.leading.set(0);
    stopWatching();
    for (const stop of stopListening) stop();
    const all = Object.entries({ ...parts, decisions: dispatcher.settled() });
    await Promise.all(all.map(([part, promise]) => end(part, promise, PARTS_END_MS)));
    await end("transaction queue", queue.close(), QUEUE_END_MS);
  }
}

const TERM_LOOPS: ReadonlySet<string> = new Set(["chain events", "dispatcher", "calls", "liveness", "sweep"]);

const ended = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
