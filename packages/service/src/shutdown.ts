import type { Clock } from "./clock.ts";
import { systemClock } from "./clock.ts";
import { CodedError } from "./errors/coded-error.ts";

export interface ShutdownReport {
  readonly reason: string;
  /** Steps that failed or were cut off, with what they threw. */
  readonly failures: readonly { readonly step: string; readonly error: CodedError }[];
  /** True when a second request or the end of the grace period cut the rest short. */
  readonly cutShort: boolean;
}

export interface Shutdown {
  /** Aborts at the first request: loops end, long calls stop. */
  readonly signal: AbortSignal;
  /**
   * Adds a step; steps run one after the other, the last added first. Their signal aborts when there is no more time. A part that is ready
   * only after the steps have run is closed at once, and the next `request` waits for it in what is left of the grace period.
   */
  add(step: string, close: (signal: AbortSignal) => Promise<void> | void): void;
  /** Runs all steps once. A second request cuts the first short; both resolve with the same report. Never rejects. */
  request(reason: string): Promise<ShutdownReport>;
  /** Resolves when a request has ended. */
  readonly done: Promise<ShutdownReport>;
}

/** One orderly end for a process: one AbortController, closing steps in reverse order, a grace period for all of them together. */
export function createShutdown({ graceMs, clock = systemClock }: { readonly graceMs: number; readonly clock?: Clock }): Shutdown {
  const stop = new AbortController();
  const hurry = new AbortController();
  const steps: { step: string; close: (signal: AbortSignal) => Promise<void> | void }[] = [];
  const { promise: done, resolve } = Promise.withResolvers<ShutdownReport>();
  const late: Promise<void>[] = [];
  let finished = false;
  let until = 0;
  const hurried = new Promise<"hurried">((settle) => {
    hurry.signal.addEventListener("abort", () => settle("hurried"), { once: true });
  });

  const run = async (reason: string): Promise<ShutdownReport> => {
    stop.abort(new DOMException(reason, "AbortError"));
    until = clock.monotonicMs() + graceMs;
    const over = new AbortController();
    const deadline = clock.sleep(graceMs, over.signal).then(
      () => hurry.abort(new DOMException("the grace period is over", "TimeoutError")),
      () => undefined,
    );
    const failures: { step: string; error: CodedError }[] = [];
    for (let next = steps.pop(); next !== undefined; next = steps.pop()) {
      const { step, close } = next;
      const closing = Promise.resolve(hurry.signal).then(close);
      const ending = closing.then(
        () => "closed" as const,
        (thrown: unknown) => {
          failures.push({ step, error: CodedError.from(thrown) });
          return "failed" as const;
        },
      );
      if (hurry.signal.aborted) {
        await Promise.race([ending, Promise.resolve()]);
        continue;
      }
      const outcome = await Promise.race([ending, hurried]);
      // What it has left behind it can only say once it was told that there is no more time.
      if (outcome === "hurried" && (await Promise.race([ending, aMoment()])) === "late")
        failures.push({ step, error: CodedError.from(hurry.signal.reason) });
    }
    finished = true;
    over.abort();
    await deadline;
    return { reason, failures, cutShort: hurry.signal.aborted };
  };

  const endLate = async (close: (signal: AbortSignal) => Promise<void> | void): Promise<void> => {
    try {
      await close(hurry.signal);
    } catch {
      // The report is out; whoever closes a part that was never used has nothing to lose.
    }
  };
  const untilLate = async (): Promise<void> => {
    if (late.length === 0) return;
    const over = new AbortController();
    const left = clock.sleep(Math.max(0, until - clock.monotonicMs()), over.signal).then(
      () => hurry.abort(new DOMException("the grace period is over", "TimeoutError")),
      () => undefined,
    );
    await Promise.race([Promise.all(late), left]);
    over.abort();
    await left;
  };

  return {
    signal: stop.signal,
    done,
    add(step, close) {
      if (finished) late.push(endLate(close));
      else steps.push({ step, close });
    },
    async request(reason) {
      if (finished) await untilLate();
      else if (stop.signal.aborted) hurry.abort(new DOMException(reason, "AbortError"));
      else void run(reason).then(resolve);
      return done;
    },
  };
}

const LAST_WORDS_MS = 100;

const aMoment = (): Promise<"late"> => new Promise((resolve) => setTimeout(() => resolve("late"), LAST_WORDS_MS));

/** The part of `process` that is needed to hear signals. */
export interface SignalSource {
  on(signal: "SIGINT" | "SIGTERM", listener: () => void): unknown;
  off(signal: "SIGINT" | "SIGTERM", listener: () => void): unknown;
}

/**
 * Requests a shutdown on SIGINT and SIGTERM; a second signal cuts it short. Returns a function that unhooks.
 *
 * SIDE EFFECTS: the process no longer ends by itself on these signals.
 */
export function hookSignals(shutdown: Shutdown, source: SignalSource = process): () => void {
  const listeners = (["SIGINT", "SIGTERM"] as const).map((name) => ({ name, listener: () => void shutdown.request(name) }));
  for (const { name, listener } of listeners) source.on(name, listener);
  return () => {
    for (const { name, listener } of listeners) source.off(name, listener);
  };
}
