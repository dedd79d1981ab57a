/** What is being waited for now, so that a scenario that is cut off can say which of its parts hung. */
const waits = new Map<symbol, { readonly what: string; readonly since: number }>();

/** SIDE EFFECTS: remembers `what` until the work has ended. */
export async function waitingFor<T>(what: string, work: () => Promise<T>): Promise<T> {
  const key = Symbol(what);
  waits.set(key, { what, since: performance.now() });
  try {
    return await work();
  } finally {
    waits.delete(key);
  }
}

/** What is waited for now, the latest first, as part of a sentence. */
export function whatIsWaitedFor(): string {
  const now = performance.now();
  const all = [...waits.values()].reverse().slice(0, 4);
  return all.length === 0
    ? "nothing that it told of"
    : all.map(({ what, since }) => `${what} (for ${Math.round((now - since) / 1_000)} s)`).join("; ");
}

/**
 * Ends a wait at its limit or at the signal, whatever the work does: nothing that hangs holds the rest.
 *
 * Errors: what the work throws; the limit or the end of the signal, with what was waited for.
 * @param limitMs - in milliseconds
 */
export async function within<T>(
  limit: { readonly what: string; readonly limitMs: number; readonly signal?: AbortSignal },
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const { what, limitMs, signal } = limit;
  const stop = new AbortController();
  const over = Promise.withResolvers<never>();
  over.promise.catch(() => undefined);
  const end = (why: string) => {
    const error = new Error(`${what} ${why}; it waited for ${whatIsWaitedFor()}`);
    stop.abort(error);
    over.reject(error);
  };
  const told = () => end(`was cut off (${signal?.reason instanceof Error ? signal.reason.message : "stopped"})`);
  const timer = setTimeout(() => end(`took longer than ${limitMs / 1_000} s`), limitMs);
  if (signal?.aborted === true) told();
  signal?.addEventListener("abort", told, { once: true });
  try {
    signal?.throwIfAborted();
    return await Promise.race([work(stop.signal), over.promise]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", told);
  }
}
