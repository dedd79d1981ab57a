import type { RpcPool } from "@iexec-ts/chain";
import { type Address, isFinal, type ReplicateStatus, type TaskId } from "@iexec-ts/poco";
import { type Backoff, type Clock, CodedError, type Logger, openScope, orAborted, type Watchdog } from "@iexec-ts/service";
import type { Assignment, SchedulerConnection, TaskNotification, WorkerDescription } from "@iexec-ts/wire";
import type { ReplicateEngine } from "../replicate/engine.ts";
import type { Journal } from "../replicate/journal.ts";
import type { Replicate } from "../replicate/replicate.ts";
import { canRetry } from "../replicate/retry.ts";
import { DEMAND_BOUND_MS, demandLoop, type Gate } from "./demand.ts";
import { Reporter } from "./reporter.ts";

export interface MembershipDeps {
  readonly link: SchedulerConnection;
  readonly me: WorkerDescription & { readonly walletAddress: Address };
  readonly engine: Pick<ReplicateEngine, "notify" | "drive" | "onClosed">;
  readonly journal: Journal;
  readonly pool: Pick<RpcPool, "head">;
  readonly slots: () => number;
  readonly takeIn: (assignment: Assignment) => Promise<Replicate>;
  readonly gate: Gate;
  readonly onLook: (refusal: CodedError | undefined) => void;
  readonly backoff: () => Backoff;
  readonly clock: Clock;
  readonly log: Logger;
  readonly watchdog: Watchdog;
  /** Ends what joining waits for. */
  readonly signal: AbortSignal;
}

export interface Membership {
  /** Stops asking for tasks; everything else goes on. */
  stopAsking(reason: CodedError): void;
  /** Tells the scheduler what this worker offers now. */
  describe(me: WorkerDescription): Promise<void>;
  close(): Promise<void>;
}

const REPORT_GRACE_MS = 2_000;
/** Between two looks at what the scheduler may have asked for without being heard. */
const SWEEP_MS = 15_000;
/** Longest time to ask what was missed and to take it in. */
const CATCH_UP_MS = 120_000;
/** Longest time for one try to register. */
const REGISTER_MS = 60_000;
const SWEEP_BOUND_MS = 2 * CATCH_UP_MS;
/** The chain does not say when the scheduler wants an upload: only here can a lost notification cost anything. */
const WAITS_ON_SCHEDULER: ReadonlySet<ReplicateStatus> = new Set<ReplicateStatus>([
  "REVEALED",
  "RESULT_UPLOAD_FAILED",
  "RESULT_UPLOAD_REQUEST_FAILED",
]);

/**
 * The worker as a member of its workerpool: registered, told of changes, reporting its statuses, asking for tasks.
 *
 * SIDE EFFECTS: registers; asks what was missed; from then on drives the engine with what the scheduler says.
 */
export async function joinPool(deps: MembershipDeps): Promise<Membership> {
  const { link, engine, journal, pool, log, clock, watchdog } = deps;
  await register(deps);
  const hint = (taskId: TaskId, action: TaskNotification["action"]) =>
    engine.notify({
      taskId,
      action,
      workers: [],
      blockNumber: undefined,
      abortCause: undefined,
      smsUrl: undefined,
      authorization: undefined,
    });
  const unhook = [
    link.onNotification((notification) => engine.notify(notification)),
    engine.onClosed((replicate) => link.unsubscribe(replicate.taskId)),
  ];

  const take = async (assignment: Assignment) => {
    const { taskId, status } = await deps.takeIn(assignment);
    const kept = !isFinal(status);
    log.info(kept ? "task taken" : "task refused", { taskId });
    if (kept) link.subscribe(taskId);
    engine.drive(taskId);
    return kept;
  };
  const leaving = new AbortController();
  const askMissed = async (signal: AbortSignal): Promise<void> => {
    let failure: CodedError | undefined;
    for (const missed of await link.interrupted({ blockNumber: pool.head().number }, signal)) {
      if (journal.find(missed.taskId) === undefined && missed.authorization !== undefined) {
        const failed = await take({ authorization: missed.authorization, smsUrl: missed.smsUrl }).then(
          () => undefined,
          (thrown: unknown) => CodedError.from(thrown),
        );
        if (failed !== undefined) log.warn("a task that was missed cannot be taken", { error: failed });
        if (failed?.retry === "retry") failure ??= failed;
      }
      engine.notify(missed);
    }
    if (failure !== undefined) throw failure;
  };
  const catchUp = async (): Promise<boolean> => {
    using limit = openScope([leaving.signal], { ms: CATCH_UP_MS, clock });
    try {
      await orAborted(askMissed(limit.signal), limit.signal);
      return true;
    } catch (thrown) {
      if (!leaving.signal.aborted) log.warn("could not ask what was missed", { error: CodedError.from(thrown) });
      return false;
    }
  };
  for (const { taskId } of journal.unfinished()) link.subscribe(taskId);
  const waits = deps.backoff();
  // Bounded: by the signal; each try has a limit, and nothing is owed to a scheduler that cannot answer.
  while (!(await catchUp()) && journal.unfinished().length > 0) await clock.sleep(waits.nextMs(), deps.signal);
  // Not before: until it was asked what was missed, the scheduler takes what a restarted worker does again for out of place, and aborts it.
  const reporter = new Reporter(link, hint, { journal, backoff: deps.backoff, clock, log, watchdog });
  unhook.push(link.onCatchUp(() => void catchUp()));

  const sweeping = watchdog.keep({ loop: "sweep", boundMs: SWEEP_BOUND_MS, signal: leaving.signal }, async (pulse) => {
    while (!pulse.signal.aborted) {
      pulse.beat();
      await clock.sleep(SWEEP_MS, pulse.signal).catch(() => undefined);
      if (!pulse.signal.aborted && journal.unfinished().some(({ progress }) => WAITS_ON_SCHEDULER.has(progress))) await catchUp();
    }
  });
  const asking = new AbortController();
  const loop = watchdog.keep({ loop: "demand", boundMs: DEMAND_BOUND_MS, signal: asking.signal }, demandLoop({ ...deps, take, catchUp }));
  return {
    stopAsking: (reason) => asking.abort(reason),
    describe: (me) => link.register(me, leaving.signal),
    async close() {
      leaving.abort(new CodedError("WRK-1313"));
      asking.abort(new CodedError("WRK-1313"));
      await Promise.all([loop, sweeping]);
      for (const remove of unhook) remove();
      await reporter.close(AbortSignal.timeout(REPORT_GRACE_MS));
      await link.close();
    },
  };
}

/** Tries until the scheduler takes us in or refuses for good: it may go away in the very moment after it was reached. */
async function register({ link, me, backoff, clock, log, signal }: MembershipDeps): Promise<void> {
  const waits = backoff();
  // Bounded: each try has a limit, and the loop ends with the signal or with an answer.
  for (;;) {
    using limit = openScope([signal], { ms: REGISTER_MS, clock });
    try {
      await orAborted(link.register(me, limit.signal), limit.signal);
      return;
    } catch (thrown) {
      const error = CodedError.from(thrown);
      if (signal.aborted || !(canRetry(error) || limit.signal.aborted)) throw thrown;
      log.warn("not registered yet", { error });
      await clock.sleep(waits.nextMs(), signal);
    }
  }
}
