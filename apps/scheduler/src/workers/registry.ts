import type { Address, TaskId } from "@iexec-ts/poco";
import { type Clock, createWatchdog, openScope, orAborted, type Watchdog } from "@iexec-ts/service";
import type { WorkerDescription } from "@iexec-ts/wire";
import { z } from "zod";
import { Bell } from "../bell.ts";
import { hex } from "../store/columns.ts";
import type { Database, Sql } from "../store/database.ts";
import { signal } from "../store/signals.ts";

/** Pings within this time are written together. */
const WRITE_MS = 1_000;
const IDLE_MS = 60_000;
const BOUND_MS = 3 * 60_000;
const CLOSE_MS = 2_000;
const MAX_TEXT = 256;
/** A worker that claims more CPUs than this is believed up to here. */
const MAX_TASKS = 4_096;

const bounded = (text: string): string => text.slice(0, MAX_TEXT).replaceAll("\0", "").toWellFormed();
const TASK = z.object({ task_id: hex }).transform(({ task_id }) => task_id);

export interface WorkerRegistry {
  /** Registering again keeps what the worker is doing. */
  register(wallet: Address, me: WorkerDescription): Promise<void>;
  /** Notes that the worker is there. Written within a second; at once when it had been lost. */
  alive(wallet: Address): Promise<void>;
  /** Tasks that use one of the worker's CPUs. */
  computing(wallet: Address): Promise<readonly TaskId[]>;
  /** Whether the worker registered since the last time this was asked: it has just started. */
  takeRecovering(sql: Sql, wallet: Address): Promise<boolean>;
  /** Writes now what was heard. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

/** One wakes every unfinished task of a worker. */
export async function wakeTasksOf(sql: Sql, wallets: readonly Address[]): Promise<void> {
  const tasks = await sql.rows(
    "SELECT DISTINCT r.task_id FROM replicates r JOIN tasks t ON t.id = r.task_id WHERE r.wallet = ANY ($1) AND NOT t.closed",
    [[...wallets]],
    TASK,
  );
  for (const id of tasks) await signal(sql, "task", id);
}

/**
 * The workers of the pool and when each was last heard of, by the database's clock: every process and every restart sees the same.
 *
 * SIDE EFFECTS: writes the table workers; a loop that writes pings, until `close`.
 * @source wire.md 1.2, 1.4
 */
export function createRegistry(
  database: Database,
  deps: { readonly clock: Clock; readonly onError: (thrown: unknown) => void; readonly watchdog?: Watchdog },
): WorkerRegistry {
  const { clock, onError, watchdog = createWatchdog({ clock }) } = deps;
  const heard = new Set<Address>();
  const closing = new AbortController();
  const bell = new Bell(clock);

  const returned = async (wallet: Address): Promise<void> => {
    await database.transaction(async (sql) => {
      const back = await sql.run("UPDATE workers SET lost = false, last_alive = now() WHERE wallet = $1 AND lost", [wallet]);
      if (back > 0) await wakeTasksOf(sql, [wallet]);
    });
  };

  const write = async (): Promise<void> => {
    const wallets = [...heard];
    heard.clear();
    if (wallets.length === 0) return;
    try {
      await database.run("UPDATE workers SET last_alive = now() WHERE wallet = ANY ($1)", [wallets]);
      const lost = await database.rows("SELECT wallet AS task_id FROM workers WHERE wallet = ANY ($1) AND lost", [wallets], TASK);
      for (const wallet of lost) await returned(wallet);
    } catch (thrown) {
      // They were there: trouble of ours must not make them lost.
      for (const wallet of wallets) heard.add(wallet);
      throw thrown;
    }
  };

  const writing = watchdog.keep({ loop: "pings", boundMs: BOUND_MS, signal: closing.signal }, async ({ signal: given, beat }) => {
    while (!given.aborted) {
      beat();
      if (heard.size === 0) await bell.wait(IDLE_MS, given);
      await clock.sleep(WRITE_MS, given).catch(() => undefined);
      if (!given.aborted) await write().catch(onError);
    }
  });

  return {
    async register(wallet, me) {
      const cpus = Math.max(1, Math.min(MAX_TASKS, Math.trunc(me.cpuNb)));
      await database.transaction(async (sql) => {
        const was = await sql.numbers("SELECT CASE WHEN lost THEN 1 ELSE 0 END AS value FROM workers WHERE wallet = $1 FOR UPDATE", [
          wallet,
        ]);
        await sql.run(
          `INSERT INTO workers (wallet, name, os, cpu, cpu_nb, memory_gb, gpu, tee, tdx, max_tasks)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
           ON CONFLICT (wallet) DO UPDATE SET name = excluded.name, os = excluded.os, cpu = excluded.cpu, cpu_nb = excluded.cpu_nb,
             memory_gb = excluded.memory_gb, gpu = excluded.gpu, tee = excluded.tee, tdx = excluded.tdx, max_tasks = excluded.max_tasks,
             lost = false, recovering = true, registered_at = now(), last_alive = now()`,
          [
            wallet,
            bounded(me.name),
            bounded(me.os),
            bounded(me.cpu),
            cpus,
            Number.isFinite(me.memorySize) ? me.memorySize : 0,
            me.gpuEnabled,
            me.teeEnabled,
            me.tdxEnabled,
            me.gpuEnabled ? 1 : cpus,
          ],
        );
        if (was[0] === 1) await wakeTasksOf(sql, [wallet]);
      });
    },
    async alive(wallet) {
      heard.add(wallet);
      bell.ring();
    },
    computing: (wallet) => database.rows("SELECT task_id FROM replicates WHERE wallet = $1 AND slot ORDER BY assigned_at", [wallet], TASK),
    takeRecovering: async (sql, wallet) =>
      (await sql.run("UPDATE workers SET recovering = false WHERE wallet = $1 AND recovering", [wallet])) > 0,
    flush: write,
    async close() {
      closing.abort();
      using patience = openScope([], { ms: CLOSE_MS, clock });
      await orAborted(writing.then(write), patience.signal).catch(onError);
    },
  };
}
