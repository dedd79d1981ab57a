import type { RpcPool } from "@iexec-ts/chain";
import type { ReplicateStatus } from "@iexec-ts/poco";
import { type Backoff, type Clock, CodedError, type Logger } from "@iexec-ts/service";
import type { Assignment, SchedulerLink } from "@iexec-ts/wire";
import type { Journal } from "../replicate/journal.ts";

/** A slot is held from the assignment until the computation is over. @source wire.md 8 */
const HOLDS_SLOT: ReadonlySet<ReplicateStatus> = new Set<ReplicateStatus>([
  "CREATED",
  "RUNNING",
  "APP_DOWNLOADING",
  "APP_DOWNLOADED",
  "DATA_DOWNLOADING",
  "DATA_DOWNLOADED",
  "COMPUTING",
]);

export const slotsInUse = (journal: Journal): number => journal.unfinished().filter((r) => HOLDS_SLOT.has(r.progress)).length;

/** Whether a task may be asked for. */
export interface Gate {
  /** Why not, or undefined. */
  look(): Promise<CodedError | undefined>;
  /** Calls back when the answer may be another one. */
  onChange(listener: () => void): () => void;
}

export interface DemandDeps {
  readonly link: SchedulerLink;
  readonly pool: RpcPool;
  readonly journal: Journal;
  readonly slots: () => number;
  readonly gate: Gate;
  /** Told after each look at the gate. */
  readonly onLook: (refusal: CodedError | undefined) => void;
  /** @returns false when the task is not for us: the next one is not asked for at once */
  readonly take: (assignment: Assignment) => Promise<boolean>;
  /** A task that was given in the very moment in which we stopped asking. */
  readonly catchUp: () => Promise<void>;
  readonly backoff: () => Backoff;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Asks the scheduler for work as long as a slot is free and the gate is open.
 *
 * SIDE EFFECTS: sends demands; hands each assignment to `take`.
 * @returns when `signal` aborts
 */
export async function demandLoop(deps: DemandDeps, signal: AbortSignal): Promise<void> {
  const { link, pool, journal, slots, gate, clock, log } = deps;
  const backoff = deps.backoff();
  let lastRefusal: string | undefined;
  while (!signal.aborted) {
    const turn = new AbortController();
    const unhook = gate.onChange(() => turn.abort(new CodedError("WRK-1313")));
    const either = AbortSignal.any([turn.signal, signal]);
    let asking = false;
    try {
      await freeSlot(journal, slots, either);
      const refusal = await gate.look();
      deps.onLook(refusal);
      if (refusal !== undefined) {
        if (refusal.code !== lastRefusal) log.warn("not asking for tasks", { error: refusal });
        lastRefusal = refusal.code;
        await clock.sleep(backoff.nextMs(), either);
        continue;
      }
      if (lastRefusal !== undefined) log.info("asking for tasks again", { after: lastRefusal });
      lastRefusal = undefined;
      asking = true;
      const assignment = await link.demand({ blockNumber: pool.head().number }, either);
      asking = false;
      if (assignment !== undefined && !(await deps.take(assignment))) await clock.sleep(backoff.nextMs(), either);
      else backoff.reset();
    } catch (thrown) {
      if (signal.aborted) return;
      if (turn.signal.aborted) {
        if (asking) await deps.catchUp();
        backoff.reset();
        continue;
      }
      log.warn("demand failed", { error: CodedError.from(thrown) });
      await clock.sleep(backoff.nextMs(), either).catch(() => undefined);
    } finally {
      unhook();
    }
  }
}

/** Resolves when fewer than `slots` replicates are being worked on. */
async function freeSlot(journal: Journal, slots: () => number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  if (slotsInUse(journal) < slots()) return;
  await new Promise<void>((resolve, reject) => {
    const finish = (done: () => void) => {
      unsubscribe();
      signal.removeEventListener("abort", onAbort);
      done();
    };
    const onAbort = () => finish(() => reject(signal.reason));
    const unsubscribe = journal.onChange(() => {
      if (slotsInUse(journal) < slots()) finish(resolve);
    });
    signal.addEventListener("abort", onAbort, { once: true });
  });
}
