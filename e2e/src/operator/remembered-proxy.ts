import { DatabaseSync } from "node:sqlite";
import type { HttpFaultProxy } from "@iexec-ts/testkit";
import { z } from "zod";
import type { WorkerProcess } from "../rig/worker-process.ts";

const network = z.looseObject({ resultProxy: z.string() });

/** Whether the worker knows its network already. */
export function remembers(worker: WorkerProcess): boolean {
  const db = new DatabaseSync(worker.journalPath, { readOnly: true, timeout: 5_000 });
  try {
    return db.prepare("SELECT 1 FROM sqlite_master WHERE name = 'memory'").get() !== undefined && networkRow(db) !== undefined;
  } finally {
    db.close();
  }
}

const networkRow = (db: DatabaseSync): string | undefined => {
  const row = db.prepare("SELECT value FROM memory WHERE name = 'network'").get();
  return row === undefined ? undefined : String(row.value);
};

/** SIDE EFFECTS: the journal of a stopped worker names this result proxy. */
export function rememberProxy(worker: WorkerProcess, { url }: Pick<HttpFaultProxy, "url">): void {
  const db = new DatabaseSync(worker.journalPath, { timeout: 5_000 });
  try {
    const known = network.parse(JSON.parse(networkRow(db) ?? "{}"));
    db.prepare("UPDATE memory SET value = ? WHERE name = 'network'").run(
      JSON.stringify({ ...known, resultProxy: url.replace(/\/+$/, "") }),
    );
  } finally {
    db.close();
  }
}
