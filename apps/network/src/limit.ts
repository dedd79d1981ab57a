import { CodedError } from "@iexec-ts/service";

/** For what was told to stop at the limit to do so; then it is left behind. */
const STOP_MS = 20_000;

/** What a command is doing, in words for the error that ends it at its limit. */
export interface Doing {
  /** Since when, and what. */
  now(what: string): void;
  /** What is known of its tasks. */
  tasks(what: string): void;
}

/**
 * Gives a command a limit of its own: at its end the signal aborts with NET-2007, which says what it was doing.
 *
 * Errors: those of `work`; NET-2007.
 * @param limitMs - in milliseconds
 */
export async function limited<T>(
  limitMs: number,
  signal: AbortSignal,
  work: (parts: { readonly signal: AbortSignal; readonly doing: Doing }) => Promise<T>,
): Promise<T> {
  const stop = new AbortController();
  const interrupt = () => stop.abort(signal.reason);
  if (signal.aborted) interrupt();
  signal.addEventListener("abort", interrupt, { once: true });
  const left = Promise.withResolvers<never>();
  let [doing, tasks] = ["", ""];
  let giveUp: NodeJS.Timeout | undefined;
  const timer = setTimeout(() => {
    const error = new CodedError("NET-2007", { seconds: limitMs / 1_000, doing, tasks });
    stop.abort(error);
    giveUp = setTimeout(() => left.reject(error), STOP_MS);
  }, limitMs);
  try {
    const running = work({
      signal: stop.signal,
      doing: {
        now(what) {
          doing = what;
        },
        tasks(what) {
          tasks = `: ${what}`;
        },
      },
    });
    return await Promise.race([running, left.promise]);
  } finally {
    clearTimeout(timer);
    clearTimeout(giveUp);
    signal.removeEventListener("abort", interrupt);
  }
}
