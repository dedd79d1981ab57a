import { expect, test } from "vitest";
import { systemClock } from "./clock.ts";

test("an aborted sleep rejects with the signal's own reason, also when it was aborted before", async () => {
  const reason = new Error("enough");
  const stop = new AbortController();
  const sleeping = systemClock.sleep(60_000, stop.signal);
  stop.abort(reason);
  await expect(sleeping).rejects.toBe(reason);
  await expect(systemClock.sleep(1, stop.signal)).rejects.toBe(reason);
});

test("durations only grow", () => {
  const from = systemClock.monotonicMs();
  expect(systemClock.monotonicMs()).toBeGreaterThanOrEqual(from);
});
