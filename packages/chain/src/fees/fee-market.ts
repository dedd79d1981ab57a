import { type Hex, hexToBigInt, type PublicClient } from "viem";
import type { Head } from "../api.ts";
import { isMethodMissing } from "../rpc/node-texts.ts";
import { faultOf } from "../rpc/rpc-fault.ts";
import type { FeeMarket } from "./fee-policy.ts";

const MEDIAN = 50;

/** What the network asks for a gas unit at `head`. A node that fails is an error, never a price. */
export async function readFeeMarket(client: PublicClient, head: Head): Promise<FeeMarket> {
  if (head.baseFeePerGas === undefined) {
    return { baseFee: undefined, gasPrice: hexToBigInt(await client.request({ method: "eth_gasPrice" })), tip: 0n };
  }
  return { baseFee: head.baseFeePerGas, gasPrice: 0n, tip: await readTip(client) };
}

async function readTip(client: PublicClient): Promise<bigint> {
  return (
    (await optional(async () => hexToBigInt(await client.request({ method: "eth_maxPriorityFeePerGas" })))) ??
    (await medianTip(client)) ??
    0n
  );
}

async function medianTip(client: PublicClient): Promise<bigint | undefined> {
  return optional(async () => {
    const history = await client.request({ method: "eth_feeHistory", params: ["0x5", "latest", [MEDIAN]] });
    const tips = (history.reward ?? []).flatMap((row: readonly Hex[]) => (row[0] === undefined ? [] : [hexToBigInt(row[0])]));
    return tips.sort((a, b) => (a < b ? -1 : 1))[Math.floor(tips.length / 2)];
  });
}

async function optional<T>(read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    const fault = faultOf(error);
    if (fault !== undefined && isMethodMissing(fault)) return undefined;
    throw error;
  }
}
