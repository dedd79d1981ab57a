import { setImmediate as turn } from "node:timers/promises";
import { afterEach, expect, test } from "vitest";
import { plantedHang, plantHang } from "./plant-hang.ts";
import { createWatchdog, type Pulse, type Watchdog } from "./watchdog.ts";

const BOUND_MS = 60_000;
let stop = new AbortController();
afterEach(() => {
  stop.abort();
  stop = new AbortController();
});

const planted = (at: string, boundMs?: string): { readonly dog: Watchdog; readonly codes: string[] } => {
  const dog = createWatchdog({ graceMs: 10 });
  const codes: string[] = [];
  dog.onStall(({ code }) => codes.push(code));
  return { dog: plantHang(dog, { at, boundMs }), codes };
};
const keep = (dog: Watchdog, loop: string, run: (pulse: Pulse) => Promise<void>): Promise<void> =>
  dog.keep({ loop, boundMs: BOUND_MS, signal: stop.signal }, run);

test("the named loop hangs at its first run, is told within the short bound, and runs at its second", async () => {
  const { dog, codes } = planted("demand", "50");
  let runs = 0;
  const began = performance.now();
  await keep(dog, "demand", async () => {
    runs += 1;
  });
  expect(runs).toBe(1);
  expect(codes).toEqual(["SVC-1501"]);
  expect(performance.now() - began).toBeLessThan(5_000);
  expect(dog.stalls()[0]?.mendedAt).toBeInstanceOf(Date);
});

test("what is not named runs at once, and the plant is used up by the runs it names", async () => {
  const { dog, codes } = planted("demand, push link#2", "20");
  await keep(dog, "replicate", async () => undefined);
  expect(codes).toEqual([]);
  await keep(dog, "push link", async () => undefined);
  expect(codes).toEqual(["SVC-1501", "SVC-1501"]);
  await keep(dog, "push link", async () => undefined);
  expect(codes).toHaveLength(2);
});

test("the run after the planted one keeps the bound that the loop asked for", async () => {
  const { dog, codes } = planted("demand", "20");
  const running = Promise.withResolvers<void>();
  void keep(dog, "demand", async () => {
    running.resolve();
    await new Promise(() => undefined);
  });
  await running.promise;
  const until = performance.now() + 100;
  while (performance.now() < until) await turn();
  expect(codes).toHaveLength(1);
});

test("without a name in the environment it is the watchdog itself", () => {
  const dog = createWatchdog();
  expect(plantHang(dog, plantedHang({}))).toBe(dog);
  expect(plantHang(dog, plantedHang({ IEXEC_TEST_HANG_AT: "" }))).toBe(dog);
});
