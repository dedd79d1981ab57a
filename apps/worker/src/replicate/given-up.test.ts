import { setImmediate as turn } from "node:timers/promises";
import { backoff, type CodedError, createWatchdog, systemRandom } from "@iexec-ts/service";
import { HandClock } from "@iexec-ts/testkit";
import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ReplicateEngine } from "./engine.ts";
import { ALIVE_BOUND_MS } from "./stage-bounds.ts";
import { active, TASK, World } from "./test/world.ts";

const newBackoff = () => backoff({ baseMs: 10, maxMs: 50 }, systemRandom);
const DIGEST = `0x${"d1".repeat(32)}` as const;
const HOUR_MS = 3_600_000;
const STEP_MS = 30_000;

interface Bench {
  readonly world: World;
  readonly clock: HandClock;
  readonly engine: ReplicateEngine;
  readonly told: CodedError[];
  /** Lets time pass until `look` is true. */
  until(what: string, look: () => boolean): Promise<void>;
  close(): Promise<void>;
}

function bench(): Bench {
  const world = new World();
  const clock = new HandClock();
  const watchdog = createWatchdog({ clock });
  const told: CodedError[] = [];
  watchdog.onStall((error) => told.push(error));
  const engine = new ReplicateEngine(world.ports(clock), { onAlarm: () => undefined, backoff: newBackoff, watchdog });
  return {
    world,
    clock,
    engine,
    told,
    async until(what, look) {
      for (let ms = 0; !look(); ms += STEP_MS) {
        if (ms > 12 * HOUR_MS) throw new Error(`${what} did not come: ${world.statuses.join(" ")}`);
        await clock.pass(STEP_MS);
        // Files of this host take real time.
        for (let turns = 0; turns < 20; turns += 1) await turn();
      }
    },
    async close() {
      const closing = engine.close();
      await clock.pass(HOUR_MS);
      await closing;
      world.close();
    },
  };
}

/** Settles everything that was settled late. */
const settle = async (): Promise<void> => {
  for (let turns = 0; turns < 50; turns += 1) await turn();
};

/** As after a computation: all that is left is to contribute. */
function computed({ journal }: World): void {
  for (const status of ["RUNNING", "APP_DOWNLOADING", "APP_DOWNLOADED", "DATA_DOWNLOADING", "DATA_DOWNLOADED", "COMPUTING"] as const)
    journal.record(TASK, status);
  const sealed = { digest: DIGEST, callbackData: undefined, zipPath: "/nowhere", zipSha256: DIGEST };
  journal.record(TASK, "COMPUTED", { facts: { sealed } });
}

let it: Bench;
beforeEach(() => {
  it = bench();
});
afterEach(() => it.close());

test("a stage that hangs is told and goes on by itself; what wakes up later changes nothing", async () => {
  const { world, engine } = it;
  const late = Promise.withResolvers<void>();
  let pulls = 0;
  world.pull = async () => {
    pulls += 1;
    if (pulls === 1) await late.promise;
    return { id: "sha256:1", digests: [], bytes: 1, stale: false };
  };
  engine.drive(TASK);
  await it.until("the next stage", () => world.statuses.includes("DATA_DOWNLOADED"));
  expect(it.told.map(({ code }) => code)).toEqual(["SVC-1501"]);
  const before = world.statuses;
  late.resolve();
  await settle();
  expect(world.statuses.filter((status) => status === "APP_DOWNLOADED")).toHaveLength(1);
  expect(world.statuses.slice(0, before.length)).toEqual(before);
});

test("a stage that goes on silently after its signs of life is given more time each run, until it is done", async () => {
  const { world, engine, clock } = it;
  let pulls = 0;
  world.pull = async (signal, onAlive) => {
    pulls += 1;
    await clock.sleep(1_000, signal);
    onAlive();
    await clock.sleep(3 * ALIVE_BOUND_MS, signal);
    return { id: "sha256:1", digests: [], bytes: 1, stale: false };
  };
  engine.drive(TASK);
  await it.until("the next stage", () => world.statuses.includes("APP_DOWNLOADED"));
  expect(pulls).toBe(3);
  expect(it.told.map(({ code }) => code)).toEqual(["SVC-1501", "SVC-1501"]);
});

test("a look at the chain that is never answered is told and made again", async () => {
  const { world, engine } = it;
  let looks = 0;
  world.observe = async () => {
    looks += 1;
    return looks === 2 ? new Promise(() => undefined) : active();
  };
  engine.drive(TASK);
  await it.until("the first stage", () => world.statuses.includes("APP_DOWNLOADED"));
  expect(it.told.map(({ code }) => code)).toEqual(["SVC-1501"]);
});

test("the answer to a transaction that got lost is asked for again, and nothing is told: the chain may take days", async () => {
  const { world, engine } = it;
  computed(world);
  let done = false;
  world.submit = async () => {
    if (world.submitted.length < 20) return new Promise(() => undefined);
    done = true;
    return { kind: "refused", reason: "it is there" };
  };
  world.observe = async () => {
    const seen = active();
    return done
      ? { ...seen, ours: { ...seen.ours, status: "CONTRIBUTED", resultHash: world.resultHash, resultSeal: world.resultSeal } }
      : seen;
  };
  engine.drive(TASK);
  await it.until("the contribution", () => world.statuses.includes("CONTRIBUTED"));
  expect(it.told).toEqual([]);
  expect(new Set(world.submitted.map(({ data }) => data)).size).toBe(1);
});

test("whatever hangs and wakes up later, there is one contribution, and it is recorded once", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.boolean(), { maxLength: 12 }), async (hangs) => {
      const each = bench();
      const { world } = each;
      computed(world);
      const plan = [...hangs];
      const hung: (() => void)[] = [];
      /** The next call hangs if the plan says so, until the end of the test. */
      const perhaps = async (): Promise<void> => {
        if (plan.shift() !== true) return;
        const late = Promise.withResolvers<void>();
        hung.push(late.resolve);
        await late.promise;
      };
      let there = false;
      world.submit = async () => {
        await perhaps();
        there = true;
        await perhaps();
        return { kind: "refused", reason: "it is there" };
      };
      world.observe = async () => {
        await perhaps();
        const seen = active();
        return there
          ? { ...seen, ours: { ...seen.ours, status: "CONTRIBUTED", resultHash: world.resultHash, resultSeal: world.resultSeal } }
          : seen;
      };
      each.engine.drive(TASK);
      await each.until("the contribution", () => world.statuses.includes("CONTRIBUTED"));
      const { statuses } = world;
      for (const wake of hung) wake();
      await settle();
      expect(world.statuses).toEqual(statuses);
      expect(statuses.filter((status) => status === "CONTRIBUTED")).toHaveLength(1);
      expect(new Set(world.submitted.map(({ id, data }) => `${id} ${data}`)).size).toBe(1);
      await each.close();
    }),
    { numRuns: 40 },
  );
});

test("a stage that hangs for ever does not hold the stop", async () => {
  const { world, engine, clock } = it;
  world.pull = () => new Promise(() => undefined);
  engine.drive(TASK);
  await world.until("the download", () => world.statuses.includes("APP_DOWNLOADING"));
  let closed = false;
  const closing = engine.close().then(() => {
    closed = true;
  });
  await clock.pass(10_000);
  expect(closed).toBe(true);
  await closing;
});
