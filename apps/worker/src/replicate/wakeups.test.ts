import { lowerHex, type TaskId } from "@iexec-ts/poco";
import { expect, test } from "vitest";
import { Wakeups } from "./wakeups.ts";

const taskId: TaskId = lowerHex(`0x${"1".repeat(64)}`);
const other: TaskId = lowerHex(`0x${"2".repeat(64)}`);
const awake = new AbortController().signal;

test("a block that comes while a task is looked at is not missed: the next sleep ends at once", async () => {
  const wakeups = new Wakeups();
  wakeups.wakeAll([taskId, other]);
  await wakeups.sleep(taskId, awake);
  await wakeups.sleep(other, awake);
  const next = wakeups.sleep(taskId, awake);
  wakeups.wakeAll([taskId]);
  await next;
});

test("one wake-up ends one sleep", async () => {
  const wakeups = new Wakeups();
  wakeups.wake(taskId);
  wakeups.wake(taskId);
  await wakeups.sleep(taskId, awake);
  const stop = new AbortController();
  const sleeping = wakeups.sleep(taskId, stop.signal);
  stop.abort(new Error("still asleep"));
  await expect(sleeping).rejects.toThrow("still asleep");
});
