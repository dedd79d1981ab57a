import { type Address, hexToBigInt, numberToHex, type PublicClient } from "viem";
import type { TxIntent } from "../api.ts";
import { isInsufficientFunds, isRevert, revertReason } from "../rpc/node-texts.ts";
import { faultOf } from "../rpc/rpc-fault.ts";

export type Simulation = { readonly kind: "passes"; readonly gas: bigint } | { readonly kind: "refused"; readonly reason: string };

const MARGIN_NUMERATOR = 5n;
const MARGIN_DENOMINATOR = 4n;

/**
 * Runs the call on the newest block without sending it, and finds its gas limit: max(floor, estimate * 1.25) + extra.
 *
 * Errors: whatever keeps the nodes from answering; a call that fails in the EVM is a `refused`, not an error.
 */
export async function simulate(client: PublicClient, from: Address, intent: Omit<TxIntent, "id">): Promise<Simulation> {
  const { to, data, value = 0n, gasFloor, gasExtra = 0n } = intent;
  const call = { from, to, data, value: numberToHex(value) };
  const [called, estimated] = await Promise.allSettled([
    client.request({ method: "eth_call", params: [call, "latest"] }),
    client.request({ method: "eth_estimateGas", params: [call] }),
  ]);
  const refusal = refusalIn(called) ?? refusalIn(estimated);
  if (refusal !== undefined) return { kind: "refused", reason: refusal };
  if (called.status === "rejected") throw called.reason;
  if (estimated.status === "rejected") throw estimated.reason;
  const estimate = (hexToBigInt(estimated.value) * MARGIN_NUMERATOR) / MARGIN_DENOMINATOR;
  return { kind: "passes", gas: (estimate > gasFloor ? estimate : gasFloor) + gasExtra };
}

function refusalIn(result: PromiseSettledResult<unknown>): string | undefined {
  if (result.status === "fulfilled") return undefined;
  const fault = faultOf(result.reason);
  if (fault === undefined || !(isRevert(fault) || isInsufficientFunds(fault))) return undefined;
  return revertReason(fault);
}
