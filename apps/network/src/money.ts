import type { Address, NanoRlc } from "@iexec-ts/poco";

/** Who has what, in nRLC: free and locked in the escrow, and in the wallet. */
export interface Holding {
  readonly who: string;
  readonly address: Address;
  readonly stake: NanoRlc;
  readonly locked: NanoRlc;
  readonly token: NanoRlc;
}

export const totalOf = (holdings: readonly Holding[]): bigint => holdings.reduce((sum, h) => sum + h.stake + h.locked + h.token, 0n);

const RLC = 1_000_000_000n;

/** `1.5 RLC`, with as many decimals as it needs and a sign where asked. */
export function formatRlc(amount: bigint, sign = false): string {
  const size = amount < 0n ? -amount : amount;
  const decimals = (size % RLC).toString().padStart(9, "0").replace(/0+$/, "");
  const mark = amount < 0n ? "-" : sign && amount > 0n ? "+" : "";
  return `${mark}${size / RLC}${decimals === "" ? "" : `.${decimals}`} RLC`;
}

/** One line per party: what it had, what it has, and the difference; the last line is the sum, which must not change. */
export function moneyTable(before: readonly Holding[], after: readonly Holding[]): string {
  const rows = before.map((had) => {
    const has = after.find((h) => h.address === had.address) ?? had;
    const change = totalOf([has]) - totalOf([had]);
    return [had.who, formatRlc(totalOf([had])), formatRlc(totalOf([has])), change === 0n ? "·" : formatRlc(change, true)];
  });
  const sum = [
    "sum",
    formatRlc(totalOf(before)),
    formatRlc(totalOf(after)),
    totalOf(after) === totalOf(before) ? "every nRLC accounted for" : "DOES NOT ADD UP",
  ];
  const table = [["", "before", "after", "change"], ...rows, sum];
  const widths = [0, 1, 2, 3].map((column) => Math.max(...table.map((row) => (row[column] ?? "").length)));
  return table
    .map((row) =>
      row.map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0))).join("  "),
    )
    .join("\n");
}

/** For `--json`: decimal strings, so that no reader rounds them. */
export const moneyJson = (
  holdings: readonly Holding[],
): Record<string, { address: Address; stake: string; locked: string; token: string }> =>
  Object.fromEntries(
    holdings.map((h) => [h.who, { address: h.address, stake: h.stake.toString(), locked: h.locked.toString(), token: h.token.toString() }]),
  );
