import { expect, test } from "vitest";
import { canTaskFollow, isTaskFinal, isTaskStatus, TASK_STATUSES, type TaskStatus, taskStatusRow } from "./task-status.ts";

test("the 21 statuses of iexec-core 9, in its order", () => {
  expect(TASK_STATUSES).toHaveLength(21);
  expect(TASK_STATUSES.slice(0, 6)).toEqual(["RECEIVED", "INITIALIZING", "INITIALIZED", "INITIALIZE_FAILED", "RUNNING", "RUNNING_FAILED"]);
});

test("two ends; every other status has an exit and comes from RECEIVED", () => {
  expect(TASK_STATUSES.filter(isTaskFinal)).toEqual(["COMPLETED", "FAILED"]);
  const seen = new Set<TaskStatus>();
  const queue: TaskStatus[] = ["RECEIVED"];
  for (let status = queue.pop(); status !== undefined; status = queue.pop()) {
    if (seen.has(status)) continue;
    seen.add(status);
    queue.push(...taskStatusRow(status).next);
  }
  expect(seen.size).toBe(21);
});

test("every status that waits for somebody ends at the final deadline", () => {
  for (const status of TASK_STATUSES) {
    const { next } = taskStatusRow(status);
    if (isTaskFinal(status) || next.includes("FAILED") || status === "FINALIZED") continue;
    expect(canTaskFollow(status, "FINAL_DEADLINE_REACHED"), status).toBe(true);
  }
});

test("only these names are statuses", () => {
  expect(isTaskStatus("RUNNING")).toBe(true);
  expect(isTaskStatus("toString")).toBe(false);
  expect(isTaskStatus(undefined)).toBe(false);
});
