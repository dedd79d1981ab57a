import { expect, test } from "vitest";
import { Closers } from "./closers.ts";

const never = () => new Promise<never>(() => undefined);

test("parts are closed one after the other, the last added first", async () => {
  const seen: string[] = [];
  const closers = new Closers();
  closers.push(() => seen.push("lock"), "lock");
  closers.push(async () => {
    await Promise.resolve();
    seen.push("chain");
  }, "chain");
  await closers.close();
  expect(seen).toEqual(["chain", "lock"]);
});

test("a part that hangs is left behind when there is no more time, and named; the rest is still closed", async () => {
  const hurry = new AbortController();
  const seen: string[] = [];
  const closers = new Closers();
  closers.push(() => seen.push("lock"), "lock");
  closers.push(() => {
    hurry.abort();
    return never();
  }, "engine");
  closers.push(() => seen.push("page"), "page");
  await expect(closers.close(hurry.signal)).rejects.toMatchObject({ code: "SVC-1602", args: { part: "engine" } });
  expect(seen).toEqual(["page", "lock"]);
});

test("a part that throws does not keep the others open", async () => {
  const seen: string[] = [];
  const closers = new Closers();
  closers.push(() => seen.push("lock"), "lock");
  closers.push(() => {
    throw new TypeError("boom");
  }, "chain");
  await expect(closers.close()).rejects.toThrow("boom");
  expect(seen).toEqual(["lock"]);
});

test("closing what hangs needs no time when there is none from the start", async () => {
  const closers = new Closers();
  closers.push(never, "engine");
  closers.push(() => undefined, "page");
  await expect(closers.close(AbortSignal.abort())).rejects.toMatchObject({ args: { part: "engine" } });
});
