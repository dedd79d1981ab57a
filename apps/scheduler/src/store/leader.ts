import type { Clock } from "@iexec-ts/service";
import type pg from "pg";
import type { Database } from "./database.ts";

const LOCK = 4_905_002;

/**
 * Runs `work` in one process at a time among those that share the database: the one that holds an advisory lock. The lock lives in a
 * connection, so it passes on as soon as that connection ends, and `work` is aborted as soon as its own does.
 *
 * SIDE EFFECTS: holds one connection for as long as it runs.
 */
export async function lead(
  database: Database,
  work: (signal: AbortSignal) => Promise<void>,
  options: {
    readonly signal: AbortSignal;
    readonly clock: Clock;
    readonly retryMs: () => number;
    readonly onError: (thrown: unknown) => void;
  },
): Promise<void> {
  const { signal, clock } = options;
  while (!signal.aborted) {
    let client: pg.Client | undefined;
    const term = new AbortController();
    const endTerm = (): void => term.abort(signal.reason);
    signal.addEventListener("abort", endTerm, { once: true });
    try {
      const mine = await database.connection();
      client = mine;
      if (signal.aborted) return;
      mine.on("error", endTerm);
      mine.on("end", endTerm);
      const stopWaiting = (): void => void mine.end().catch(() => undefined);
      signal.addEventListener("abort", stopWaiting, { once: true });
      await mine.query("SELECT pg_advisory_lock($1)", [LOCK]);
      signal.removeEventListener("abort", stopWaiting);
      if (!signal.aborted) await work(term.signal);
    } catch (thrown) {
      if (!signal.aborted && !term.signal.aborted) options.onError(thrown);
    } finally {
      signal.removeEventListener("abort", endTerm);
      term.abort();
      await client?.end().catch(() => undefined);
    }
    if (!signal.aborted) await clock.sleep(options.retryMs(), signal).catch(() => undefined);
  }
}
