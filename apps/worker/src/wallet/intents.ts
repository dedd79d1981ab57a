import type { TxIntent } from "@iexec-ts/chain";
import { type Address, HUB_ABI, NATIVE_ESCROW_ABI, RLC_TOKEN_ABI, wei, ZERO_ADDRESS } from "@iexec-ts/poco";
import { encodeFunctionData } from "viem";

/** One movement of money an operator asks for; amounts in nRLC, or wei for the chain's coin. */
export type Movement =
  | { readonly kind: "deposit"; readonly amount: bigint }
  | { readonly kind: "withdraw"; readonly amount: bigint }
  | { readonly kind: "transfer"; readonly coin: "RLC" | "native"; readonly amount: bigint; readonly to: Address };

/** The part of a transaction that does not depend on when it is sent. */
export type MoneyCall = Pick<TxIntent, "to" | "data" | "gasFloor" | "value">;

export interface Escrow {
  readonly hub: Address;
  /** Zero address: the escrow holds the chain's own coin. */
  readonly token: Address;
}

/** @source chain.md 4: 1 nRLC of a native escrow */
export const WEI_PER_NANO_RLC = 1_000_000_000n;

/** Limits with a margin over what was measured. @source chain.md 11 */
const GAS = { deposit: 120_000n, withdraw: 90_000n, token: 90_000n, coin: 21_000n } as const;

/** The call that makes `movement` happen with this escrow. @source chain.md 4, 11 */
export function moneyCall(movement: Movement, { hub, token }: Escrow): MoneyCall {
  const native = token === ZERO_ADDRESS;
  const { amount } = movement;
  if (movement.kind === "withdraw")
    return { to: hub, data: encodeFunctionData({ abi: HUB_ABI, functionName: "withdraw", args: [amount] }), gasFloor: GAS.withdraw };
  if (movement.kind === "deposit") {
    if (native)
      return {
        to: hub,
        data: encodeFunctionData({ abi: NATIVE_ESCROW_ABI, functionName: "deposit" }),
        value: wei(amount * WEI_PER_NANO_RLC),
        gasFloor: GAS.deposit,
      };
    const data = encodeFunctionData({ abi: RLC_TOKEN_ABI, functionName: "approveAndCall", args: [hub, amount, "0x"] });
    return { to: token, data, gasFloor: GAS.deposit };
  }
  if (movement.coin === "native") return { to: movement.to, data: "0x", value: wei(amount), gasFloor: GAS.coin };
  if (native) return { to: movement.to, data: "0x", value: wei(amount * WEI_PER_NANO_RLC), gasFloor: GAS.coin };
  const data = encodeFunctionData({ abi: RLC_TOKEN_ABI, functionName: "transfer", args: [movement.to, amount] });
  return { to: token, data, gasFloor: GAS.token };
}
