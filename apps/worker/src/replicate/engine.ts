import { nanoRlc, type TaskId, type TaskObservation } from "@iexec-ts/poco";
import {
  type Backoff,
  CodedError,
  createWatchdog,
  type ErrorCode,
  openScope,
  orAborted,
  type Pulse,
  type Watchdog,
} from "@iexec-ts/service";
import type { TaskNotification } from "@iexec-ts/wire";
import { type Activity, ActivityNotes } from "./activity.ts";
import { type Decision, decide, type Observation, type Stage } from "./decide.ts";
import { faultFrom, faultOf } from "./faults.ts";
import { gasNeeded } from "./gas-reserve.ts";
import { giveBack } from "./give-back.ts";
import type { Ports } from "./ports.ts";
import type { Replicate } from "./replicate.ts";
import { canRetry } from "./retry.ts";
import { LOOK_AGAIN_MS, LOOP_BOUND_MS, stageBoundMs } from "./stage-bounds.ts";
import { STAGES } from "./stages/index.ts";
import { Wakeups } from "./wakeups.ts";
import { watchedPorts } from "./watched-ports.ts";

/** Stages whose work costs no stake: they are dropped as soon as the task is over for us. */
const DROPPABLE: ReadonlySet<Stage> = new Set<Stage>(["DOWNLOAD_APP", "DOWNLOAD_DATA", "COMPUTE"]);
/** A stage that was given up is given twice the time, and so on: it may have been slow, not dead. */
const MOST_PATIENCE = 64;

export interface EngineOptions {
  /** A contribution of this wallet that this journal did not make. */
  readonly onAlarm: (error: CodedError) => void;
  readonly backoff: () => Backoff;
  /** Watches each replicate; one of its own unless given. */
  readonly watchdog?: Watchdog;
}

/** One run of a replicate's loop. */
interface Turn {
  readonly taskId: TaskId;
  readonly ports: Ports;
  readonly pulse: Pulse;
  /** How much longer than its bound a stage may take, because an earlier run of it was given up. */
  readonly patience: number;
  /** Called when a stage is done. */
  readonly moved: () => void;
}

/**
 * Drives every unfinished replicate: look, decide, do, look again. One loop per replicate; they share nothing but the ports. Each is watched:
 * one that stands still is given up, and another run goes on from the journal.
 *
 * SIDE EFFECTS: through the stages, everything a worker does.
 */
export class ReplicateEngine {
  readonly #ports: Ports;
  readonly #options: EngineOptions;
  readonly #watchdog: Watchdog;
  readonly #closedListeners = new Set<(replicate: Replicate) => void>();
  readonly #wakeups: Wakeups;
  readonly #loops = new Map<TaskId, Promise<void>>();
  /** Tasks whose chain could not be read at the last look. */
  readonly #blind = new Set<TaskId>();
  readonly #notes = new ActivityNotes();
  readonly #stop = new AbortController();
  readonly #unsubscribe: () => void;
  /** Alarms are raised once each. */
  readonly #alarmed = new Set<ErrorCode>();

  constructor(ports: Ports, options: EngineOptions) {
    this.#ports = ports;
    this.#options = options;
    this.#watchdog = options.watchdog ?? createWatchdog({ clock: ports.clock, log: ports.log });
    this.#wakeups = new Wakeups(ports.clock);
    this.#unsubscribe = ports.pool.onHead(() => this.#wakeups.wakeAll(this.#loops.keys()));
  }

