import type { RpcPool } from "@iexec-ts/chain";
import type { TaskId } from "@iexec-ts/poco";
import type { Clock } from "@iexec-ts/service";
import type { Database } from "../store/database.ts";
import { dueTasks, nextWake, openEndedTasks, postpone } from "../store/tasks.ts";

const PARALLEL = 12;
const DUE_AT_ONCE = 500;
/** Under constant load deadlines are looked at after so many decisions. */
const LOOK_EVERY = 50;
const RETRY_MS = { base: 250, longest: 15_000 };

export interface Dispatcher {
  /** Decides this task soon; once more after the run that is under way, if there is one. */
  wake(id: TaskId): void;
  /** Looks for the nearest deadlines again: a decision may have set an earlier one. */
  look(): void;
  /** Decides every unfinished task: after a start, or when signals may have been lost. */
  sweep(): Promise<void>;
  /** Resolves when no decision is being made; none begins after the signal. */
  settled(): Promise<void>;
}

/**
 * Runs decisions: one at a time for each task, several tasks at once, woken by events and by the nearest deadlines in chain time and in
 * wall time. There is no scan on the way of a task; the sweep is a safety net.
 *
 * SIDE EFFECTS: calls `evaluate`; timers; runs until the signal.
 */
export function createDispatcher(deps: {
  readonly database: Database;
  readonly pool: RpcPool;
  readonly clock: Clock;
  readonly evaluate: (id: TaskId) => Promise<void>;
  readonly onError: (thrown: unknown) => void;
  readonly signal: AbortSignal;
}): Dispatcher {
  const { database, pool, clock, evaluate, onError, signal } = deps;
  const queue = new Set<TaskId>();
  const running = new Map<TaskId, Promise<void>>();
  const failures = new Map<TaskId, number>();
  let deadlines: AbortController | undefined;
  let looking = false;
  let lookAgain = false;
  let done = 0;

  const run = async (id: TaskId): Promise<void> => {
    try {
      await evaluate(id);
      failures.delete(id);
    } catch (thrown) {
      if (signal.aborted) return;
      onError(thrown);
      const times = (failures.get(id) ?? 0) + 1;
      failures.set(id, times);
      await postpone(database, id, Math.min(RETRY_MS.longest, RETRY_MS.base * 2 ** Math.min(times - 1, 10))).catch(onError);
    } finally {
      running.delete(id);
      done += 1;
      if (done % LOOK_EVERY === 0) look();
      pump();
    }
  };

  const pump = (): void => {
    for (const id of queue) {
      if (running.size >= PARALLEL || signal.aborted) break;
      if (running.has(id)) continue;
      queue.delete(id);
      const decision = Promise.resolve().then(() => run(id));
      running.set(id, decision);
    }
    if (queue.size === 0 && running.size === 0) look();
  };

  const wake = (id: TaskId): void => {
    if (signal.aborted) return;
    queue.add(id);
    pump();
  };

  const lookOnce = async (): Promise<void> => {
    const due = await dueTasks(database, pool.head().timestamp, DUE_AT_ONCE);
    for (const id of due) if (!running.has(id)) queue.add(id);
    deadlines?.abort();
    if (queue.size > 0) {
      pump();
      return;
    }
    const { chain, wallMs } = await nextWake(database);
    const armed = new AbortController();
    deadlines = armed;
    const either = AbortSignal.any([armed.signal, signal]);
    const fire = (): void => {
      if (!either.aborted) look();
    };
    if (chain !== undefined) pool.waitForTime(chain, either).then(fire, () => undefined);
    if (wallMs !== undefined) clock.sleep(Math.max(5, wallMs + 5), either).then(fire, () => undefined);
  };

  const look = (): void => {
    lookAgain = true;
    if (looking || signal.aborted) return;
    looking = true;
    void (async () => {
      try {
        while (lookAgain && !signal.aborted) {
          lookAgain = false;
          await lookOnce();
        }
      } catch (thrown) {
        if (signal.aborted) return;
        onError(thrown);
        clock.sleep(RETRY_MS.longest, signal).then(look, () => undefined);
      } finally {
        looking = false;
      }
    })();
  };

  return {
    wake,
    look,
    async sweep() {
      for (const id of await openEndedTasks(database)) queue.add(id);
      pump();
    },
    async settled() {
      while (running.size > 0) await Promise.all(running.values());
    },
  };
}
