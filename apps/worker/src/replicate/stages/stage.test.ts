import type { ReplicateStatus } from "@iexec-ts/poco";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Journal } from "../journal.ts";
import { alreadyDone, enter } from "./stage.ts";

const worker = `0x${"a1".repeat(20)}` as const;
const taskId = `0x${"11".repeat(32)}` as const;
const SO_FAR: readonly ReplicateStatus[] = [
  "RUNNING",
  "APP_DOWNLOADING",
  "APP_DOWNLOADED",
  "DATA_DOWNLOADING",
  "DATA_DOWNLOADED",
  "COMPUTING",
  "COMPUTED",
  "CAN_CONTRIBUTE",
];

let journal: Journal;
beforeEach(() => {
  journal = new Journal(":memory:", worker, () => new Date(1_000));
  journal.open({
    authorization: {
      workerWallet: worker,
      chainTaskId: taskId,
      enclaveChallenge: `0x${"0".repeat(40)}`,
      dealId: taskId,
      taskIndex: 0,
      signature: { value: `0x${"3".repeat(130)}` },
    },
    smsUrl: undefined,
    stake: 1n,
    finalDeadline: 9n,
  });
  for (const status of SO_FAR) journal.record(taskId, status);
});
afterEach(() => journal.shut());

const since = () =>
  journal
    .history(taskId)
    .slice(SO_FAR.length + 1)
    .map(({ status }) => status);

test("what the chain shows as done is announced first where the table asks for it", () => {
  alreadyDone({ taskId }, "CONTRIBUTING", "CONTRIBUTED", { journal });
  expect(since()).toEqual(["CONTRIBUTING", "CONTRIBUTED"]);
});

test("after a restart it is recorded at once: nothing is sent any more", () => {
  enter({ taskId }, "CONTRIBUTING", { journal });
  enter({ taskId }, "CONTRIBUTING", { journal });
  journal.record(taskId, "RECOVERING", { mirror: true });
  alreadyDone({ taskId }, "CONTRIBUTING", "CONTRIBUTED", { journal });
  expect(since()).toEqual(["CONTRIBUTING", "RECOVERING", "CONTRIBUTED"]);
});
