import { backoff } from "./backoff.ts";
import { type Clock, systemClock } from "./clock.ts";
import { CodedError } from "./errors/coded-error.ts";
import { type Logger, silentLogger } from "./logger.ts";
import { type Random, systemRandom } from "./random.ts";
import { openScope } from "./scope.ts";

/** What a watched loop is given: it says that it lives, and hears when it must end. */
export interface Pulse {
  /** Aborts when the loop must end, and also when it was given up because it missed its beat. */
  readonly signal: AbortSignal;
  /**
   * Says that the loop moved on.
   *
   * @param withinMs - milliseconds until the next beat is due; the loop's own bound unless given, and never less than that
   */
  beat(withinMs?: number): void;
}

export interface LoopOptions {
  /** What the loop is, in one or two words of few values: a label of metrics, such as `replicate` or `push link`. */
  readonly loop: string;
  /** Which of them, such as a task id; for people, never a label. */
  readonly of?: string;
  /** Milliseconds between two beats after which it counts as standing still. */
  readonly boundMs: number;
  /** Ends it for good. */
  readonly signal: AbortSignal;
}

/** A loop that missed its beat. */
export interface Stall {
  readonly loop: string;
  readonly of: string | undefined;
  /** Its last beat. */
  readonly since: Date;
  /** How often it was started again since that beat. */
  readonly restarts: number;
  /** When it moved again; undefined while it stands still. */
  readonly mendedAt: Date | undefined;
}

export interface Watchdog {
  /**
   * Runs a loop that owes something. When it misses its beat it is reported, its signal aborts, and `run` is called again at once; what the
   * old call was waiting for is not waited for. A call that throws is reported and made again after a back-off. Resolves when `run` returns,
   * or when `signal` aborts: then at most `graceMs` later, whatever `run` is doing. Never rejects.
   *
   * `run` may therefore be running twice for a moment, the older one with an aborted signal: it must do nothing irreversible without looking
   * at its signal, and must find what is left to do in durable state.
   *
   * SIDE EFFECTS: those of `run`; logs SVC-1501 and SVC-1502.
   */
  keep(options: LoopOptions, run: (pulse: Pulse) => Promise<void>): Promise<void>;
  /** Loops that stand still, and those of the last hour that moved again, newest first. */
  stalls(): readonly Stall[];
  /** Calls back with the coded error of each missed beat (SVC-1501), and of each loop that ended by itself (SVC-1502). */
  onStall(listener: (error: CodedError, stall: Stall) => void): () => void;
}

export interface WatchdogDeps {
  readonly clock?: Clock;
  readonly log?: Logger;
  readonly random?: Random;
  /** How long a loop may take to end once it was told to, in milliseconds. @default 5000 */
  readonly graceMs?: number;
}

const DEFAULT_GRACE_MS = 5_000;
const KEPT = 50;
const KEPT_FOR_MS = 3_600_000;
/** Longest sleep between two looks, so that a loop with a long bound does not hide one with a short bound that came later. */
const LOOK_MS = 60_000;
/** A look that comes later than this shows that the whole process stood still, not one loop. */
const LATE_MS = 2_000;

interface Watched {
  readonly options: LoopOptions;
  dueMs: number;
  lastBeat: Date;
  restarts: number;
  stall: Stall | undefined;
  giveUp: (() => void) | undefined;
}

/**
 * Watches every loop of one process that owes something to somebody: a replicate, a reveal, a report, a decision. A loop that waits for ever
 * says nothing by itself, so each says that it lives, and silence is told and mended.
 *
 * A process that was suspended as a whole is not taken for loops that stood still.
 */
