import { getEventListeners } from "node:events";
import { lowerHex, type TaskId } from "@iexec-ts/poco";
import { expect, test } from "vitest";
import { Wakeups } from "./wakeups.ts";

const taskId: TaskId = lowerHex(`0x${"1".repeat(64)}`);
const other: TaskId = lowerHex(`0x${"2".repeat(64)}`);
const LONG_MS = 60_000;
const awake = new AbortController().signal;

test("a block that comes while a task is looked at is not missed: the next sleep ends at once", async () => {
  const wakeups = new Wakeups();
  wakeups.wakeAll([taskId, other]);
  await wakeups.sleep(taskId, awake, LONG_MS);
  await wakeups.sleep(other, awake, LONG_MS);
  const next = wakeups.sleep(taskId, awake, LONG_MS);
  wakeups.wakeAll([taskId]);
  await next;
});

test("one wake-up ends one sleep", async () => {
  const wakeups = new Wakeups();
  wakeups.wake(taskId);
  wakeups.wake(taskId);
  await wakeups.sleep(taskId, awake, LONG_MS);
  const stop = new AbortController();
  const sleeping = wakeups.sleep(taskId, stop.signal, LONG_MS);
  stop.abort(new Error("still asleep"));
  await expect(sleeping).rejects.toThrow("still asleep");
});

test("a wake-up wakes everybody who sleeps for the task, and nobody else", async () => {
  const wakeups = new Wakeups();
  const two = [wakeups.sleep(taskId, awake, LONG_MS), wakeups.sleep(taskId, awake, LONG_MS)];
  const stop = new AbortController();
  const elsewhere = wakeups.sleep(other, stop.signal, LONG_MS);
  wakeups.wake(taskId);
  await Promise.all(two);
  stop.abort(new Error("still asleep"));
  await expect(elsewhere).rejects.toThrow("still asleep");
});

test("nobody sleeps longer than they said, and an end in time leaves nothing on a signal that lives for weeks", async () => {
  const wakeups = new Wakeups();
  const weeks = new AbortController();
  await wakeups.sleep(taskId, weeks.signal, 10);
  const sleeping = wakeups.sleep(taskId, weeks.signal, LONG_MS);
  wakeups.wake(taskId);
  await sleeping;
  expect(getEventListeners(weeks.signal, "abort")).toEqual([]);
});
