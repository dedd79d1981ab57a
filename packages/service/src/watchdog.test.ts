import { setImmediate as turn } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Clock } from "./clock.ts";
import { createWatchdog, type Pulse, type Stall, type Watchdog } from "./watchdog.ts";

/** A clock that moves only when it is told to. */
class HandClock implements Clock {
  #ms = 0;
  readonly #sleepers = new Set<{ readonly atMs: number; readonly wake: () => void }>();

  now(): Date {
    return new Date(this.#ms);
  }
  monotonicMs(): number {
    return this.#ms;
  }
  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const sleeper = { atMs: this.#ms + ms, wake: resolve };
      this.#sleepers.add(sleeper);
      signal?.addEventListener("abort", () => {
        this.#sleepers.delete(sleeper);
        reject(signal.reason);
      });
    });
  }
  /** Moves on by `ms`, waking in order whoever sleeps less. */
  async pass(ms: number): Promise<void> {
    const until = this.#ms + ms;
    for (;;) {
      await turn();
      const [next] = [...this.#sleepers].filter(({ atMs }) => atMs <= until).sort((a, b) => a.atMs - b.atMs);
      if (next === undefined) break;
      this.#ms = Math.max(this.#ms, next.atMs);
      this.#sleepers.delete(next);
      next.wake();
    }
    this.#ms = until;
    await turn();
  }
  /** As a suspended machine: time has passed, and nobody was woken meanwhile. */
  async jump(ms: number): Promise<void> {
    this.#ms += ms;
    await this.pass(0);
  }
  get sleeping(): number {
    return this.#sleepers.size;
  }
}

const never = (): Promise<never> => new Promise(() => undefined);

let clock: HandClock;
let dog: Watchdog;
let stop: AbortController;
let codes: string[];
beforeEach(() => {
  clock = new HandClock();
  dog = createWatchdog({ clock, graceMs: 1_000 });
  stop = new AbortController();
  codes = [];
  dog.onStall((error) => codes.push(error.code));
});
afterEach(() => stop.abort());

const options = (more: { readonly boundMs?: number; readonly of?: string } = {}) => ({
  loop: "loop",
  boundMs: 10_000,
  signal: stop.signal,
  ...more,
});

test("a loop that hangs is told within its bound, started again, and its old run is told to end", async () => {
  const runs: Pulse[] = [];
  let worked = 0;
  const kept = dog.keep(options({ of: "task 1" }), async (pulse) => {
    runs.push(pulse);
    if (runs.length === 1) await never();
    while (!pulse.signal.aborted) {
      pulse.beat();
      worked += 1;
      await clock.sleep(1_000, pulse.signal).catch(() => undefined);
    }
  });
  await clock.pass(9_999);
  expect(codes).toEqual([]);
  await clock.pass(1);
  expect(codes).toEqual(["SVC-1501"]);
  expect(runs).toHaveLength(2);
  expect(runs[0]?.signal.aborted).toBe(true);
  await clock.pass(60_000);
  expect(worked).toBeGreaterThan(50);
  expect(codes).toEqual(["SVC-1501"]);
  expect(dog.stalls().map(({ loop, of, restarts, mendedAt }: Stall) => [loop, of, restarts, mendedAt !== undefined])).toEqual([
    ["loop", "task 1", 1, true],
  ]);
  stop.abort();
  await kept;
});

test("a loop that goes on hanging is started again each time, and stays reported", async () => {
  let runs = 0;
  void dog.keep(options(), () => {
    runs += 1;
    return never();
  });
  await clock.pass(35_000);
  expect(runs).toBe(4);
  expect(dog.stalls().map(({ restarts, mendedAt }) => [restarts, mendedAt])).toEqual([[3, undefined]]);
});

test("a listener that throws holds up neither the restart nor other loops nor other listeners", async () => {
  const runs = { a: 0, b: 0 };
  codes = [];
  dog = createWatchdog({ clock, graceMs: 1_000 });
  dog.onStall(() => {
    throw new Error("the listener is broken");
  });
  dog.onStall(({ code }) => codes.push(code));
  for (const of of ["a", "b"] as const)
    void dog.keep(options({ of }), () => {
      runs[of] += 1;
      if (runs[of] > 2) throw new Error("ended by itself");
      return never();
    });
  await clock.pass(10_000);
  expect([runs, codes]).toEqual([{ a: 2, b: 2 }, ["SVC-1501", "SVC-1501"]]);
  await clock.pass(10_000);
  expect(codes).toEqual(["SVC-1501", "SVC-1501", "SVC-1501", "SVC-1501", "SVC-1502", "SVC-1502"]);
  await clock.pass(20_000);
  expect(runs.a).toBeGreaterThan(3);
});

test("beats of a run that was given up count for nothing", async () => {
  const runs: Pulse[] = [];
  void dog.keep(options(), (pulse) => {
    runs.push(pulse);
    return never();
  });
  await clock.pass(10_000);
  runs[0]?.beat();
  expect(dog.stalls().map(({ mendedAt }) => mendedAt)).toEqual([undefined]);
});

test("a beat may promise the next one later than the bound, not earlier", async () => {
  let runs = 0;
  void dog.keep(options(), (pulse) => {
    runs += 1;
    pulse.beat(runs === 1 ? 50_000 : 1);
    return never();
  });
  await clock.pass(49_999);
  expect(runs).toBe(1);
  await clock.pass(1);
  expect(runs).toBe(2);
  await clock.pass(9_999);
  expect(runs).toBe(2);
});

test("a machine that was suspended is not taken for loops that stood still", async () => {
  void dog.keep(options(), async (pulse) => {
    while (!pulse.signal.aborted) {
      pulse.beat();
      await clock.sleep(8_000, pulse.signal).catch(() => undefined);
    }
  });
  await clock.pass(1_000);
  await clock.jump(3_600_000);
  await clock.pass(60_000);
  expect(codes).toEqual([]);
});

test("a loop that throws is started again after a pause", async () => {
  let runs = 0;
  const kept = dog.keep(options(), async (pulse) => {
    runs += 1;
    if (runs < 3) throw new Error("unforeseen");
    pulse.beat();
  });
  await clock.pass(2_000);
  await kept;
  expect(runs).toBe(3);
  expect(codes).toEqual(["SVC-1502", "SVC-1502"]);
});

test("a hung loop does not hold the stop longer than its grace", async () => {
  let ended = false;
  void dog.keep(options(), never).then(() => {
    ended = true;
  });
  await clock.pass(1);
  stop.abort();
  await clock.pass(999);
  expect(ended).toBe(false);
  await clock.pass(1);
  expect(ended).toBe(true);
});

test("a loop that ends in order ends its watch; nothing sleeps on", async () => {
  await dog.keep(options(), async (pulse) => pulse.beat());
  await clock.pass(0);
  expect(clock.sleeping).toBe(0);
  expect(dog.stalls()).toEqual([]);
});

test("many loops of different bounds are each judged by their own", async () => {
  const restarts = new Map<number, number>();
  for (const seconds of [1, 7, 30, 300])
    void dog.keep(options({ boundMs: seconds * 1_000 }), () => {
      restarts.set(seconds, (restarts.get(seconds) ?? -1) + 1);
      return never();
    });
  await clock.pass(301_000);
  expect([...restarts]).toEqual([
    [1, 301],
    [7, 43],
    [30, 10],
    [300, 1],
  ]);
});
