import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Address, TaskId, WorkerpoolAuthorization } from "@iexec-ts/poco";
import { CodedError } from "@iexec-ts/service";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Journal } from "./journal.ts";
import type { StatusChange } from "./replicate.ts";

const WALLET: Address = "0x2c7536e3605d9c16a7a3d7b1898e529396a65c23";
const TASK: TaskId = `0x${"11".repeat(32)}`;
const authorization: WorkerpoolAuthorization = {
  chainTaskId: TASK,
  dealId: `0x${"22".repeat(32)}`,
  taskIndex: 3,
  workerWallet: WALLET,
  enclaveChallenge: `0x${"00".repeat(20)}`,
  signature: { value: `0x${"33".repeat(65)}` },
};
const given = { authorization, smsUrl: undefined, stake: 10n, finalDeadline: 3_000n };
const contribution = {
  taskId: TASK,
  worker: WALLET,
  digest: `0x${"d1".repeat(32)}`,
  resultHash: `0x${"aa".repeat(32)}`,
  resultSeal: `0x${"bb".repeat(32)}`,
  callbackData: undefined,
} as const;
const codeOf = (work: () => unknown): string | undefined => {
  try {
    work();
    return undefined;
  } catch (thrown) {
    return CodedError.from(thrown).code;
  }
};

let dir: string;
let journal: Journal;
const open = (wallet: Address = WALLET) => new Journal(join(dir, "journal.sqlite"), wallet, () => new Date(1_700_000_000_000));

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "journal-"));
  journal = open();
});
afterEach(async () => {
  journal.shut();
  await rm(dir, { recursive: true, force: true });
});

describe("statuses", () => {
  test("a replicate and its history are the same after the process is gone", () => {
    journal.open(given);
    journal.record(TASK, "RUNNING");
    journal.record(TASK, "APP_DOWNLOADING");
    journal.record(TASK, "APP_DOWNLOAD_FAILED", {
      cause: "APP_IMAGE_DOWNLOAD_FAILED",
      details: { errorMessage: "no such image" },
      facts: { failure: "APP_IMAGE_DOWNLOAD_FAILED" },
    });
    const before = [journal.get(TASK), journal.history(TASK)];
    journal.shut();
    journal = open();
    expect([journal.get(TASK), journal.history(TASK)]).toEqual(before);
    expect(journal.get(TASK)).toMatchObject({ status: "APP_DOWNLOAD_FAILED", failure: "APP_IMAGE_DOWNLOAD_FAILED", seq: 3 });
  });

  test("opening a known task changes nothing", () => {
    journal.open(given);
    journal.record(TASK, "RUNNING");
    expect(journal.open(given)).toMatchObject({ known: true, replicate: { status: "RUNNING" } });
  });

  test("a step outside the table is refused and leaves no trace", () => {
    journal.open(given);
    expect(codeOf(() => journal.record(TASK, "REVEALED"))).toBe("WRK-1303");
    expect(journal.get(TASK)).toMatchObject({ status: "CREATED", seq: 0 });
    expect(journal.history(TASK)).toHaveLength(1);
  });

  test("a pause does not hide how far the task got", () => {
    journal.open(given);
    journal.record(TASK, "RUNNING");
    journal.record(TASK, "RECOVERING", { mirror: true });
    expect(journal.get(TASK)).toMatchObject({ status: "RECOVERING", progress: "RUNNING" });
  });

  test("what was recorded is reported once, in order; what the scheduler set is not", () => {
    journal.open(given);
    journal.record(TASK, "RUNNING");
    journal.record(TASK, "RECOVERING", { mirror: true });
    journal.record(TASK, "APP_DOWNLOADING");
    expect(journal.undelivered(TASK).map((c) => c.status)).toEqual(["RUNNING", "APP_DOWNLOADING"]);
    journal.delivered(TASK, 1);
    expect(journal.undelivered(TASK).map((c) => c.seq)).toEqual([3]);
    expect(journal.tasksWithUndelivered()).toEqual([TASK]);
  });

  test("listeners hear of each status after it is on disk", () => {
    const heard: StatusChange[] = [];
    journal.onChange((change) => heard.push(change));
    journal.open(given);
    journal.record(TASK, "RUNNING");
    expect(heard.map((c) => c.status)).toEqual(["CREATED", "RUNNING"]);
  });

  test("receipts survive with their block number", () => {
    journal.open(given);
    for (const status of [
      "RUNNING",
      "APP_DOWNLOADING",
      "APP_DOWNLOADED",
      "DATA_DOWNLOADING",
      "DATA_DOWNLOADED",
      "COMPUTING",
      "COMPUTED",
    ] as const) {
      journal.record(TASK, status);
    }
    journal.record(TASK, "CAN_CONTRIBUTE");
    journal.record(TASK, "CONTRIBUTING");
    journal.record(TASK, "CONTRIBUTED", { details: { chainReceipt: { blockNumber: 2n ** 60n, txHash: "0xab" } } });
    expect(journal.history(TASK).at(-1)?.details).toEqual({ chainReceipt: { blockNumber: 2n ** 60n, txHash: "0xab" } });
  });
});

describe("the register of contributions", () => {
  test("the same contribution again is the same; a different one is refused for ever", () => {
    journal.open(given);
    expect(journal.registerContribution(contribution)).toEqual(contribution);
    expect(journal.registerContribution(contribution)).toEqual(contribution);
    const different = { ...contribution, resultHash: `0x${"cc".repeat(32)}` } as const;
    expect(codeOf(() => journal.registerContribution(different))).toBe("WRK-1301");
    journal.close(TASK);
    journal.shut();
    journal = open();
    expect(codeOf(() => journal.registerContribution(different))).toBe("WRK-1301");
    expect(journal.contribution(TASK)).toEqual(contribution);
  });

  test("of two journals on one file that try at once, one wins", () => {
    const twin = open();
    journal.open(given);
    const different = { ...contribution, resultHash: `0x${"cc".repeat(32)}` } as const;
    const codes = [codeOf(() => journal.registerContribution(contribution)), codeOf(() => twin.registerContribution(different))];
    twin.shut();
    expect(codes).toEqual([undefined, "WRK-1301"]);
  });
});

test("a journal belongs to one wallet", () => {
  expect(codeOf(() => open(`0x${"99".repeat(20)}`))).toBe("WRK-1302");
});

test("stake is promised until it is contributed", () => {
  journal.open(given);
  const other: TaskId = `0x${"12".repeat(32)}`;
  journal.open({ ...given, authorization: { ...authorization, chainTaskId: other }, stake: 5n });
  expect(journal.promisedStake(other)).toBe(10n);
  journal.registerContribution(contribution);
  expect(journal.promisedStake(other)).toBe(0n);
});
