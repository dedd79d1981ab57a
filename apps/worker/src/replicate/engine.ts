import { nanoRlc, type TaskId, type TaskObservation } from "@iexec-ts/poco";
import { type Backoff, CodedError, type ErrorCode } from "@iexec-ts/service";
import type { TaskNotification } from "@iexec-ts/wire";
import { type Decision, decide, type Observation, type Stage } from "./decide.ts";
import { faultFrom, faultOf } from "./faults.ts";
import { gasNeeded } from "./gas-reserve.ts";
import { giveBack } from "./give-back.ts";
import type { Ports } from "./ports.ts";
import type { Replicate } from "./replicate.ts";
import { canRetry } from "./retry.ts";
import { STAGES } from "./stages/index.ts";
import { Wakeups } from "./wakeups.ts";

/** Stages whose work costs no stake: they are dropped as soon as the task is over for us. */
const DROPPABLE: ReadonlySet<Stage> = new Set<Stage>(["DOWNLOAD_APP", "DOWNLOAD_DATA", "COMPUTE"]);

export interface EngineOptions {
  /** A contribution of this wallet that this journal did not make. */
  readonly onAlarm: (error: CodedError) => void;
  readonly backoff: () => Backoff;
}

/**
 * Drives every unfinished replicate: look, decide, do, look again. One loop per replicate; they share nothing but the ports.
 *
 * SIDE EFFECTS: through the stages, everything a worker does.
 */
export class ReplicateEngine {
  readonly #ports: Ports;
  readonly #options: EngineOptions;
  readonly #closedListeners = new Set<(replicate: Replicate) => void>();
  readonly #wakeups = new Wakeups();
  readonly #loops = new Map<TaskId, Promise<void>>();
  /** Tasks whose chain could not be read at the last look. */
  readonly #blind = new Set<TaskId>();
  readonly #stop = new AbortController();
  readonly #unsubscribe: () => void;
  /** Alarms are raised once each. */
  readonly #alarmed = new Set<ErrorCode>();

  constructor(ports: Ports, options: EngineOptions) {
    this.#ports = ports;
    this.#options = options;
    this.#unsubscribe = ports.pool.onHead(() => this.#wakeups.wakeAll(this.#loops.keys()));
  }

