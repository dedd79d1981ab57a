import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { acquireLock } from "@iexec-ts/service";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Journal } from "./replicate/journal.ts";
import { refuseChangedWallet, rememberName } from "./wallet-memory.ts";

const OLD = `0x${"a1".repeat(20)}` as const;
const NEW = `0x${"b2".repeat(20)}` as const;
const hash = (byte: string) => `0x${byte.repeat(32)}` as const;
const taskId = hash("11");

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "iexec-wallet-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function leaveJournal(options: { readonly name: string; readonly contributed: boolean; readonly closed?: boolean }): void {
  const journal = new Journal(join(folder, `${OLD}.sqlite`), OLD, () => new Date(1_000));
  rememberName(journal.db, options.name);
  journal.open({
    authorization: {
      workerWallet: OLD,
      chainTaskId: taskId,
      enclaveChallenge: `0x${"0".repeat(40)}`,
      dealId: hash("22"),
      taskIndex: 0,
      signature: { value: `0x${"3".repeat(130)}` },
    },
    smsUrl: undefined,
    stake: 1n,
    finalDeadline: 9n,
  });
  if (options.contributed) {
    const digest = hash("44");
    journal.registerContribution({ taskId, worker: OLD, digest, resultHash: digest, resultSeal: digest, callbackData: undefined });
  }
  if (options.closed === true) journal.close(taskId);
  journal.shut();
}

test("another wallet does not start while the old one owes a reveal", () => {
  leaveJournal({ name: "w", contributed: true });
  expect(() => refuseChangedWallet(folder, "w", NEW)).toThrow(expect.objectContaining({ code: "WRK-1302" }));
  refuseChangedWallet(folder, "w", OLD);
});

test.each([
  ["nothing was contributed", { name: "w", contributed: false }],
  ["everything is over", { name: "w", contributed: true, closed: true }],
  ["it was another worker", { name: "other", contributed: true }],
])("another wallet starts when %s", (_, left) => {
  leaveJournal(left);
  refuseChangedWallet(folder, "w", NEW);
});

test("a worker that runs beside this one does not stop it", () => {
  leaveJournal({ name: "w", contributed: true });
  const lock = acquireLock(join(folder, `${OLD}.lock`));
  refuseChangedWallet(folder, "w", NEW);
  lock.release();
});