export function createWatchdog(deps: WatchdogDeps = {}): Watchdog {
  const { clock = systemClock, log = silentLogger, random = systemRandom, graceMs = DEFAULT_GRACE_MS } = deps;
  const watched = new Set<Watched>();
  const listeners = new Set<(error: CodedError, stall: Stall) => void>();
  let past: Stall[] = [];
  let timer: { readonly atMs: number; readonly cancel: () => void } | undefined;

  const arm = (): void => {
    if (watched.size === 0) {
      timer?.cancel();
      timer = undefined;
      return;
    }
    const nowMs = clock.monotonicMs();
    const atMs = Math.min(nowMs + LOOK_MS, ...[...watched].map(({ dueMs }) => dueMs));
    if (timer !== undefined && timer.atMs <= atMs) return;
    timer?.cancel();
    const scope = openScope();
    timer = { atMs, cancel: () => scope.end() };
    clock.sleep(Math.max(0, atMs - nowMs), scope.signal).then(
      () => look(atMs),
      () => undefined,
    );
  };

  const look = (expectedMs: number): void => {
    timer = undefined;
    const nowMs = clock.monotonicMs();
    const late = nowMs - expectedMs;
    if (late > LATE_MS) for (const one of watched) one.dueMs += late;
    for (const one of watched) if (one.dueMs <= nowMs) missed(one);
    arm();
  };

  const missed = (one: Watched): void => {
    const { loop, of, boundMs } = one.options;
    one.stall = { loop, of, since: one.lastBeat, restarts: one.restarts + 1, mendedAt: undefined };
    one.restarts += 1;
    one.dueMs = clock.monotonicMs() + boundMs;
    const { stall } = one;
    const seconds = Math.round((clock.now().getTime() - one.lastBeat.getTime()) / 1_000);
    // Before anybody is told: whoever listens may be broken too.
    one.giveUp?.();
    const error = new CodedError("SVC-1501", { loop: of === undefined ? loop : `${loop} ${of}`, seconds });
    log.error("a loop stood still and is started again", { loop, of, restarts: one.restarts, error });
    tell(error, stall);
  };

  /** A listener that throws keeps neither the others nor the loops from what they are owed. */
  const tell = (error: CodedError, stall: Stall): void => {
    for (const listener of listeners) {
      try {
        listener(error, stall);
      } catch (thrown) {
        log.error("a stall could not be told", { loop: stall.loop, of: stall.of, error: CodedError.from(thrown) });
      }
    }
  };

  const beat = (one: Watched, withinMs: number | undefined): void => {
    one.dueMs = clock.monotonicMs() + Math.max(one.options.boundMs, withinMs ?? 0);
    one.lastBeat = clock.now();
    if (one.stall !== undefined) {
      past = [{ ...one.stall, mendedAt: one.lastBeat }, ...past].slice(0, KEPT);
      log.info("a loop moves again", { loop: one.options.loop, of: one.options.of });
    }
    one.stall = undefined;
    one.restarts = 0;
    if (timer === undefined || one.dueMs < timer.atMs) arm();
  };

  /** One call of `run`, until it ends, is given up, or was told to end and had its time. */
  const runOnce = async (one: Watched, run: (pulse: Pulse) => Promise<void>): Promise<"ended" | "given up"> => {
    const { signal, loop, of } = one.options;
    using scope = openScope([signal]);
    using stopping = openScope();
    const outcome = Promise.withResolvers<"ended" | "given up">();
    one.giveUp = () => {
      scope.end(new CodedError("SVC-1503", { loop }));
      outcome.resolve("given up");
    };
    const cutShort = (): void => {
      log.warn("a loop did not end in time and is left behind", { loop, of, ms: graceMs });
      outcome.resolve("ended");
    };
    const stop = (): void => void clock.sleep(graceMs, stopping.signal).then(cutShort, () => undefined);
    signal.addEventListener("abort", stop, { once: true });
    const pulse: Pulse = {
      signal: scope.signal,
      // A call that was given up speaks for nobody any more.
      beat: (withinMs) => (scope.signal.aborted ? undefined : beat(one, withinMs)),
    };
    Promise.resolve(pulse)
      .then(run)
      .then(() => outcome.resolve("ended"), outcome.reject);
    try {
      return await outcome.promise;
    } finally {
      signal.removeEventListener("abort", stop);
    }
  };

  return {
    async keep(options, run) {
      const { signal, boundMs } = options;
      const waits = backoff({ baseMs: 250, maxMs: 15_000 }, random);
      const one: Watched = {
        options,
        dueMs: clock.monotonicMs() + boundMs,
        lastBeat: clock.now(),
        restarts: 0,
        stall: undefined,
        giveUp: undefined,
      };
      watched.add(one);
      arm();
      try {
        // Bounded: ends with the signal or with the run; the watchdog does not watch itself.
        while (!signal.aborted) {
          try {
            if ((await runOnce(one, run)) === "ended") return;
          } catch (thrown) {
            if (signal.aborted) return;
            const error = new CodedError("SVC-1502", { loop: options.loop, reason: CodedError.from(thrown).message }, { cause: thrown });
            const { loop, of } = options;
            log.error("a loop ended by itself and is started again", { loop, of, error });
            one.restarts += 1;
            const ended = { loop, of, since: one.lastBeat, restarts: one.restarts, mendedAt: undefined };
            tell(error, ended);
            const ms = waits.nextMs();
            one.dueMs = clock.monotonicMs() + ms + boundMs;
            await clock.sleep(ms, signal).catch(() => undefined);
          }
        }
      } finally {
        watched.delete(one);
        arm();
      }
    },
    stalls() {
      const oldest = clock.now().getTime() - KEPT_FOR_MS;
      past = past.filter(({ mendedAt }) => mendedAt !== undefined && mendedAt.getTime() > oldest);
      return [...[...watched].flatMap(({ stall }) => stall ?? []), ...past];
    },
    onStall(listener) {
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
      };
    },
  };
}
