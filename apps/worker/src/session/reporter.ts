import type { TaskId } from "@iexec-ts/poco";
import { type Backoff, type Clock, CodedError, type Logger } from "@iexec-ts/service";
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

/**
 * Tells the scheduler what the journal recorded: each status of a task in order, tasks side by side, until it is acknowledged. The work never
 * waits for it.
 *
 * SIDE EFFECTS: sends reports; marks them delivered in the journal.
 */
export class Reporter {
  readonly #journal: Journal;
  readonly #link: SchedulerLink;
  readonly #onAction: (taskId: TaskId, action: TaskAction) => void;
  readonly #backoff: () => Backoff;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #running = new Map<TaskId, Promise<void>>();
  readonly #stop = new AbortController();
  readonly #unsubscribe: () => void;

  constructor(
    link: SchedulerLink,
    onAction: (taskId: TaskId, action: TaskAction) => void,
    deps: { readonly journal: Journal; readonly backoff: () => Backoff; readonly clock: Clock; readonly log: Logger },
  ) {
    this.#link = link;
    this.#onAction = onAction;
    this.#journal = deps.journal;
    this.#backoff = deps.backoff;
    this.#clock = deps.clock;
    this.#log = deps.log;
    this.#unsubscribe = this.#journal.onChange(({ taskId }) => this.kick(taskId));
    for (const taskId of this.#journal.tasksWithUndelivered()) this.kick(taskId);
  }

  kick(taskId: TaskId): void {
    if (this.#stop.signal.aborted || this.#running.has(taskId)) return;
    const delivery = this.#deliver(taskId).finally(() => {
      this.#running.delete(taskId);
      // Recorded between the last look and now.
      if (!this.#stop.signal.aborted && this.#journal.undelivered(taskId).length > 0) this.kick(taskId);
    });
    this.#running.set(taskId, delivery);
  }

  /** Waits for what is under way, at most until `signal` aborts, then stops. */
  async close(signal: AbortSignal): Promise<void> {
    this.#unsubscribe();
    const idle = Promise.allSettled(this.#running.values());
    const cut = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    await Promise.race([idle, cut]);
    this.#stop.abort(new CodedError("WRK-1313"));
    await Promise.allSettled(this.#running.values());
  }

  async #deliver(taskId: TaskId): Promise<void> {
    const backoff = this.#backoff();
    const signal = this.#stop.signal;
    // Not in the same turn as the journal's write: the stage that recorded it goes on first.
    await Promise.resolve();
    for (
      let next = this.#journal.undelivered(taskId)[0];
      next !== undefined && !signal.aborted;
      next = this.#journal.undelivered(taskId)[0]
    ) {
      try {
        const answer = await this.#link.report(reportOf(next), signal);
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
