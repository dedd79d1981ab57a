import { type Clock, systemClock } from "./clock.ts";

/** A stretch of work with one end: what runs in it is given `signal`. */
export interface Scope extends Disposable {
  readonly signal: AbortSignal;
  /** Ends what runs in it; the first reason stays. Nothing of the scope is held by its parents afterwards. */
  end(reason?: unknown): void;
}

/** How long a scope may last. */
export interface ScopeLimit {
  readonly ms: number;
  /** The system's clock unless given. */
  readonly clock?: Clock;
  /** What the signal aborts with when the time is up; a `TimeoutError` unless given. */
  readonly reason?: () => unknown;
}

type Parent = AbortSignal | undefined;

const over = (): unknown => new DOMException("the scope is over", "AbortError");

/**
 * Opens a scope that ends with the first of its parents, when its time is up, or when it is disposed of, whichever comes first.
 *
 * It takes the place of `AbortSignal.any`, which in Node 24 holds its sources weakly until it has a listener: an abort that falls into an
 * await without one, followed by a garbage collection, is lost, and what waits for it waits for ever. Here each parent holds the scope, so an
 * abort cannot be lost, and disposing of the scope takes it off its parents again, so that a parent that lives for weeks does not grow.
 *
 * Open it with `using`, so that it ends where its block ends: `using scope = openScope([signal], { ms: 5_000 });`
 *
 * @param parents - signals that end it; undefined ones are passed over
 * @param limit - how long it may last, in milliseconds
 * SIDE EFFECTS: a listener on each parent and a timer, until it ends.
 */
export function openScope(parents: readonly Parent[] = [], limit?: ScopeLimit): Scope {
  const own = new AbortController();
  const links: { readonly parent: AbortSignal; readonly follow: () => void }[] = [];
  const end = (reason: unknown = over()): void => {
    for (const { parent, follow } of links.splice(0)) parent.removeEventListener("abort", follow);
    own.abort(reason);
  };
  for (const parent of parents) {
    if (parent === undefined) continue;
    if (parent.aborted) {
      end(parent.reason);
      break;
    }
    const follow = (): void => end(parent.reason);
    parent.addEventListener("abort", follow, { once: true });
    links.push({ parent, follow });
  }
  if (limit !== undefined && !own.signal.aborted) {
    const { ms, clock = systemClock, reason = () => new DOMException(`not done within ${ms} ms`, "TimeoutError") } = limit;
    clock.sleep(ms, own.signal).then(
      () => end(reason()),
      () => undefined,
    );
  }
  return { signal: own.signal, end, [Symbol.dispose]: () => end() };
}

/**
 * What `promise` gives, unless `signal` aborts first; then its reason is thrown, whether the promise ever settles or not.
 *
 * Use it around a promise that does not take the signal itself. What the promise does goes on; its later rejection is not reported.
 */
export async function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  promise.catch(() => undefined);
  signal.throwIfAborted();
  const aborted = Promise.withResolvers<never>();
  const abort = (): void => aborted.reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
