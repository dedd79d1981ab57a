import { type Clock, CodedError, openScope } from "@iexec-ts/service";
import { awaitExit, inspectContainer, killContainer, unpauseContainer } from "./containers.ts";
import type { Engine } from "./engine.ts";
import type { ContainerState } from "./engine-schemas.ts";
import type { SandboxLogger } from "./options.ts";
import { onceEngineAnswers } from "./wait-for-engine.ts";

/** The wall clock may be set, and stands still in no suspended machine, unlike a timer. */
const LONGEST_SLEEP_MS = 60_000;
/** The engine is asked again this long after its last word: a connection that waits for the end may be dead without a sign of it. */
const LOOK_AGAIN_MS = 30_000;
const SIGKILL_EXIT = 137;
/** Exit codes of a container whose engine went away under it: SIGKILL, SIGTERM, and what an engine writes after a hard stop. */
const EXITS_WITH_ENGINE = new Set([SIGKILL_EXIT, 143, 255]);
/** A killed container that is still there after this long is killed again. */
const KILL_GRACE_MS = 10_000;

export interface Ending {
  readonly state: ContainerState;
  readonly timedOut: boolean;
  readonly outputExceeded: boolean;
}

export interface Supervised {
  readonly id: string;
  readonly name: string;
  readonly deadline: Date;
  /** False for a container that had ended before we found it. */
  readonly wasRunning: boolean;
  /** Resolves when the output cap is exceeded. */
  readonly exceeded: (signal: AbortSignal) => Promise<void>;
  /** Whether `kill()` was called on this run. */
  readonly killRequested: () => boolean;
  /** Told each time the engine confirmed that the container is there, or was asked in vain. */
  readonly onAlive: () => void;
}

export interface SupervisePorts {
  readonly engine: Engine;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: SandboxLogger;
}

type Cause = "deadline" | "output";

/** Resolves at the instant; the wall clock is read again now and then, since it may be set. */
async function sleepUntil(clock: Clock, instant: Date, signal: AbortSignal): Promise<void> {
  for (;;) {
    const left = instant.getTime() - clock.now().getTime();
    if (left <= 0) return;
    await clock.sleep(Math.min(left, LONGEST_SLEEP_MS), signal);
  }
}

/**
 * Follows one container to its end: kills it at its deadline or for its output, survives restarts of the engine.
 *
 * An exit that came before the kill wins. The state in the engine decides, never the order of our own events, so following the same
 * container twice gives the same ending.
 *
 * Errors: SBX-1301 if the container disappears, SBX-1302 if the engine took it down, the signal's reason.
 * SIDE EFFECTS: may kill the container.
 * @source compute.md 1.5: exit wins over time-out; 5.8 windows 3 to 5
 */
export async function supervise(run: Supervised, ports: SupervisePorts, signal: AbortSignal): Promise<Ending> {
  const { engine, clock, random, logger } = ports;
  using watching = openScope([signal]);
  const watch = watching.signal;
  let cause: Cause | undefined;
  let lost = 0;

  const patient = <T>(call: () => Promise<T>): Promise<T> =>
    onceEngineAnswers(call, {
      clock,
      random,
      signal,
      onLost: () => {
        if (lost === 0) logger.warn("lost the container engine, waiting for it", { container: run.name });
        lost += 1;
        run.onAlive();
      },
    });
  const claim = (reason: Cause) => () => {
    cause ??= reason;
  };
  const limit = Promise.race([sleepUntil(clock, run.deadline, watch).then(claim("deadline")), run.exceeded(watch).then(claim("output"))]);
  // Awaited below only while the container runs; after that its rejection has no reader.
  limit.catch(() => undefined);

  for (;;) {
    const found = await patient(() => inspectContainer(engine, run.id, signal));
    if (found === undefined || found.State.Status === "removing" || found.State.Status === "dead") {
      throw new CodedError("SBX-1301", { name: run.name });
    }
    run.onAlive();
    const { State: state } = found;
    if (state.Paused) await patient(() => unpauseContainer(engine, run.id, signal));
    else if (!state.Running) {
      const killedByUs = cause !== undefined || run.killRequested();
      if (run.wasRunning && lost > 0 && !killedByUs && !state.OOMKilled && EXITS_WITH_ENGINE.has(state.ExitCode)) {
        throw new CodedError("SBX-1302", { name: run.name, exitCode: state.ExitCode });
      }
      return endingOf(state, cause, run);
    }
    if (cause !== undefined) await patient(() => killContainer(engine, run.id, signal));
    await patient(() => exitOrLimit(run, ports, cause === undefined ? limit : undefined, signal));
  }
}

/** Returns when there is a reason to look again: the container ended, a limit was hit, a kill has had its time, or the engine is silent. */
async function exitOrLimit(
  run: Supervised,
  { engine, clock }: SupervisePorts,
  limit: Promise<void> | undefined,
  signal: AbortSignal,
): Promise<void> {
  using waiting = openScope([signal]);
  const look = clock.sleep(limit === undefined ? KILL_GRACE_MS : LOOK_AGAIN_MS, waiting.signal);
  const exit = awaitExit(engine, run.id, waiting.signal);
  // Whoever loses the race rejects when the scope ends, and then has no reader.
  for (const loser of [look, exit]) loser.catch(() => undefined);
  await Promise.race([exit, look, ...(limit === undefined ? [] : [limit])]);
}

/** A kill that found the container dead already changed nothing, and the exit code shows it. */
function endingOf(state: ContainerState, cause: Cause | undefined, run: Supervised): Ending {
  const killed = state.ExitCode === SIGKILL_EXIT;
  // Without a cause of our own this container ended under an earlier process; the times tell whether that one had to kill it.
  const endedLate = new Date(state.FinishedAt).getTime() >= run.deadline.getTime();
  const timedOut = killed && (cause === "deadline" || (cause === undefined && endedLate && !run.killRequested()));
  return { state, timedOut, outputExceeded: killed && cause === "output" };
}
