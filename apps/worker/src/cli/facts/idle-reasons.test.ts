import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type IdleFacts, idleReasons } from "./idle-reasons.ts";

const AT = new Date(0);
const chain = {
  problem: undefined,
  free: 100n,
  promised: 0n,
  recentStake: 10n,
  native: 1_000n,
  symbol: "ETH",
  gasPrice: 1n,
  gasCap: 5n,
  gasForTask: 10n,
};
const HEALTHY: IdleFacts = {
  openTasks: 0,
  wallet: { problem: undefined },
  running: { yes: true, holder: "process 1" },
  page: { link: "up", linkSince: AT, halted: undefined, slots: 2, slotsInUse: 0 },
  scheduler: { url: "http://pool", problem: undefined, required: "", announced: "1" },
  disk: { freeMib: 10_000, neededMib: 2_048, path: "/tmp" },
  chain,
  lastTask: { at: AT, status: "COMPLETED" },
};

const ids = (facts: IdleFacts) => idleReasons(facts).map(({ id }) => id);

describe("why idle", () => {
  test("a healthy worker without work waits for its pool, and nothing blocks", () => {
    expect(idleReasons(HEALTHY)).toMatchObject([{ id: "no-task-for-us", blocks: false }]);
  });

  test.each<[string, Partial<IdleFacts>]>([
    ["not-running", { running: { yes: false, holder: undefined } }],
    ["scheduler-unreachable", { scheduler: { ...HEALTHY.scheduler, problem: "ECONNREFUSED" } }],
    ["version-refused", { scheduler: { ...HEALTHY.scheduler, required: "9.2.0" } }],
    ["low-disk", { disk: { freeMib: 1, neededMib: 2_048, path: "/tmp" } }],
    ["stake-too-low", { chain: { ...chain, free: 12n, promised: 5n } }],
    ["gas-above-cap", { chain: { ...chain, gasPrice: 6n } }],
    ["out-of-gas", { chain: { ...chain, native: 9n } }],
    ["chain-unreadable", { chain: { problem: "no node" } }],
    ["no-free-slot", { openTasks: 2, page: { link: "up", linkSince: AT, halted: undefined, slots: 2, slotsInUse: 2 } }],
  ])("%s is named alone", (id, change) => {
    expect(ids({ ...HEALTHY, ...change })).toEqual([id]);
  });

  test("what stands still is a reason, and what moves again explains without blocking", () => {
    const doing = { state: "RUNNING", since: AT, pausedUntil: undefined, refusal: undefined } as const;
    const stall = { loop: "demand", of: undefined, since: AT, restarts: 1, mendedAt: undefined };
    const stuck = [{ taskId: "0x1", status: "COMPUTING", since: AT, because: "its stage COMPUTE does not end" }];
    expect(ids({ ...HEALTHY, doing: { ...doing, stalls: [stall], stuck } })).toEqual(["loop-stands", "task-stands"]);
    expect(ids({ ...HEALTHY, doing: { ...doing, stalls: [{ ...stall, mendedAt: AT }], stuck: [] } })).toEqual([
      "loop-stood",
      "no-task-for-us",
    ]);
  });

  test("an idle worker always gets at least one reason", () => {
    fc.assert(
      fc.property(fc.boolean(), fc.boolean(), fc.nat(3), fc.bigInt({ min: 0n, max: 20n }), (yes, reached, slotsInUse, free) => {
        const facts: IdleFacts = {
          ...HEALTHY,
          running: { yes, holder: undefined },
          page: yes ? { link: reached ? "up" : "down", linkSince: AT, halted: undefined, slots: 2, slotsInUse } : undefined,
          chain: { ...chain, free },
        };
        expect(idleReasons(facts).length).toBeGreaterThan(0);
      }),
    );
  });
});
