import { chainTime } from "@iexec-ts/poco";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type FeeMarket, type FeePolicy, type Fees, multiplierFrom, ONE, offerFees, raiseFees, urgencyAt } from "./fee-policy.ts";

const GWEI = 10n ** 9n;
const policy = (multiplier: number, cap: bigint, gasless = false): FeePolicy => ({ multiplier: multiplierFrom(multiplier), cap, gasless });
const sorted = (a: bigint, b: bigint): [bigint, bigint] => (a < b ? [a, b] : [b, a]);
const amount = fc.bigInt({ min: 0n, max: 10_000n * GWEI });
const policies = fc.record({
  multiplier: fc.bigInt({ min: 100_000n, max: 5_000_000n }),
  cap: fc.bigInt({ min: 1n, max: 10_000n * GWEI }),
  gasless: fc.constant(false),
});
const markets: fc.Arbitrary<FeeMarket> = fc.record({ baseFee: fc.option(amount, { nil: undefined }), gasPrice: amount, tip: amount });
const urgencies = fc.bigInt({ min: 0n, max: ONE });

test("K is kept as a rational", () => {
  expect([1.3, 1, 0.1, 1.0000004].map(multiplierFrom)).toEqual([1_300_000n, 1_000_000n, 100_000n, 1_000_000n]);
});

describe("offer", () => {
  test("takes the network price times K, and a tip times K", () => {
    expect(offerFees({ baseFee: 10n * GWEI, gasPrice: 0n, tip: GWEI }, policy(1.3, 22n * GWEI))).toEqual({
      kind: "offer",
      fees: { kind: "eip1559", maxFeePerGas: 14_300_000_000n, maxPriorityFeePerGas: 1_300_000_000n },
    });
  });

  test("keeps room for a rising base fee when K is below one: only the tip gets smaller", () => {
    expect(offerFees({ baseFee: 10n * GWEI, gasPrice: 0n, tip: GWEI }, policy(0.5, 22n * GWEI))).toEqual({
      kind: "offer",
      fees: { kind: "eip1559", maxFeePerGas: 13_000_000_000n, maxPriorityFeePerGas: 500_000_000n },
    });
  });

  test("is a gas price on chains without a base fee", () => {
    const market = { baseFee: undefined, gasPrice: 20n * GWEI, tip: 0n };
    expect(offerFees(market, policy(1.3, 22n * GWEI))).toEqual({
      kind: "offer",
      fees: { kind: "legacy", maxFeePerGas: 22n * GWEI, maxPriorityFeePerGas: 22n * GWEI },
    });
    expect(offerFees(market, policy(0.5, 22n * GWEI))).toMatchObject({ fees: { maxFeePerGas: 10n * GWEI } });
  });

  test("is nothing on a free chain, whatever K and cap", () => {
    const free = { kind: "offer", fees: { kind: "free", maxFeePerGas: 0n, maxPriorityFeePerGas: 0n } };
    expect(offerFees({ baseFee: undefined, gasPrice: 0n, tip: 0n }, policy(3, 1n))).toEqual(free);
    expect(offerFees({ baseFee: 7n, gasPrice: 0n, tip: 3n }, policy(3, 1n, true))).toEqual(free);
  });

  test("waits exactly when the cap is below the base fee", () => {
    fc.assert(
      fc.property(markets, policies, urgencies, (market, policy, urgency) => {
        const waits = market.baseFee !== undefined && policy.cap < market.baseFee;
        expect(offerFees(market, policy, urgency).kind).toBe(waits ? "wait" : "offer");
      }),
    );
  });

  test("never exceeds the cap, nor lets the tip exceed the fee, and pays the base fee", () => {
    fc.assert(
      fc.property(markets, policies, urgencies, (market, policy, urgency) => {
        const offer = offerFees(market, policy, urgency);
        if (offer.kind === "wait") return;
        expect(offer.fees.maxFeePerGas).toBeLessThanOrEqual(policy.cap);
        expect(offer.fees.maxPriorityFeePerGas).toBeLessThanOrEqual(offer.fees.maxFeePerGas);
        if (market.baseFee !== undefined) expect(offer.fees.maxFeePerGas).toBeGreaterThanOrEqual(market.baseFee);
      }),
    );
  });

  test("never falls as urgency rises, and reaches the cap", () => {
    fc.assert(
      fc.property(markets, policies, urgencies, urgencies, (market, policy, a, b) => {
        const [calm, urgent, last] = [...sorted(a, b), ONE].map((urgency) => offerFees(market, policy, urgency));
        if (calm?.kind !== "offer" || urgent?.kind !== "offer" || last?.kind !== "offer") return;
        expect(urgent.fees.maxFeePerGas).toBeGreaterThanOrEqual(calm.fees.maxFeePerGas);
        expect(urgent.fees.maxPriorityFeePerGas).toBeGreaterThanOrEqual(calm.fees.maxPriorityFeePerGas);
        if (last.fees.kind !== "free") expect(last.fees.maxFeePerGas).toBe(policy.cap);
      }),
    );
  });
});