  /** Starts, or goes on with, the loop of one replicate. */
  drive(taskId: TaskId): void {
    if (this.#loops.has(taskId) || this.#stop.signal.aborted) return;
    let patience = 0.5;
    const moved = () => {
      patience = 1;
    };
    const loop = this.#watchdog
      .keep({ loop: "replicate", of: taskId, boundMs: LOOP_BOUND_MS, signal: this.#stop.signal }, (pulse) => {
        patience = Math.min(patience * 2, MOST_PATIENCE);
        return this.#loop({ taskId, pulse, ports: watchedPorts(this.#ports, pulse, patience), patience, moved });
      })
      .finally(() => {
        this.#loops.delete(taskId);
        this.#wakeups.forget(taskId);
        this.#blind.delete(taskId);
        this.#notes.forget(taskId);
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

  /** What is being done for a task, or waited for, and since when; undefined for one that is not driven. */
  activity(taskId: TaskId): Activity | undefined {
    return this.#notes.of(taskId);
  }

  /** Stops every loop where it stands; what is on disk is enough to go on later. One that hangs is left behind after a few seconds. */
  async close(): Promise<void> {
    this.#unsubscribe();
    this.#stop.abort(new CodedError("WRK-1313"));
    await Promise.allSettled(this.#loops.values());
  }

  async #loop(turn: Turn): Promise<void> {
    const { taskId, pulse } = turn;
    const { journal, log, clock } = turn.ports;
    const { signal } = pulse;
    const backoff = this.#options.backoff();
    while (!signal.aborted) {
      pulse.beat();
      try {
        const decision = await this.#decide(turn, signal);
        if (decision.kind === "done") return;
        if (decision.kind === "wait" && this.#blind.has(taskId)) {
          this.#notes.waits(taskId, "no node answers", clock.now());
          // A node that comes back may have no new block to wake us with.
          await this.#wakeups.sleep(taskId, signal, backoff.nextMs());
        } else {
          await this.#carryOut(turn, decision);
          backoff.reset();
        }
      } catch (thrown) {
        if (signal.aborted) return;
        const error = faultFrom(thrown);
        log.warn("replicate will try again", { taskId, status: journal.find(taskId)?.status, error });
        this.#notes.failed(taskId, error, clock.now());
        await clock.sleep(backoff.nextMs(), signal).catch(() => undefined);
      }
    }
  }

  async #carryOut(turn: Turn, decision: Exclude<Decision, { kind: "done" }>): Promise<void> {
    const { taskId, pulse, ports } = turn;
    const { journal, clock } = ports;
    switch (decision.kind) {
      case "record":
        if (decision.status === "COMPLETED") ports.checkpoint("W20");
        journal.record(taskId, decision.status, {
          ...(decision.cause === undefined ? {} : { cause: decision.cause }),
          ...(decision.mirror === undefined ? {} : { mirror: decision.mirror }),
        });
        return;
      case "stage":
        this.#notes.works(taskId, decision.stage, clock.now());
        pulse.beat(stageBoundMs(decision.stage, ports.policy) * turn.patience);
        await this.#runStage(turn, decision.stage);
        turn.moved();
        this.#notes.moved(taskId);
        if (decision.stage === "PURGE") this.#tellClosed(journal.get(taskId));
        return;
      case "wait":
        this.#notes.waits(taskId, WAITS_FOR[decision.reason], clock.now());
        await this.#wakeups.sleep(taskId, pulse.signal, LOOK_AGAIN_MS);
        return;
      case "alarm": {
        const error = new CodedError("WRK-1305", { taskId });
        this.#notes.failed(taskId, error, clock.now());
        this.#options.onAlarm(error);
        await this.#wakeups.sleep(taskId, pulse.signal, LOOK_AGAIN_MS);
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
  async #runStage(turn: Turn, stage: Stage): Promise<void> {
    const { taskId, ports, pulse } = turn;
    try {
      await this.#work(turn, stage);
    } catch (thrown) {
      const error = faultFrom(thrown);
      if (pulse.signal.aborted) throw error;
      if (faultOf(error).follows === "alarm" && !this.#alarmed.has(error.code)) {
        this.#alarmed.add(error.code);
        this.#options.onAlarm(error);
      }
      if (!(await giveBack(ports.journal.get(taskId), stage, error, ports))) throw error;
    }
  }

  async #work({ taskId, ports, pulse }: Turn, stage: Stage): Promise<void> {
    const work = STAGES[stage];
    if (!DROPPABLE.has(stage)) return work(ports.journal.get(taskId), ports, pulse.signal);

    using doing = openScope([pulse.signal]);
    using watching = openScope([pulse.signal]);
    const dropped = { yes: false };
    const drop = (error: CodedError): void => {
      dropped.yes = true;
      doing.end(error);
    };
    void this.#watchForDrop({ taskId, ports }, drop, watching.signal);
    try {
      await work(ports.journal.get(taskId), ports, doing.signal);
    } catch (thrown) {
      // The next look records why it was dropped.
      if (!dropped.yes) throw thrown;
    }
  }

  /** While a long stage runs: look at the chain at each wake-up and drop the work once the task is over for us. Ends with `signal`. */
  async #watchForDrop(turn: Pick<Turn, "taskId" | "ports">, drop: (error: CodedError) => void, signal: AbortSignal): Promise<void> {
    const { taskId } = turn;
    // Bounded: by the signal, which every await in it follows; it owes nothing but an early end.
    while (!signal.aborted) {
      try {
        await this.#wakeups.sleep(taskId, signal, LOOK_AGAIN_MS);
        const decision = await this.#decide(turn, signal);
        if (signal.aborted || decision.kind !== "record") continue;
        drop(new CodedError("WRK-1309", { taskId, status: decision.status }));
        return;
      } catch (thrown) {
        if (signal.aborted) return;
        this.#ports.log.debug("could not look at the chain during a stage", { taskId, error: CodedError.from(thrown) });
      }
    }
  }

  async #decide({ taskId, ports }: Pick<Turn, "taskId" | "ports">, signal: AbortSignal): Promise<Decision> {
    const { journal, worker } = ports;
    const seen = await orAborted(this.#observe(taskId, ports), signal);
    // Read after the chain, so that a hint that came meanwhile counts.
    return decide({ worker, replicate: journal.get(taskId), contribution: journal.contribution(taskId), seen });
  }

  async #observe(taskId: TaskId, ports: Ports): Promise<Observation> {
    const { hub, journal, worker, log } = ports;
    const promisedStake = nanoRlc(journal.promisedStake(taskId));
    let chain: TaskObservation | undefined;
    try {
      chain = await hub.observe(taskId, worker);
      const canPay = (await gasNeeded(taskId, ports)).affordable;
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

/** What each wait of `decide` is for, in words for a person. */
const WAITS_FOR = {
  chain: "it waits for what the chain shows next",
  scheduler: "it waits for its scheduler to ask for the result",
  gas: "the wallet cannot pay its gas",
} as const;
