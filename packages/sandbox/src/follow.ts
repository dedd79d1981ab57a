import { orAborted, type Watchdog } from "@iexec-ts/service";
import { ALIVE_WITHIN_MS, type Running, type RunResult } from "./api.ts";
import { type Ending, type Supervised, type SupervisePorts, supervise } from "./supervise.ts";
import { watched } from "./watched.ts";

export interface Follow {
  readonly run: Omit<Supervised, "killRequested" | "onAlive"> & { readonly adopted: boolean };
  readonly ports: SupervisePorts;
  readonly watchdog: Watchdog;
  /** Stops following; the container goes on. */
  readonly closing: AbortSignal;
  /** Reads what an ended container left; says so while it does. */
  readonly collect: (ending: Ending, onAlive: () => void, signal: AbortSignal) => Promise<RunResult>;
  readonly kill: () => Promise<unknown>;
  readonly remove: () => Promise<void>;
}

/**
 * Follows a container to its end and collects what it left, under the watchdog: the deadline is kept whether somebody waits or not, and
 * whatever one look at the engine may hang in. Following again is safe, since only the engine's state decides.
 *
 * SIDE EFFECTS: may kill the container.
 */
export function follow({ run, ports, watchdog, closing, collect, kill, remove }: Follow): Running {
  const listeners = new Set<() => void>();
  let killRequested = false;
  const result = watched(watchdog, { loop: "container", of: run.name, boundMs: ALIVE_WITHIN_MS, signal: closing }, async (pulse) => {
    const onAlive = (): void => {
      if (pulse.signal.aborted) return;
      pulse.beat();
      for (const listener of listeners) listener();
    };
    const ending = await supervise({ ...run, killRequested: () => killRequested, onAlive }, ports, pulse.signal);
    onAlive();
    return await collect(ending, onAlive, pulse.signal);
  });
  // Nobody has to wait.
  result.catch(() => undefined);
  return {
    id: run.id,
    adopted: run.adopted,
    wait: async (signal, onAlive) => {
      // A function of its own, so that two waits with the same one do not end each other's.
      const listener = (): void => onAlive?.();
      listeners.add(listener);
      try {
        return signal === undefined ? await result : await orAborted(result, signal);
      } finally {
        listeners.delete(listener);
      }
    },
    kill: async () => {
      killRequested = true;
      await kill();
    },
    remove,
  };
}
