import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, test } from "vitest";
import { outboxConformance } from "./outbox-conformance.ts";
import { sqliteOutbox } from "./sqlite-outbox.ts";

outboxConformance({ test, expect }, async () => {
  const folder = mkdtempSync(join(tmpdir(), "outbox-"));
  const open = () => {
    const db = new DatabaseSync(join(folder, "outbox.sqlite"));
    db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;");
    opened.push(db);
    return db;
  };
  const opened: DatabaseSync[] = [];
  return {
    store: sqliteOutbox(open()),
    reopenStore: async () => sqliteOutbox(open()),
    close: async () => {
      for (const db of opened) db.close();
      rmSync(folder, { recursive: true });
    },
  };
});

test("an outbox may share its database with a journal that is in a transaction", async () => {
  const db = new DatabaseSync(":memory:");
  const store = sqliteOutbox(db);
  db.exec("BEGIN");
  await store.open({ id: "a", to: "0x00000000000000000000000000000000000000aa", data: "0x", gasFloor: 0n }, new Date(0));
  await store.setState("a", "refused", { at: new Date(0), settled: true });
  db.exec("ROLLBACK");
  expect(await store.get("a")).toBeUndefined();
});
