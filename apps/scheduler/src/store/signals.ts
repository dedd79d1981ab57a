import { type Clock, createWatchdog, openScope, orAborted, type Pulse, type Watchdog } from "@iexec-ts/service";
import type { Database, OwnConnection, Sql } from "./database.ts";

/**
 * What processes that share one database tell each other.
 *
 * - `task`: a task id to decide again
 * - `demand`: a task is open for one more replicate
 * - `push`: a notification for workers, as JSON
 * - `status`: a status change, as JSON
 * - `effect`: a chain effect was written
 */
export type Topic = "task" | "demand" | "push" | "status" | "effect";
const TOPICS: readonly Topic[] = ["task", "demand", "push", "status", "effect"];
const PREFIX = "iexec_";

/** Sends when the transaction commits. */
export async function signal(sql: Sql, topic: Topic, text: string): Promise<void> {
  await sql.run("SELECT pg_notify($1, $2)", [`${PREFIX}${topic}`, text]);
}

/** Sends many of one topic at once when the transaction commits. */
export async function signalAll(sql: Sql, topic: Topic, texts: readonly string[]): Promise<void> {
  await sql.run("SELECT pg_notify($1, text) FROM unnest($2::text[]) AS text", [`${PREFIX}${topic}`, texts]);
}

export interface Signals {
  on(topic: Topic, listener: (text: string) => void): () => void;
  /** Called after the connection was lost and found again: signals may have been missed. */
  onGap(listener: () => void): () => void;
  close(): Promise<void>;
}

const RETRY_MS = { base: 200, max: 10_000 };
/** A connection whose other end has vanished says nothing by itself: it is asked something this often. */
const ASK_EVERY_MS = 15_000;
const ANSWER_MS = 10_000;
const BOUND_MS = 60_000;

/**
 * Listens on one connection of its own, which is asked now and then whether it still lives, and reconnects for ever.
 *
 * Errors: SCH-1101 on the first connection only.
 */
export async function listen(
  database: Database,
  deps: { readonly clock: Clock; readonly nextDelay: (attempt: number) => number; readonly watchdog?: Watchdog },
): Promise<Signals> {
  const { clock, watchdog = createWatchdog({ clock }) } = deps;
  const listeners = new Map<Topic, Set<(text: string) => void>>(TOPICS.map((topic) => [topic, new Set()]));
  const gapListeners = new Set<() => void>();
  const closing = new AbortController();

  const subscribe = async (): Promise<OwnConnection> => {
    const connection = await database.connection({ statementMs: ANSWER_MS, answerMs: ANSWER_MS });
    connection.onNotification((channel, text) => {
      const topic = TOPICS.find((name) => `${PREFIX}${name}` === channel);
      if (topic !== undefined) for (const listener of listeners.get(topic) ?? []) listener(text);
    });
    try {
      await connection.run(TOPICS.map((topic) => `LISTEN ${PREFIX}${topic}`).join("; "));
      return connection;
    } catch (thrown) {
      await connection.end();
      throw thrown;
    }
  };

  const ask = async (connection: OwnConnection): Promise<void> => {
    using patience = openScope([], { ms: ANSWER_MS, clock });
    await orAborted(connection.run("SELECT 1"), patience.signal);
  };

  /** Returns when the connection is gone; throws when it does not answer. */
  const hear = async (connection: OwnConnection, pulse: Pulse): Promise<void> => {
    using here = openScope([pulse.signal, connection.gone]);
    while (!here.signal.aborted) {
      pulse.beat();
      await clock.sleep(ASK_EVERY_MS, here.signal).catch(() => undefined);
      if (!here.signal.aborted) await ask(connection);
    }
  };

  let first: OwnConnection | undefined = await subscribe();
  const listening = watchdog.keep({ loop: "signals", boundMs: BOUND_MS, signal: closing.signal }, async (pulse) => {
    let isNew = first === undefined;
    for (let attempt = 0; !pulse.signal.aborted; attempt += 1) {
      pulse.beat();
      let connection = first;
      first = undefined;
      try {
        connection ??= await subscribe();
        if (isNew && !pulse.signal.aborted) for (const listener of gapListeners) listener();
        attempt = 0;
        await hear(connection, pulse);
      } catch {
        // The next attempt will tell whether it is still so; who asks the database meanwhile reports it.
      } finally {
        await connection?.end();
      }
      isNew = true;
      await clock.sleep(Math.min(RETRY_MS.max, RETRY_MS.base + deps.nextDelay(attempt)), pulse.signal).catch(() => undefined);
    }
  });
  return {
    on(topic, listener) {
      listeners.get(topic)?.add(listener);
      return () => listeners.get(topic)?.delete(listener);
    },
    onGap(listener) {
      gapListeners.add(listener);
      return () => gapListeners.delete(listener);
    },
    async close() {
      closing.abort();
      await listening;
    },
  };
}
