import type { ReplicateStatus } from "@iexec-ts/poco";
import { expect, test } from "vitest";
import type { PoolTaskView } from "../rig/rig.ts";
import { verdictOf } from "./judge.ts";

const pool = (...replicates: readonly (readonly ReplicateStatus[])[]): PoolTaskView => ({
  status: "RUNNING",
  wantsReplicates: true,
  replicates: replicates.map((statuses, n) => ({
    wallet: `0x${n}`,
    status: statuses.at(-1) ?? "CREATED",
    cause: null,
    history: statuses.map((status) => ({ status, cause: null, at: "", setBy: "worker", late: false })),
  })),
});
const untouched = { status: "ACTIVE", contributors: 0 } as const;

test("what can be completed is completed on chain, or open", () => {
  for (const kind of ["plain", "trust-5", "callback", "large", "no-image", "no-input"] as const) {
    expect(verdictOf({ kind }, { status: "COMPLETED", contributors: 1 }, undefined)).toBe("completed");
    for (const status of ["UNSET", "ACTIVE", "REVEALING", "FAILED"] as const)
      expect(verdictOf({ kind }, { status, contributors: 0 }, undefined)).toBe("open");
  }
});

test("a failing app's task ends when each of its replicates has said so", () => {
  const failed = ["CREATED", "RUNNING", "COMPUTING", "COMPUTE_FAILED", "FAILED"] as const;
  expect(verdictOf({ kind: "exit" }, untouched, pool(failed, failed))).toBe("failed-as-expected");
  expect(verdictOf({ kind: "exit" }, untouched, pool(failed, ["CREATED", "WORKER_LOST"]))).toBe("failed-as-expected");
  expect(verdictOf({ kind: "exit" }, { status: "FAILED", contributors: 0 }, undefined)).toBe("failed-as-expected");
});

test("a failing app's task is open while somebody is at it, when nobody was, and when somebody contributed", () => {
  const failed = ["CREATED", "COMPUTE_FAILED"] as const;
  expect(verdictOf({ kind: "exit" }, untouched, pool(failed, ["CREATED", "COMPUTING"]))).toBe("open");
  expect(verdictOf({ kind: "exit" }, untouched, pool(["CREATED", "WORKER_LOST"]))).toBe("open");
  expect(verdictOf({ kind: "exit" }, untouched, pool())).toBe("open");
  expect(verdictOf({ kind: "exit" }, untouched, undefined)).toBe("open");
  expect(verdictOf({ kind: "exit" }, { status: "ACTIVE", contributors: 1 }, pool(failed))).toBe("open");
  expect(verdictOf({ kind: "exit" }, { status: "COMPLETED", contributors: 1 }, pool(failed))).toBe("open");
});
