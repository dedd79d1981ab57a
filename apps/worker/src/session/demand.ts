import type { RpcPool } from "@iexec-ts/chain";
import type { ReplicateStatus } from "@iexec-ts/poco";
import { type Backoff, type Clock, CodedError, type Logger, openScope, orAborted, type Pulse } from "@iexec-ts/service";
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
  readonly link: Pick<SchedulerLink, "demand" | "configuration">;
  readonly pool: Pick<RpcPool, "head">;
  readonly journal: Journal;
  readonly slots: () => number;
  readonly gate: Gate;
  /** Told after each look at the gate. */
  readonly onLook: (refusal: CodedError | undefined) => void;
  /** @returns false when the task is not for us: the next one is not asked for at once */
  readonly take: (assignment: Assignment) => Promise<boolean>;
  /** Asks for a task that was given without our hearing of it. @returns false when what was missed is not known or not taken in yet */
  readonly catchUp: () => Promise<boolean>;
  readonly backoff: () => Backoff;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Between two beats of the loop: several times what any of its awaits may take. */
export const DEMAND_BOUND_MS = 240_000;
/** A slot that came free is noticed after this time, whether the journal told of it or not. */
const LOOK_AGAIN_MS = 60_000;
/** Longest time for the gate's look at this host. */
const GATE_MS = 60_000;
/** Longest time for one question, beside the pace that a v9 pool asks for. */
const ASK_MS = 150_000;
/** Longest time to take a task in: a few reads of the chain. */
const TAKE_MS = 150_000;

/**
 * Asks the scheduler for work as long as a slot is free and the gate is open.
 *
 * SIDE EFFECTS: sends demands; hands each assignment to `take`.
 * @returns a loop for a watchdog; each run of it goes on where an earlier one stood still, and ends with its pulse
 */
export function demandLoop(deps: DemandDeps): (pulse: Pulse) => Promise<void> {
  const { link, pool, journal, slots, gate, clock, log } = deps;
  let lastRefusal: string | undefined;
  /** Something was asked, and what came of it is not in the journal for certain: what the scheduler gave must be asked for. */
  let owed = false;

  const ask = async (signal: AbortSignal, pulse: Pulse): Promise<Assignment | undefined> => {
    const ms = ASK_MS + link.configuration.askForReplicatePeriod;
    pulse.beat(ms + GATE_MS);
    using limit = openScope([signal], { ms, clock });
    owed = true;
    return await orAborted(link.demand({ blockNumber: pool.head().number }, limit.signal), limit.signal);
  };

  return async (pulse) => {
    const { signal } = pulse;
    const backoff = deps.backoff();
    while (!signal.aborted) {
      pulse.beat();
      using turn = openScope([signal]);
      const changed = new CodedError("WRK-1313");
      const unhook = gate.onChange(() => turn.end(changed));
      try {
        // One task that cannot be taken in must not end the asking for others.
        const stillOwed = owed && !(await deps.catchUp());
        if (signal.aborted) return;
        pulse.beat();
        owed = stillOwed;
        await freeSlot(journal, slots, turn.signal, clock);
        if (slotsInUse(journal) >= slots()) continue;
        const refusal = await lookAt(gate, signal, clock);
        if (signal.aborted) return;
        deps.onLook(refusal);
        if (refusal !== undefined) {
          if (refusal.code !== lastRefusal) log.warn("not asking for tasks", { error: refusal });
          lastRefusal = refusal.code;
          await clock.sleep(backoff.nextMs(), turn.signal);
          continue;
        }
        if (lastRefusal !== undefined) log.info("asking for tasks again", { after: lastRefusal });
        lastRefusal = undefined;
        const assignment = await ask(turn.signal, pulse);
        pulse.beat();
        const kept = assignment === undefined || (await takeInTime(deps, assignment, signal));
        // A run that was given up may end late: what the next one asked is not its to settle.
        if (signal.aborted) return;
        owed = stillOwed;
        if (kept) backoff.reset();
        else await clock.sleep(backoff.nextMs(), turn.signal);
      } catch (thrown) {
        if (signal.aborted) return;
        if (turn.signal.aborted) backoff.reset();
        else {
          log.warn("demand failed", { error: CodedError.from(thrown) });
          await clock.sleep(backoff.nextMs(), turn.signal).catch(() => undefined);
        }
      } finally {
        unhook();
      }
    }
  };
}

/** A host that cannot be looked at is a reason not to ask. */
async function lookAt(gate: Gate, signal: AbortSignal, clock: Clock): Promise<CodedError | undefined> {
  using limit = openScope([signal], {
    ms: GATE_MS,
    clock,
    reason: () => new CodedError("WRK-1536", { what: "what tells whether a task may be asked for", seconds: GATE_MS / 1_000 }),
  });
  try {
    return await orAborted(gate.look(), limit.signal);
  } catch (thrown) {
    const error = CodedError.from(thrown);
    if (error.code === "WRK-1536") return error;
    throw thrown;
  }
}

async function takeInTime({ take, clock }: DemandDeps, assignment: Assignment, signal: AbortSignal): Promise<boolean> {
  using limit = openScope([signal], { ms: TAKE_MS, clock });
  return await orAborted(take(assignment), limit.signal);
}

/** Resolves when fewer than `slots` replicates are being worked on, and after a while in any case. */
async function freeSlot(journal: Journal, slots: () => number, signal: AbortSignal, clock: Clock): Promise<void> {
  signal.throwIfAborted();
  if (slotsInUse(journal) < slots()) return;
  using free = openScope([signal]);
  const unsubscribe = journal.onChange(() => {
    if (slotsInUse(journal) < slots()) free.end();
  });
  try {
    await clock.sleep(LOOK_AGAIN_MS, free.signal);
  } catch {
    signal.throwIfAborted();
  } finally {
    unsubscribe();
  }
}
