import { type Clock, CodedError } from "@iexec-ts/service";
import type pg from "pg";
import type { Database, Sql } from "./database.ts";

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

export interface Signals {
  on(topic: Topic, listener: (text: string) => void): () => void;
  /** Called after the connection was lost and found again: signals may have been missed. */
  onGap(listener: () => void): () => void;
  close(): Promise<void>;
}

const RETRY_MS = { base: 200, max: 10_000 };

/** Listens on one connection of its own and reconnects for ever. Errors: SCH-1101 on the first connection only. */
export async function listen(
  database: Database,
  deps: { readonly clock: Clock; readonly nextDelay: (attempt: number) => number },
): Promise<Signals> {
  const listeners = new Map<Topic, Set<(text: string) => void>>(TOPICS.map((topic) => [topic, new Set()]));
  const gapListeners = new Set<() => void>();
  const closing = new AbortController();
  let client: pg.Client | undefined;

  const open = async (): Promise<void> => {
    const next = await database.connection();
    next.on("notification", ({ channel, payload }) => {
      const topic = TOPICS.find((name) => `${PREFIX}${name}` === channel);
      if (topic !== undefined) for (const listener of listeners.get(topic) ?? []) listener(payload ?? "");
    });
    let failed = false;
    const fail = (): void => {
      if (failed || closing.signal.aborted) return;
      failed = true;
      next.end().catch(() => undefined);
      reopen();
    };
    next.on("error", fail);
    next.on("end", fail);
    await next.query(TOPICS.map((topic) => `LISTEN ${PREFIX}${topic}`).join("; "));
    client = next;
  };

  const reopen = async (): Promise<void> => {
    for (let attempt = 0; !closing.signal.aborted; attempt += 1) {
      try {
        await deps.clock.sleep(Math.min(RETRY_MS.max, RETRY_MS.base + deps.nextDelay(attempt)), closing.signal);
        await open();
        for (const listener of gapListeners) listener();
        return;
      } catch (thrown) {
        if (closing.signal.aborted) return;
        CodedError.from(thrown);
      }
    }
  };

  await open();
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
      await client?.end().catch(() => undefined);
    },
  };
}
