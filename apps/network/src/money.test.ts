import { nanoRlc } from "@iexec-ts/poco";
import { expect, test } from "vitest";
import { formatRlc, type Holding, moneyJson, moneyTable, totalOf } from "./money.ts";

const holding = (who: string, byte: string, stake: bigint, locked: bigint, token: bigint): Holding => ({
  who,
  address: `0x${byte.repeat(20)}`,
  stake: nanoRlc(stake),
  locked: nanoRlc(locked),
  token: nanoRlc(token),
});

test.each([
  [0n, "0 RLC"],
  [1n, "0.000000001 RLC"],
  [1_500_000_000n, "1.5 RLC"],
  [-7_000_000_000n, "-7 RLC"],
])("%s nRLC is %s", (amount, text) => expect(formatRlc(amount)).toBe(text));

test("the table says who gained and that nothing is missing", () => {
  const before = [holding("requester", "11", 10n, 0n, 5n), holding("worker 1", "22", 3n, 2n, 0n)];
  const after = [holding("requester", "11", 6n, 0n, 5n), holding("worker 1", "22", 9n, 0n, 0n)];
  expect(totalOf(before)).toBe(totalOf(after));
  expect(moneyTable(before, after).split("\n").at(-1)).toMatch(/every nRLC accounted for$/);
  expect(
    moneyTable(before, [holding("requester", "11", 6n, 0n, 5n)])
      .split("\n")
      .at(-1),
  ).toMatch(/DOES NOT ADD UP$/);
});

test("amounts beyond what a double holds stay exact in JSON", () => {
  expect(moneyJson([holding("x", "11", 2n ** 80n + 1n, 0n, 0n)]).x?.stake).toBe((2n ** 80n + 1n).toString());
});
