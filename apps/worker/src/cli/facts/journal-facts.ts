import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { sqliteOutbox, type TxRecord } from "@iexec-ts/chain";
import { type Address, lowerHex } from "@iexec-ts/poco";
import { CodedError } from "@iexec-ts/service";
import { type Pause, readPause } from "../../control/operation.ts";
import { type KnownNetwork, recallNetwork } from "../../network-memory.ts";
import { type JournalView, readJournal } from "../../replicate/read-journal.ts";
import type { Replicate } from "../../replicate/replicate.ts";

/** What a worker's journal says, whether the worker runs or not. */
export interface JournalFacts extends JournalView {
  readonly path: string;
  readonly network: KnownNetwork | undefined;
  /** Newest first. */
  readonly transactions: readonly TxRecord[];
  /** Tasks for which a contribution was signed. */
  readonly contributed: ReadonlySet<string>;
  readonly undelivered: number;
  /** The pause that holds, also while no worker runs. */
  readonly pause?: Pause | undefined;
}

const MAX_TRANSACTIONS = 100_000;

export const journalPath = (stateDir: string, wallet: Address): string => join(stateDir, `${wallet}.sqlite`);

/** Reads a journal without touching it; undefined when this wallet has none yet. */
export async function readJournalFacts(stateDir: string, wallet: Address): Promise<JournalFacts | undefined> {
  const path = journalPath(stateDir, wallet);
  if (!existsSync(path)) return undefined;
  const db = new DatabaseSync(path, { readOnly: true });
  try {
    const has = (table: string) => db.prepare("SELECT 1 FROM sqlite_master WHERE name = ?").get(table) !== undefined;
    if (!has("replicate")) return undefined;
    const transactions = has("tx_record") ? await sqliteOutbox(db).list(MAX_TRANSACTIONS) : [];
    const contributed = new Set(
      db
        .prepare("SELECT task_id FROM contribution")
        .all()
        .map((row) => String(row.task_id)),
    );
    const undelivered = Number(db.prepare("SELECT count(*) AS n FROM status_change WHERE delivered_at IS NULL").get()?.n ?? 0);
    return {
      ...readJournal(path),
      path,
      network: recallNetwork(db),
      transactions,
      contributed,
      undelivered,
      pause: readPause(db, new Date()),
    };
  } finally {
    db.close();
  }
}

/** The wallets that have a journal in this folder. */
export function walletsWithJournal(stateDir: string): readonly Address[] {
  if (!existsSync(stateDir)) return [];
  return readdirSync(stateDir)
    .filter((file) => /^0x[0-9a-f]{40}\.sqlite$/.test(file))
    .map((file) => lowerHex(`0x${file.slice(2, 42)}`));
}

/** The one task whose id is, or begins with, `typed`. Errors: WRK-2011. */
export function findTask(journal: JournalFacts | undefined, typed: string): Replicate {
  const wanted = typed.toLowerCase();
  const found = (journal?.replicates ?? []).filter(({ taskId }) => taskId.startsWith(wanted));
  const [only] = found;
  if (only === undefined || (found.length > 1 && only.taskId !== wanted))
    throw new CodedError("WRK-2011", { what: "Task", id: typed, list: "iexec-worker task list" });
  return only;
}