  /** Starts, or goes on with, the loop of one replicate. */
  drive(taskId: TaskId): void {
    if (this.#loops.has(taskId) || this.#stop.signal.aborted) return;
    const loop = this.#loop(taskId).finally(() => {
      this.#loops.delete(taskId);
      this.#wakeups.forget(taskId);
      this.#blind.delete(taskId);
    });
    this.#loops.set(taskId, loop);
  }

  /** Takes a hint of the scheduler into the journal and looks again. */
  notify(notification: TaskNotification): void {
    const { journal } = this.#ports;
    const replicate = journal.find(notification.taskId);
    if (replicate === undefined || replicate.closedAt !== undefined) return;
    if (notification.action === "PLEASE_UPLOAD") journal.note(replicate.taskId, { uploadRequested: true });
    if (notification.action === "PLEASE_ABORT") journal.note(replicate.taskId, { abort: notification.abortCause ?? "UNKNOWN" });
    this.#wakeups.wake(replicate.taskId);
  }

  /** Called when nothing is left to do for a replicate. */
  onClosed(listener: (replicate: Replicate) => void): () => void {
    this.#closedListeners.add(listener);
    return () => this.#closedListeners.delete(listener);
  }

  /** Stops every loop where it stands; what is on disk is enough to go on later. */
  async close(): Promise<void> {
    this.#unsubscribe();
    this.#stop.abort(new CodedError("WRK-1313"));
    await Promise.allSettled(this.#loops.values());
  }

  async #loop(taskId: TaskId): Promise<void> {
    const { journal, log, clock } = this.#ports;
    const signal = this.#stop.signal;
    const backoff = this.#options.backoff();
    while (!signal.aborted) {
      try {
        const decision = await this.#decide(taskId);
        if (decision.kind === "done") return;
        if (decision.kind === "wait" && this.#blind.has(taskId)) await this.#waitForSight(taskId, backoff.nextMs(), signal);
        else {
          await this.#carryOut(taskId, decision, signal);
          backoff.reset();
        }
      } catch (thrown) {
        if (signal.aborted) return;
        const error = faultFrom(thrown);
        log.warn("replicate will try again", { taskId, status: journal.find(taskId)?.status, error });
        await clock.sleep(backoff.nextMs(), signal).catch(() => undefined);
      }
    }
  }

  /** A node that comes back may have no new block to wake us with. */
  async #waitForSight(taskId: TaskId, ms: number, signal: AbortSignal): Promise<void> {
    const over = new AbortController();
    const until = AbortSignal.any([over.signal, signal]);
    try {
      await Promise.race([this.#wakeups.sleep(taskId, until), this.#ports.clock.sleep(ms, until)]);
    } finally {
      over.abort();
    }
  }

  async #carryOut(taskId: TaskId, decision: Exclude<Decision, { kind: "done" }>, signal: AbortSignal): Promise<void> {
    const { journal } = this.#ports;
    switch (decision.kind) {
      case "record":
        if (decision.status === "COMPLETED") this.#ports.checkpoint("W20");
        journal.record(taskId, decision.status, {
          ...(decision.cause === undefined ? {} : { cause: decision.cause }),
          ...(decision.mirror === undefined ? {} : { mirror: decision.mirror }),
        });
        return;
      case "stage":
        await this.#runStage(taskId, decision.stage, signal);
        if (decision.stage === "PURGE") this.#tellClosed(journal.get(taskId));
        return;
      case "wait":
        await this.#wakeups.sleep(taskId, signal);
        return;
      case "alarm": {
        this.#options.onAlarm(new CodedError("WRK-1305", { taskId }));
        await this.#wakeups.sleep(taskId, signal);
        return;
      }
      default:
        return decision satisfies never;
    }
  }

  #tellClosed(replicate: Replicate): void {
    for (const listener of this.#closedListeners) listener(replicate);
  }

  /** Runs a stage; one that failed is given back where the table of faults says so, and thrown on to be tried again otherwise. */
  async #runStage(taskId: TaskId, stage: Stage, signal: AbortSignal): Promise<void> {
    try {
      await this.#work(taskId, stage, signal);
    } catch (thrown) {
      const error = faultFrom(thrown);
      if (signal.aborted) throw error;
      if (faultOf(error).follows === "alarm" && !this.#alarmed.has(error.code)) {
        this.#alarmed.add(error.code);
        this.#options.onAlarm(error);
      }
      if (!(await giveBack(this.#ports.journal.get(taskId), stage, error, this.#ports))) throw error;
    }
  }

  async #work(taskId: TaskId, stage: Stage, signal: AbortSignal): Promise<void> {
    const work = STAGES[stage];
    if (!DROPPABLE.has(stage)) return work(this.#ports.journal.get(taskId), this.#ports, signal);

    const dropped = new AbortController();
    const watching = new AbortController();
    const watch = this.#watchForDrop(taskId, dropped, AbortSignal.any([watching.signal, signal]));
    try {
      await work(this.#ports.journal.get(taskId), this.#ports, AbortSignal.any([dropped.signal, signal]));
    } catch (thrown) {
      // The next look records why it was dropped.
      if (!dropped.signal.aborted) throw thrown;
    } finally {
      watching.abort();
      await watch;
    }
  }

  /** While a long stage runs: look at the chain at each wake-up and drop the work once the task is over for us. */
  async #watchForDrop(taskId: TaskId, dropped: AbortController, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.#wakeups.sleep(taskId, signal);
        const decision = await this.#decide(taskId);
        if (decision.kind === "record") dropped.abort(new CodedError("WRK-1309", { taskId, status: decision.status }));
        if (dropped.signal.aborted) return;
      } catch (thrown) {
        if (signal.aborted) return;
        this.#ports.log.debug("could not look at the chain during a stage", { taskId, error: CodedError.from(thrown) });
      }
    }
  }

  async #decide(taskId: TaskId): Promise<Decision> {
    const { journal, worker } = this.#ports;
    const seen = await this.#observe(taskId);
    // Read after the chain, so that a hint that came meanwhile counts.
    return decide({ worker, replicate: journal.get(taskId), contribution: journal.contribution(taskId), seen });
  }

  async #observe(taskId: TaskId): Promise<Observation> {
    const { hub, journal, worker, log } = this.#ports;
    const promisedStake = nanoRlc(journal.promisedStake(taskId));
    let chain: TaskObservation | undefined;
    try {
      chain = await hub.observe(taskId, worker);
      const canPay = (await gasNeeded(taskId, this.#ports)).affordable;
      this.#blind.delete(taskId);
      return { chain, canPay, promisedStake };
    } catch (thrown) {
      const error = CodedError.from(thrown);
      if (!canRetry(error)) throw error;
      log.debug("chain not readable", { taskId, error });
      this.#blind.add(taskId);
      return { chain, canPay: true, promisedStake };
    }
  }
}
