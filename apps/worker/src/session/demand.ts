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

export interface DemandDeps {
  readonly link: SchedulerLink;
  readonly pool: RpcPool;
  readonly journal: Journal;
  readonly slots: number;
  /** Why no task may be asked for now, or undefined. */
  readonly refusal: () => Promise<CodedError | undefined>;
  readonly take: (assignment: Assignment) => Promise<void>;
  readonly backoff: () => Backoff;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Asks the scheduler for work as long as a slot is free.
 *
 * SIDE EFFECTS: sends demands; hands each assignment to `take`.
 * @returns when `signal` aborts
 */
export async function demandLoop(deps: DemandDeps, signal: AbortSignal): Promise<void> {
  const { link, pool, journal, slots, clock, log } = deps;
  const backoff = deps.backoff();
  let lastRefusal: string | undefined;
  while (!signal.aborted) {
    try {
      await freeSlot(journal, slots, signal);
      const refusal = await deps.refusal();
      if (refusal !== undefined) {
        if (refusal.code !== lastRefusal) log.warn("not asking for tasks", { error: refusal });
        lastRefusal = refusal.code;
        await clock.sleep(backoff.nextMs(), signal);
        continue;
      }
      lastRefusal = undefined;
      const assignment = await link.demand({ blockNumber: pool.head().number }, signal);
      if (assignment !== undefined) await deps.take(assignment);
      backoff.reset();
    } catch (thrown) {
      if (signal.aborted) return;
      log.warn("demand failed", { error: CodedError.from(thrown) });
      await clock.sleep(backoff.nextMs(), signal).catch(() => undefined);
    }
  }
}

/** Resolves when fewer than `slots` replicates are being worked on. */
async function freeSlot(journal: Journal, slots: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  if (slotsInUse(journal) < slots) return;
  await new Promise<void>((resolve, reject) => {
    const finish = (done: () => void) => {
      unsubscribe();
      signal.removeEventListener("abort", onAbort);
      done();
    };
    const onAbort = () => finish(() => reject(signal.reason));
    const unsubscribe = journal.onChange(() => {
      if (slotsInUse(journal) < slots) finish(resolve);
    });
    signal.addEventListener("abort", onAbort, { once: true });
  });
}
