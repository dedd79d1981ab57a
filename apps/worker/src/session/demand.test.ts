import { chainTime } from "@iexec-ts/poco";
import { backoff, type CodedError, createWatchdog, seededRandom, silentLogger } from "@iexec-ts/service";
import { HandClock } from "@iexec-ts/testkit";
import type { Assignment } from "@iexec-ts/wire";
import { afterEach, beforeEach, expect, test } from "vitest";
import { TASK, World } from "../replicate/test/world.ts";
import { DEMAND_BOUND_MS, type DemandDeps, demandLoop } from "./demand.ts";

const CONFIGURATION = {
  workerPoolAddress: `0x${"1".repeat(40)}`,
  configServerUrl: "http://config",
  resultRepositoryURL: "http://results",
  schedulerPublicAddress: `0x${"2".repeat(40)}`,
  askForReplicatePeriod: 5_000,
  requiredWorkerVersion: "",
} as const;
const never = (): Promise<never> => new Promise(() => undefined);

let world: World;
let clock: HandClock;
let stop: AbortController;
let told: CodedError[];
let asked: number;
let caughtUp: number;
beforeEach(() => {
  world = new World();
  clock = new HandClock();
  stop = new AbortController();
  told = [];
  asked = 0;
  caughtUp = 0;
});
afterEach(() => {
  stop.abort();
  world.close();
});

function run(over: Partial<DemandDeps> & { readonly demand?: (signal: AbortSignal) => Promise<Assignment | undefined> } = {}) {
  const { demand = async (signal) => clock.sleep(25_000, signal).then(() => undefined), ...deps } = over;
  const watchdog = createWatchdog({ clock });
  watchdog.onStall((error) => told.push(error));
  void watchdog.keep(
    { loop: "demand", boundMs: DEMAND_BOUND_MS, signal: stop.signal },
    demandLoop({
      link: {
        configuration: CONFIGURATION,
        demand: (_request, signal) => {
          asked += 1;
          return demand(signal);
        },
      },
      pool: { head: () => ({ number: 7n, hash: "0x", timestamp: chainTime(1n), baseFeePerGas: undefined }) },
      journal: world.journal,
      slots: () => 2,
      gate: { look: async () => undefined, onChange: () => () => undefined },
      onLook: () => undefined,
      take: async () => true,
      catchUp: async () => {
        caughtUp += 1;
        return true;
      },
      backoff: () => backoff({ baseMs: 250, maxMs: 15_000 }, seededRandom(1)),
      clock,
      log: silentLogger,
      ...deps,
    }),
  );
}

test("a question that is never answered is asked again, after asking what was missed", async () => {
  run({ demand: () => (asked === 1 ? never() : clock.sleep(25_000).then(() => undefined)) });
  await clock.pass(300_000);
  expect(asked).toBeGreaterThan(2);
  expect(caughtUp).toBe(1);
  expect(told).toEqual([]);
});

test("a gate that never answers is a refusal that is told, and asking goes on when it answers", async () => {
  const refusals: (string | undefined)[] = [];
  let looks = 0;
  run({
    gate: {
      look: () => {
        looks += 1;
        return looks <= 2 ? never() : Promise.resolve(undefined);
      },
      onChange: () => () => undefined,
    },
    onLook: (refusal) => refusals.push(refusal?.code),
  });
  await clock.pass(200_000);
  expect(refusals.slice(0, 3)).toEqual(["WRK-1536", "WRK-1536", undefined]);
  expect(asked).toBeGreaterThan(0);
  expect(told).toEqual([]);
});

test("a slot that came free without a word is noticed", async () => {
  let slots = 1;
  run({ slots: () => slots });
  await clock.pass(1_000);
  expect(asked).toBe(0);
  slots = 2;
  await clock.pass(60_000);
  expect(asked).toBeGreaterThan(0);
});

const assigned = (): Assignment => ({ authorization: world.journal.get(TASK).authorization, smsUrl: undefined });
const nothing = (signal: AbortSignal) => clock.sleep(25_000, signal).then(() => undefined);

test.each([
  { what: "an answer that is lost", demand: "lost", take: "works" },
  { what: "a task that cannot be taken in now", demand: "task", take: "fails" },
  { what: "a task that is never taken in", demand: "task", take: "hangs" },
] as const)("$what is asked for again, once, and does not end the asking", async ({ demand, take }) => {
  run({
    demand: async (signal) => {
      if (asked > 1) return nothing(signal);
      if (demand === "lost") throw new Error("the connection broke");
      return assigned();
    },
    take: async () => {
      if (take === "fails") throw new Error("no node answers");
      return take === "hangs" ? never() : true;
    },
  });
  await clock.pass(300_000);
  expect([asked > 1, caughtUp, told]).toEqual([true, 1, []]);
});

test("what may have been given is asked for until there is an answer, and others are asked for meanwhile", async () => {
  let tries = 0;
  run({
    demand: async (signal) => {
      if (asked > 1) return nothing(signal);
      throw new Error("the connection broke");
    },
    catchUp: async () => {
      tries += 1;
      return tries === 3;
    },
  });
  await clock.pass(300_000);
  expect([tries, asked > 5, told]).toEqual([3, true, []]);
});

test("what nobody foresaw is told within the bound, started again, and owes no missed task", async () => {
  run({
    catchUp: async () => {
      if (told.length === 0) await never();
      caughtUp += 1;
      return true;
    },
    demand: () => (asked === 1 ? never() : clock.sleep(25_000).then(() => undefined)),
  });
  await clock.pass(160_000 + DEMAND_BOUND_MS);
  expect(told.map(({ code }) => code)).toEqual(["SVC-1501"]);
  await clock.pass(60_000);
  expect(caughtUp).toBe(1);
  expect(asked).toBeGreaterThan(1);
});

test("a worker whose slots are all busy asks nothing", async () => {
  run({ slots: () => 1 });
  await clock.pass(3_600_000);
  expect(asked).toBe(0);
  expect(told).toEqual([]);
});
