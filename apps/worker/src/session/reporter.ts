import type { TaskId } from "@iexec-ts/poco";
import {
  type Backoff,
  type Clock,
  CodedError,
  createWatchdog,
  type Logger,
  openScope,
  orAborted,
  type Pulse,
  type Watchdog,
} from "@iexec-ts/service";
import type { SchedulerLink, StatusReport, TaskAction } from "@iexec-ts/wire";
import type { Journal } from "../replicate/journal.ts";
import type { StatusChange } from "../replicate/replicate.ts";

const reportOf = (change: StatusChange): StatusReport => ({
  taskId: change.taskId,
  seq: change.seq,
  status: change.status,
  at: change.at,
  ...(change.cause === undefined ? {} : { cause: change.cause }),
  ...(change.details === undefined ? {} : { details: change.details }),
});

/** The link tries one report for as long as it is let; after this time it is given it anew, in case the answer was lost. */
const REPORT_MS = 300_000;
const BOUND_MS = REPORT_MS + 60_000;

export interface ReporterDeps {
  readonly journal: Journal;
  readonly backoff: () => Backoff;
  readonly clock: Clock;
  readonly log: Logger;
  /** Watches each delivery; one of its own unless given. */
  readonly watchdog?: Watchdog;
}

/**
 * Tells the scheduler what the journal recorded: each status of a task in order, tasks side by side, until it is acknowledged. The work never
 * waits for it.
 *
 * SIDE EFFECTS: sends reports; marks them delivered in the journal.
 */
export class Reporter {
  readonly #journal: Journal;
  readonly #link: Pick<SchedulerLink, "report">;
  readonly #onAction: (taskId: TaskId, action: TaskAction) => void;
  readonly #backoff: () => Backoff;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #watchdog: Watchdog;
  readonly #running = new Map<TaskId, Promise<void>>();
  readonly #stop = new AbortController();
  readonly #unsubscribe: () => void;

  constructor(link: Pick<SchedulerLink, "report">, onAction: (taskId: TaskId, action: TaskAction) => void, deps: ReporterDeps) {
    this.#link = link;
    this.#onAction = onAction;
    this.#journal = deps.journal;
    this.#backoff = deps.backoff;
    this.#clock = deps.clock;
    this.#log = deps.log;
    this.#watchdog = deps.watchdog ?? createWatchdog({ clock: deps.clock, log: deps.log });
    this.#unsubscribe = this.#journal.onChange(({ taskId }) => this.kick(taskId));
    for (const taskId of this.#journal.tasksWithUndelivered()) this.kick(taskId);
  }

  kick(taskId: TaskId): void {
    const { signal } = this.#stop;
    if (signal.aborted || this.#running.has(taskId)) return;
    const delivery = this.#watchdog
      .keep({ loop: "reporter", of: taskId, boundMs: BOUND_MS, signal }, (pulse) => this.#deliver(taskId, pulse))
      .finally(() => {
        this.#running.delete(taskId);
        // Recorded between the last look and now.
        if (!signal.aborted && this.#journal.undelivered(taskId).length > 0) this.kick(taskId);
      });
    this.#running.set(taskId, delivery);
  }

  /** Waits for what is under way, at most until `signal` aborts, then stops. */
  async close(signal: AbortSignal): Promise<void> {
    this.#unsubscribe();
    await orAborted(Promise.allSettled(this.#running.values()), signal).catch(() => undefined);
    this.#stop.abort(new CodedError("WRK-1313"));
    await Promise.allSettled(this.#running.values());
  }

  async #deliver(taskId: TaskId, pulse: Pulse): Promise<void> {
    const backoff = this.#backoff();
    const { signal } = pulse;
    // Not in the same turn as the journal's write: the stage that recorded it goes on first.
    await Promise.resolve();
    while (!signal.aborted) {
      pulse.beat();
      const next = this.#journal.undelivered(taskId)[0];
      if (next === undefined) return;
      using limit = openScope([signal], { ms: REPORT_MS, clock: this.#clock });
      try {
        const answer = await orAborted(this.#link.report(reportOf(next), limit.signal), limit.signal);
        this.#journal.delivered(taskId, next.seq);
        backoff.reset();
        if (answer.kind === "refused") this.#log.info("scheduler refused a status", { taskId, status: next.status, action: answer.action });
        if (answer.action !== undefined) this.#onAction(taskId, answer.action);
      } catch (thrown) {
        if (signal.aborted) return;
        const error = CodedError.from(thrown);
        this.#log.warn("status not delivered yet", { taskId, status: next.status, error });
        await this.#clock.sleep(backoff.nextMs(), signal).catch(() => undefined);
      }
    }
  }
}
