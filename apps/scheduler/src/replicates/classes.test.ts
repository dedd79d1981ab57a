import { REPLICATE_STATUSES } from "@iexec-ts/poco";
import { expect, test } from "vitest";
import { freesSlot, usesSlot } from "./classes.ts";

test("a CPU is free again from the end of the computation, or from a failure before it", () => {
  expect(REPLICATE_STATUSES.filter(freesSlot)).toEqual([
    "APP_DOWNLOAD_FAILED",
    "DATA_DOWNLOAD_FAILED",
    "COMPUTED",
    "COMPUTE_FAILED",
    "CANT_CONTRIBUTE_SINCE_STAKE_TOO_LOW",
    "CANT_CONTRIBUTE_SINCE_TASK_NOT_ACTIVE",
    "CANT_CONTRIBUTE_SINCE_AFTER_DEADLINE",
    "CANT_CONTRIBUTE_SINCE_CONTRIBUTION_ALREADY_SET",
    "WORKER_LOST",
    "ABORTED_ON_CONSENSUS_REACHED",
    "ABORTED_ON_CONTRIBUTION_TIMEOUT",
    "FAILED",
  ]);
});

test("no status both uses a CPU and frees one", () => {
  expect(REPLICATE_STATUSES.filter((status) => usesSlot(status) && freesSlot(status))).toEqual([]);
});
