import { type Bytes32, type ChainTaskStatus, chainTime } from "@iexec-ts/poco";
import { describe, expect, test } from "vitest";
import { isConsensusDeep } from "./consensus-depth.ts";

const TASK: Bytes32 = `0x${"11".repeat(32)}`;
const VALUE: Bytes32 = `0x${"aa".repeat(32)}`;
const OTHER: Bytes32 = `0x${"bb".repeat(32)}`;
const DEADLINE = 10_000n;

const seen = (number: bigint, now = 1_000n) => ({
  task: { id: TASK, consensusValue: VALUE, revealDeadline: chainTime(DEADLINE) },
  block: { number, timestamp: chainTime(now) },
});
/** The consensus is in block `at`. */
const reachedAt = (at: bigint, consensusValue = VALUE) => ({
  task: async (_: Bytes32, block: bigint) => {
    const status: ChainTaskStatus = block >= at ? "REVEALING" : "ACTIVE";
    return { status, consensusValue };
  },
});

describe("a consensus in block 20 of which 3 confirmations are wanted", () => {
  test.each([
    [20n, false],
    [21n, false],
    [22n, true],
    [30n, true],
  ])("at block %i: %s", async (block, deep) => {
    expect(await isConsensusDeep(reachedAt(20n), seen(block), 3n)).toBe(deep);
  });

  test("counts from anew when it was another result", async () => {
    expect(await isConsensusDeep(reachedAt(20n, OTHER), seen(30n), 3n)).toBe(false);
  });

  test("is relied on when the deadline is near: what is not revealed costs the stake", async () => {
    expect(await isConsensusDeep(reachedAt(20n), seen(20n, DEADLINE - 120n), 3n)).toBe(true);
    expect(await isConsensusDeep(reachedAt(20n), seen(20n, DEADLINE - 121n), 3n)).toBe(false);
  });
});

test("one confirmation asks the chain for nothing more", async () => {
  expect(await isConsensusDeep(reachedAt(99n), seen(20n), 1n)).toBe(true);
  expect(await isConsensusDeep(reachedAt(0n), { ...seen(20n), task: undefined }, 1n)).toBe(false);
});
