import type { Address, Hex } from "@iexec-ts/poco";
import { CodedError } from "@iexec-ts/service";
import {
  BaseError,
  ContractFunctionRevertedError,
  ContractFunctionZeroDataError,
  type MulticallParameters,
  type MulticallReturnType,
  type PublicClient,
} from "viem";
import { faultOf } from "../rpc/rpc-fault.ts";

/** The same address on all networks that have it. @source mds1/multicall */
const MULTICALL3: Address = "0xca11bde05977b3631167028862be2a173976ca11";

export type BlockRef = { readonly number: bigint } | { readonly hash: Hex } | undefined;

/** Many contract reads in one eth_call, hence all at one block. Errors: CHN-2002 and those of the pool. */
export type BatchReader = <const Calls extends readonly unknown[]>(
  what: string,
  calls: MulticallParameters<Calls, false>["contracts"],
  at?: BlockRef,
) => Promise<MulticallReturnType<Calls, false>>;

/** Uses multicall3 where it is deployed; elsewhere sends its code along with the call. */
export async function createBatchReader(client: PublicClient): Promise<BatchReader> {
  const code = await client.getCode({ address: MULTICALL3 });
  const through = code === undefined || code === "0x" ? { deployless: true } : { multicallAddress: MULTICALL3 };
  return (what, calls, at) =>
    reading(what, () =>
      client.multicall({
        contracts: calls,
        allowFailure: false,
        batchSize: 0,
        ...through,
        ...(at === undefined ? {} : "hash" in at ? { blockHash: at.hash } : { blockNumber: at.number }),
      }),
    );
}

/** Errors of this package as they are; anything else as CHN-2002 with the cause kept. */
export async function reading<T>(what: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    throw codedInside(error) ?? new CodedError("CHN-2002", { what, reason: shortReason(error) }, { cause: error });
  }
}

/** The contract itself refused, or there is no such contract: the answer is "nothing there", not a failure to read. */
export function isContractRefusal(error: unknown): boolean {
  let current: unknown = error;
  while (current instanceof Error) {
    if (current instanceof ContractFunctionRevertedError || current instanceof ContractFunctionZeroDataError) return true;
    current = current.cause;
  }
  return false;
}

function codedInside(error: unknown): CodedError | undefined {
  let current: unknown = error;
  while (current instanceof Error) {
    if (current instanceof CodedError) return current;
    current = current.cause;
  }
  return undefined;
}

function shortReason(error: unknown): string {
  return faultOf(error)?.message ?? (error instanceof BaseError ? error.shortMessage : String(error));
}
