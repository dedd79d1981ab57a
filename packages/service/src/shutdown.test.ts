import { EventEmitter, once } from "node:events";
import { expect, test } from "vitest";
import type { Clock } from "./clock.ts";
import { systemClock } from "./clock.ts";
import { createShutdown, hookSignals } from "./shutdown.ts";

/** A clock whose only sleep ends when told. */
function handClock() {
  const { promise, resolve } = Promise.withResolvers<void>();
  const clock: Clock = {
    ...systemClock,
    sleep: (_, signal) =>
      Promise.race([promise, signal === undefined ? promise : once(signal, "abort").then(() => Promise.reject(signal.reason))]),
  };
  return { clock, graceIsOver: resolve };
}

test("steps run one after the other, the last added first, after the signal", async () => {
  const shutdown = createShutdown({ graceMs: 60_000 });
  const seen: string[] = [];
  shutdown.signal.addEventListener("abort", () => seen.push("signal"));
  shutdown.add("database", () => void seen.push("database"));
  shutdown.add("http", async () => {
    await Promise.resolve();
    seen.push("http");
  });
  expect(await shutdown.request("test")).toEqual({ reason: "test", failures: [], cutShort: false });
  expect(seen).toEqual(["signal", "http", "database"]);
});

test("a step that throws is reported and does not stop the others", async () => {
  const shutdown = createShutdown({ graceMs: 60_000 });
  const seen: string[] = [];
  shutdown.add("last", () => void seen.push("last"));
  shutdown.add("broken", () => {
    throw new TypeError("boom");
  });
  const report = await shutdown.request("test");
  expect(seen).toEqual(["last"]);
  expect(report.failures.map(({ step, error }) => [step, error.code])).toEqual([["broken", "SVC-1000"]]);
});

test("the end of the grace period cuts a hanging step short, and the rest still starts", async () => {
  const { clock, graceIsOver } = handClock();
  const shutdown = createShutdown({ graceMs: 1, clock });
  const seen: string[] = [];
  shutdown.add("lock", () => void seen.push("lock"));
  shutdown.add("hangs", (signal) => {
    graceIsOver();
    signal.addEventListener("abort", () => seen.push("told"));
    return new Promise(() => undefined);
  });
  const report = await shutdown.request("test");
  expect(report).toMatchObject({ cutShort: true, failures: [{ step: "hangs" }] });
  expect(seen).toEqual(["told", "lock"]);
});

test("a second signal is immediate, and both requests get the same report", async () => {
  const signals = new EventEmitter();
  const { clock } = handClock();
  const shutdown = createShutdown({ graceMs: 1, clock });
  const unhook = hookSignals(shutdown, {
    on: (name, listener) => signals.on(name, listener),
    off: (name, listener) => signals.off(name, listener),
  });
  shutdown.add("hangs", () => {
    signals.emit("SIGINT");
    return new Promise(() => undefined);
  });
  signals.emit("SIGTERM");
  expect(await shutdown.done).toMatchObject({ reason: "SIGTERM", cutShort: true });
  unhook();
  expect(signals.listenerCount("SIGTERM")).toBe(0);
});

test("a part that is ready only after the steps have run is closed at once, and waited for", async () => {
  const shutdown = createShutdown({ graceMs: 60_000 });
  await shutdown.request("SIGTERM");
  const { promise, resolve } = Promise.withResolvers<void>();
  const seen: string[] = [];
  shutdown.add("late", async () => {
    await promise;
    seen.push("late");
  });
  const asked = shutdown.request("the end");
  resolve();
  expect(await asked).toMatchObject({ reason: "SIGTERM" });
  expect(seen).toEqual(["late"]);
});

test("a late part that hangs does not hold the end", async () => {
  const shutdown = createShutdown({ graceMs: 20 });
  await shutdown.request("SIGTERM");
  shutdown.add("late", () => new Promise(() => undefined));
  expect(await shutdown.request("the end")).toMatchObject({ reason: "SIGTERM" });
});
