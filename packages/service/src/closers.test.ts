import { expect, test } from "vitest";
import { type Clock, systemClock } from "./clock.ts";
import { Closers } from "./closers.ts";
import { orAborted } from "./scope.ts";

const never = () => new Promise<never>(() => undefined);

test("parts are closed one after the other, the last added first", async () => {
  const seen: string[] = [];
  const closers = new Closers();
  closers.add("lock", () => seen.push("lock"));
  closers.add("chain", async () => {
    await Promise.resolve();
    seen.push("chain");
  });
  await closers.close();
  expect(seen).toEqual(["chain", "lock"]);
});

test("a part that hangs is left behind when there is no more time, and named; the rest is still closed", async () => {
  const hurry = new AbortController();
  const seen: string[] = [];
  const closers = new Closers();
  closers.add("lock", () => seen.push("lock"));
  closers.add("engine", () => {
    hurry.abort();
    return never();
  });
  closers.add("page", () => seen.push("page"));
  await expect(closers.close(hurry.signal)).rejects.toMatchObject({ code: "SVC-1602", args: { part: "engine" } });
  expect(seen).toEqual(["page", "lock"]);
});

test("a part that throws does not keep the others open", async () => {
  const seen: string[] = [];
  const closers = new Closers();
  closers.add("lock", () => seen.push("lock"));
  closers.add("chain", () => {
    throw new TypeError("boom");
  });
  await expect(closers.close()).rejects.toThrow("boom");
  expect(seen).toEqual(["lock"]);
});

test("closing what hangs needs no time when there is none from the start", async () => {
  const closers = new Closers();
  closers.add("engine", never);
  closers.add("page", () => undefined);
  await expect(closers.close(AbortSignal.abort())).rejects.toMatchObject({ args: { part: "engine" } });
});

test("a part that hangs has its time, and the others end in their order", async () => {
  const seen: string[] = [];
  const asked: number[] = [];
  const clock: Clock = {
    ...systemClock,
    sleep: async (ms, until) => {
      asked.push(ms);
      if (!seen.includes("engine")) return orAborted(never(), until ?? AbortSignal.abort());
    },
  };
  const closers = new Closers({ clock, partMs: 5 });
  closers.add("lock", () => seen.push("lock"));
  closers.add("engine", () => {
    seen.push("engine");
    return never();
  });
  closers.add("page", () => seen.push("page"));
  await expect(closers.close()).rejects.toMatchObject({ code: "SVC-1602", args: { part: "engine" } });
  expect(seen).toEqual(["page", "engine", "lock"]);
  expect(new Set(asked)).toEqual(new Set([5]));
});