describe("replacement", () => {
  const kinds = fc.constantFrom("legacy" as const, "eip1559" as const);
  const feesOf = (kind: "legacy" | "eip1559") =>
    fc.tuple(amount, amount).map(([a, b]): Fees => {
      const [tip, maxFeePerGas] = sorted(a, b);
      return { kind, maxFeePerGas, maxPriorityFeePerGas: kind === "legacy" ? maxFeePerGas : tip };
    });
  const pairs = kinds.chain((kind) => fc.tuple(feesOf(kind), feesOf(kind)));

  test("raises both fields by at least 12.5 % and stays under the cap, or is impossible", () => {
    fc.assert(
      fc.property(pairs, policies, ([previous, fresh], policy) => {
        const raised = raiseFees(previous, fresh, policy);
        const enough = (amount: bigint) => (amount * 1125n + 999n) / 1000n;
        const possible = [previous.maxFeePerGas, previous.maxPriorityFeePerGas].every(
          (fee) => enough(fee) <= policy.cap && fee + 1n <= policy.cap,
        );
        expect(raised !== undefined).toBe(possible);
        if (raised === undefined) return;
        expect(raised.maxFeePerGas).toBeLessThanOrEqual(policy.cap);
        expect(raised.maxPriorityFeePerGas).toBeLessThanOrEqual(raised.maxFeePerGas);
        for (const field of ["maxFeePerGas", "maxPriorityFeePerGas"] as const) {
          expect(raised[field]).toBeGreaterThan(previous[field]);
          expect(raised[field] * 1000n).toBeGreaterThanOrEqual(previous[field] * 1125n);
        }
      }),
    );
  });

  test("raises a tip of zero too: nodes want both fields strictly higher", () => {
    const previous: Fees = { kind: "eip1559", maxFeePerGas: 100n, maxPriorityFeePerGas: 0n };
    expect(raiseFees(previous, previous, policy(1, 1_000n))).toEqual({ kind: "eip1559", maxFeePerGas: 113n, maxPriorityFeePerGas: 1n });
  });

  test("does not exist where transactions are free", () => {
    const free: Fees = { kind: "free", maxFeePerGas: 0n, maxPriorityFeePerGas: 0n };
    expect(raiseFees(free, free, policy(1, 1_000n))).toBeUndefined();
  });
});

test("urgency rises from nothing at the start of the window to everything at the deadline", () => {
  const at = (now: bigint) => urgencyAt(chainTime(now), chainTime(1_000n), 100n);
  expect([0n, 900n, 925n, 950n, 1_000n, 2_000n].map(at)).toEqual([0n, 0n, 250_000n, 500_000n, ONE, ONE]);
  expect(urgencyAt(chainTime(5n), undefined, 100n)).toBe(0n);
});
