import { CodedError } from "@iexec-ts/service";

const RLC_DECIMALS = 9;
const COIN_DECIMALS = 18;
const LARGEST_DIGITS = 30;

/** What an amount is counted in. */
export type Coin = "RLC" | "native";

const decimalsOf = (coin: Coin): number => (coin === "RLC" ? RLC_DECIMALS : COIN_DECIMALS);

function decimal(amount: bigint, decimals: number, least: number): string {
  const digits = (amount < 0n ? -amount : amount).toString().padStart(decimals + 1, "0");
  const whole = digits.slice(0, -decimals);
  const fraction = digits.slice(-decimals).replace(/0+$/, "").padEnd(least, "0");
  return `${amount < 0n ? "-" : ""}${whole}${fraction === "" ? "" : `.${fraction}`}`;
}

/** nRLC as RLC, exact: `0.8 RLC`. */
export const rlc = (nanoRlc: bigint): string => `${decimal(nanoRlc, RLC_DECIMALS, 1)} RLC`;

/** nRLC with its sign, for what changed: `+0.8 RLC`. */
export const signedRlc = (nanoRlc: bigint): string => `${nanoRlc > 0n ? "+" : ""}${rlc(nanoRlc)}`;

/** wei as coins, exact: `0.0009 ETH`. */
export const coins = (wei: bigint, symbol = "ETH"): string => `${decimal(wei, COIN_DECIMALS, 1)} ${symbol}`;

const BRIEF_DIGITS = 6;

/** wei as coins for a glance, cut, not rounded up, after six digits: `9.999321 ETH`. */
export const briefCoins = (wei: bigint, symbol = "ETH"): string => {
  const unit = 10n ** BigInt(COIN_DECIMALS - BRIEF_DIGITS);
  return wei > 0n && wei < unit ? coins(wei, symbol) : coins(wei - (wei % unit), symbol);
};

/** wei as gwei, for prices of gas. */
export const gwei = (wei: bigint): string => `${decimal(wei, 9, 1)} gwei`;

/** The exact digits a person must type to confirm this amount. */
export const exactDigits = (amount: bigint, coin: Coin): string => decimal(amount, decimalsOf(coin), 0);

/**
 * Reads an amount as an operator writes it: `1.5`, `1.5 RLC`, `1500000000 nRLC`, `0.1 ETH`, `5 gwei`, `7 wei`.
 *
 * A bare number counts in whole RLC, or in whole coins when `coin` is native.
 * @returns nRLC, or wei when `coin` is native
 * Errors: WRK-2005 not an amount, not positive, or finer than the smallest unit.
 */
export function parseAmount(text: string, coin: Coin): bigint {
  const units = coin === "RLC" ? { RLC: 9, nRLC: 0 } : { ETH: 18, xRLC: 18, gwei: 9, wei: 0 };
  const refuse = (reason: string) => new CodedError("WRK-2005", { text: text.slice(0, 60), reason });
  const found = /^(\d+)(?:\.(\d+))?\s*([A-Za-z]+)?$/.exec(text.trim());
  if (found === null) throw refuse("write digits with at most one dot");
  const [, whole = "0", fraction = "", unit] = found;
  const decimals = unit === undefined ? decimalsOf(coin) : Object.entries(units).find(([name]) => name === unit)?.[1];
  if (decimals === undefined) throw refuse(`the unit must be one of ${Object.keys(units).join(", ")}`);
  if (whole.length > LARGEST_DIGITS) throw refuse("it is too large");
  if (fraction.length > decimals) throw refuse(`${unit ?? coin} has at most ${decimals} digits after the dot`);
  const amount = BigInt(whole + fraction.padEnd(decimals, "0"));
  if (amount === 0n) throw refuse("it must be more than zero");
  return amount;
}
