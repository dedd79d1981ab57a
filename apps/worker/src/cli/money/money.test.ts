import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { standingOf } from "../commands/score.ts";
import { exactDigits, parseAmount, rlc } from "../view/amounts.ts";
import { applyAll, type Entry, freeChange, lockedChange, type MovementKind } from "./movements.ts";
import { csv, summarise, total } from "./summary.ts";

const KINDS: readonly MovementKind[] = ["deposit", "withdraw", "lock", "unlock", "reward", "seize", "received", "sent"];
const amount = fc.bigInt({ min: 0n, max: 10n ** 20n });
const entries = fc.array(
  fc.record({
    kind: fc.constantFrom(...KINDS),
    amount,
    block: fc.bigInt({ min: 0n, max: 1_000n }),
    logIndex: fc.nat(),
    transaction: fc.constant("0x" as const),
    taskId: fc.constantFrom("0xaa" as const, "0xbb" as const, undefined),
  }) satisfies fc.Arbitrary<Entry>,
);

describe("ledger arithmetic", () => {
  test("movements add up, however they are cut", () => {
    fc.assert(
      fc.property(entries, fc.nat(20), (all, cut) => {
        const opening = { free: 5n, locked: 7n };
        expect(applyAll(applyAll(opening, all.slice(0, cut)), all.slice(cut))).toEqual(applyAll(opening, all));
      }),
    );
  });

  test("locks and unlocks keep the sum; only rewards, seizures and transfers change it", () => {
    fc.assert(
      fc.property(entries, (all) => {
        for (const entry of all) {
          const change = freeChange(entry) + lockedChange(entry);
          if (entry.kind === "lock" || entry.kind === "unlock") expect(change).toBe(0n);
          else expect(change === entry.amount || change === -entry.amount).toBe(true);
        }
      }),
    );
  });

  test("the total is that of the movements, whatever the grouping", () => {
    fc.assert(
      fc.property(entries, (all) => {
        const byTask = total(summarise(all, ({ taskId }) => taskId ?? "none", []));
        const byBlock = total(summarise(all, ({ block }) => block.toString(), []));
        const rewards = all.filter(({ kind }) => kind === "reward").reduce((sum, entry) => sum + entry.amount, 0n);
        expect(byTask.earned).toBe(rewards);
        expect(byBlock.earned).toBe(rewards);
        expect(byBlock.seized).toBe(byTask.seized);
      }),
    );
  });

  test("gas without a reward is shown as well", () => {
    expect(summarise([], () => undefined, [{ key: "0xaa", wei: 3n }])).toEqual([
      { key: "0xaa", earned: 0n, seized: 0n, gas: 3n, tasks: 0 },
    ]);
  });
});

describe("csv", () => {
  test("quotes separators and disarms formulas, not numbers", () => {
    expect(csv(["a"], [['x,"y"'], ["=1+1"], ["-5"]])).toBe(`a\n"x,""y"""\n'=1+1\n-5`);
  });
});

describe("score", () => {
  test("the first step comes at 12", () => {
    expect(standingOf(0n)).toEqual({ score: 0n, weight: 2n, nextWeight: 3n, missing: 12n });
    expect(standingOf(11n).missing).toBe(1n);
    expect(standingOf(12n)).toMatchObject({ weight: 3n, missing: 3n });
  });

  test("the missing points are exactly enough", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 10_000n }), (score) => {
        const { missing, weight, nextWeight } = standingOf(score);
        expect(missing > 0n).toBe(true);
        expect(standingOf(score + missing).weight).toBe(nextWeight);
        expect(standingOf(score + missing - 1n).weight).toBe(weight);
      }),
    );
  });
});

describe("amounts", () => {
  test("what is shown is read back exactly", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 1n, max: 10n ** 25n }), (n) => {
        expect(parseAmount(rlc(n), "RLC")).toBe(n);
        expect(parseAmount(exactDigits(n, "RLC"), "RLC")).toBe(n);
        expect(parseAmount(exactDigits(n, "native"), "native")).toBe(n);
      }),
    );
  });

  test.each(["", "1,5", "-1", "0", "1e3", "0.0000000001", "1 BTC", "1 ETH", "0x10", "1..2"])("%j is refused", (text) => {
    expect(() => parseAmount(text, "RLC")).toThrow(expect.objectContaining({ code: "WRK-2005" }));
  });
});
