import { type Clock, createWatchdog, hasCode, openScope, orAborted, type Pulse, type Watchdog } from "@iexec-ts/service";
import type { Database, OwnConnection } from "./database.ts";
import { beginEpoch, fenced } from "./fence.ts";

const LOCK = 4_905_002;
const ASK_EVERY_MS = 5_000;
/** A holder of the lock that asks nothing for this long has vanished, or stands still as a whole: the server ends its session. */
const SILENT_MS = 45_000;
const LIMITS = { lockMs: 20_000, statementMs: 25_000, answerMs: 30_000 };
const ANSWER_MS = 10_000;
/** How long a term may take to end; what hangs in it is left behind, fenced off. */
const TERM_END_MS = 10_000;
const BOUND_MS = 90_000;

/** The lead as one process holds it, from its beginning to its end. */
export interface Lead {
  /** Aborts when the lead is lost. */
  readonly signal: AbortSignal;
  /** Refuses writes once another process leads. */
  readonly database: Database;
}

/** Not every server knows the setting; one that does not finds a vanished holder by its own keepalive. */
const LIMIT_SILENCE = "SELECT set_config(name, $1, false) FROM pg_settings WHERE name = 'idle_session_timeout'";

/** Waits its turn for the lock, a piece at a time. */
async function takeLock(connection: OwnConnection, pulse: Pulse): Promise<void> {
  for (;;) {
    pulse.beat();
    try {
      await orAborted(connection.run("SELECT pg_advisory_lock($1)", [LOCK]), pulse.signal);
      return;
    } catch (thrown) {
      if (!hasCode(thrown, "SCH-1104")) throw thrown;
    }
  }
}

/**
 * Runs `work` in one process at a time among those that share the database: the one that holds an advisory lock. The lock lives in a
 * connection, so it passes on as soon as that connection ends, and `work` is aborted as soon as its own does. The connection is asked every
 * few seconds whether it lives. Where two processes believe to hold the lead for a moment, `fenced` refuses what the older one writes.
 *
 * SIDE EFFECTS: holds one connection for as long as it runs.
 */
export async function lead(
  database: Database,
  work: (lead: Lead) => Promise<void>,
  options: {
    readonly signal: AbortSignal;
    readonly clock: Clock;
    readonly retryMs: () => number;
    readonly onError: (thrown: unknown) => void;
    readonly watchdog?: Watchdog;
    /** After how many milliseconds without a sign of life the server takes the lead from its holder. @default 45000 */
    readonly silentMs?: number;
  },
): Promise<void> {
  const { signal, clock, onError, retryMs, watchdog = createWatchdog({ clock }), silentMs = SILENT_MS } = options;

  const ask = async (connection: OwnConnection): Promise<void> => {
    using patience = openScope([], { ms: ANSWER_MS, clock });
    await orAborted(connection.run("SELECT 1"), patience.signal);
  };

  /** One term: until `work` ends, or the connection that holds the lock is gone or does not answer. */
  const serve = async (connection: OwnConnection, pulse: Pulse): Promise<void> => {
    await connection.run(LIMIT_SILENCE, [String(silentMs)]);
    const epoch = await beginEpoch(connection);
    using term = openScope([pulse.signal, connection.gone]);
    const working = work({ signal: term.signal, database: fenced(database, epoch) })
      .catch((thrown: unknown) => (term.signal.aborted ? undefined : onError(thrown)))
      .finally(() => term.end());
    try {
      while (!term.signal.aborted) {
        pulse.beat();
        await clock.sleep(ASK_EVERY_MS, term.signal).catch(() => undefined);
        if (!term.signal.aborted) await ask(connection);
      }
    } finally {
      term.end();
      using patience = openScope([], { ms: TERM_END_MS, clock });
      await orAborted(working, patience.signal).catch(() => undefined);
    }
  };

  await watchdog.keep({ loop: "leadership", boundMs: BOUND_MS, signal }, async (pulse) => {
    while (!pulse.signal.aborted) {
      pulse.beat();
      let connection: OwnConnection | undefined;
      try {
        connection = await database.connection(LIMITS);
        await takeLock(connection, pulse);
        if (!pulse.signal.aborted) await serve(connection, pulse);
      } catch (thrown) {
        if (!pulse.signal.aborted && connection?.gone.aborted !== true) onError(thrown);
      } finally {
        await connection?.end();
      }
      await clock.sleep(retryMs(), pulse.signal).catch(() => undefined);
    }
  });
}
