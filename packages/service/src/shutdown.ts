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
  /** Adds a step; steps run one after the other, the last added first. Their signal aborts when there is no more time. */
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
  const hurried = new Promise<"hurried">((settle) => {
    hurry.signal.addEventListener("abort", () => settle("hurried"), { once: true });
  });

  const run = async (reason: string): Promise<ShutdownReport> => {
    stop.abort(new DOMException(reason, "AbortError"));
    const finished = new AbortController();
    const deadline = clock.sleep(graceMs, finished.signal).then(
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
      if (outcome === "hurried") failures.push({ step, error: CodedError.from(hurry.signal.reason) });
    }
    finished.abort();
    await deadline;
    return { reason, failures, cutShort: hurry.signal.aborted };
  };

  return {
    signal: stop.signal,
    done,
    add(step, close) {
      steps.push({ step, close });
    },
    request(reason) {
      if (stop.signal.aborted) hurry.abort(new DOMException(reason, "AbortError"));
      else void run(reason).then(resolve);
      return done;
    },
  };
}

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
