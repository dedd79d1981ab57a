import type { RpcPool } from "@iexec-ts/chain";
import type { ChainTime, TaskId } from "@iexec-ts/poco";
import { type Clock, CodedError, type Pulse, type Watchdog } from "@iexec-ts/service";
import { Bell } from "../bell.ts";
import type { Database } from "../store/database.ts";
import { dueTasks, nextWake, openEndedTasks, postpone } from "../store/tasks.ts";

const PARALLEL = 12;
const DUE_AT_ONCE = 500;
/** Under constant load deadlines are looked at after so many decisions. */
const LOOK_EVERY = 50;
/** Deadlines are looked at again after this by the wall clock, also when no block comes any more. */
const LOOK_MS = 60_000;
const RETRY_MS = { base: 250, longest: 15_000 };
/** Tasks whose failures in a row are counted; an older one begins to count anew. */
const MAX_FAILURES = 5_000;
export const LOOK_BOUND_MS = 2 * 60_000;
/** Longest that one decision may take: a few reads of the chain, one transaction, and the question for an enclave's key. */
export const DECISION_BOUND_MS = 2 * 60_000;

export interface Dispatcher {
  /** Decides this task soon; once more after the run that is under way, if there is one. */
  wake(id: TaskId): void;
  /** Looks for the nearest deadlines again: a decision may have set an earlier one. */
  look(): void;
  /** Decides every unfinished task: after a start, or when signals may have been lost. */
  sweep(): Promise<void>;
  /** Looks after the deadlines until the signal of the pulse. State is in the database: it may be started again at any time. */
  run(pulse: Pulse): Promise<void>;
  /** Resolves when no decision is being made; none begins after the signal. */
  settled(): Promise<void>;
}

/**
 * Runs decisions: one at a time for each task, several tasks at once, woken by events and by the nearest deadlines in chain time and in
 * wall time. There is no scan on the way of a task; the sweep is a safety net. A decision that stands still is told, refused whatever it
 * still writes, and gives its place to others; its task is decided again after a pause.
 *
 * SIDE EFFECTS: calls `evaluate`; timers; runs until the signal.
 */
export function createDispatcher(deps: {
  readonly database: Database;
  readonly pool: Pick<RpcPool, "head" | "onHead">;
  readonly clock: Clock;
  readonly watchdog: Watchdog;
  /** Decides one task; must write nothing after the abort of `signal`. */
  readonly evaluate: (id: TaskId, signal: AbortSignal) => Promise<void>;
  readonly onError: (thrown: unknown) => void;
  readonly signal: AbortSignal;
  /** @default DECISION_BOUND_MS */
  readonly decisionBoundMs?: number;
}): Dispatcher {
  const { database, pool, clock, watchdog, evaluate, onError, signal, decisionBoundMs = DECISION_BOUND_MS } = deps;
  const queue = new Set<TaskId>();
  const running = new Map<TaskId, Promise<void>>();
  const failures = new Map<TaskId, number>();
  const bell = new Bell(clock);
  let nextChain: ChainTime | undefined;
  let done = 0;

  const retryLater = async (id: TaskId): Promise<void> => {
    const times = (failures.get(id) ?? 0) + 1;
    failures.delete(id);
    failures.set(id, times);
    const [oldest] = failures.keys();
    if (failures.size > MAX_FAILURES && oldest !== undefined) failures.delete(oldest);
    await postpone(database, id, Math.min(RETRY_MS.longest, RETRY_MS.base * 2 ** Math.min(times - 1, 10))).catch(onError);
  };

  const decide = async (id: TaskId, pulse: Pulse): Promise<void> => {
    try {
      await evaluate(id, pulse.signal);
      failures.delete(id);
    } catch (thrown) {
      if (pulse.signal.aborted) return;
      onError(thrown);
      await retryLater(id);
    }
  };

  const run = async (id: TaskId): Promise<void> => {
    let runs = 0;
    await watchdog.keep({ loop: "decision", of: id, boundMs: decisionBoundMs, signal }, async (pulse) => {
      pulse.beat();
      runs += 1;
      if (runs === 1) return await decide(id, pulse);
      // The first run stands still. Deciding again at once could hold this place for ever; the task comes back by its wake-up.
      onError(new CodedError("SCH-1403", { taskId: id }));
      await retryLater(id);
    });
    running.delete(id);
    done += 1;
    pump();
    if (queue.size === 0 || done % LOOK_EVERY === 0) bell.ring();
  };

  const pump = (): void => {
    for (const id of queue) {
      if (running.size >= PARALLEL || signal.aborted) break;
      if (running.has(id)) continue;
      queue.delete(id);
      const decision = Promise.resolve().then(() => run(id));
      running.set(id, decision);
    }
  };

  /** Puts what is due into the line. Returns how long to sleep unless something rings, in milliseconds. */
  const lookOnce = async (pulse: Pulse): Promise<number> => {
    const due = await dueTasks(database, pool.head().timestamp, DUE_AT_ONCE);
    if (pulse.signal.aborted) return 0;
    for (const id of due) if (!running.has(id)) queue.add(id);
    pump();
    if (queue.size > 0) return LOOK_MS;
    const { chain, wallMs } = await nextWake(database, [...running.keys()]);
    nextChain = chain;
    if (isReached(chain, pool.head().timestamp)) return 0;
    return Math.min(LOOK_MS, Math.max(5, (wallMs ?? LOOK_MS) + 5));
  };

  return {
    wake(id) {
      if (signal.aborted) return;
      queue.add(id);
      pump();
    },
    look: () => bell.ring(),
    async sweep() {
      for (const id of await openEndedTasks(database)) queue.add(id);
      pump();
    },
    async run(pulse) {
      const unsubscribe = pool.onHead(({ timestamp }) => {
        if (isReached(nextChain, timestamp)) bell.ring();
      });
      try {
        while (!pulse.signal.aborted) {
          pulse.beat();
          let ms = RETRY_MS.longest;
          try {
            ms = await lookOnce(pulse);
          } catch (thrown) {
            if (!pulse.signal.aborted) onError(thrown);
          }
          if (ms > 0) await bell.wait(ms, pulse.signal);
        }
      } finally {
        unsubscribe();
      }
    },
    async settled() {
      while (running.size > 0) await Promise.all(running.values());
    },
  };
}

const isReached = (time: ChainTime | undefined, now: ChainTime): boolean => time !== undefined && time <= now;
