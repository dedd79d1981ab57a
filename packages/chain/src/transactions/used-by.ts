import { type Address, type Hex, isAddressEqual, type PublicClient } from "viem";
import { isNodeTrouble } from "../rpc/node-texts.ts";
import { faultOf } from "../rpc/rpc-fault.ts";

/** Nodes that are no archives keep the state of about this many blocks. */
const SPAN = 120n;

/**
 * The hash of the transaction that used `nonce` of `address`, found in the blocks themselves: a positive proof, where a missing receipt proves
 * nothing. Undefined when the recent blocks do not tell.
 *
 * @param sought.onAnswer - called after each of about ten answers of the node; what it throws ends the search
 */
export async function usedBy(
  client: PublicClient,
  sought: { readonly address: Address; readonly nonce: number; readonly onAnswer: () => void },
): Promise<Hex | undefined> {
  const { address, nonce, onAnswer } = sought;
  const usedAt = async (blockNumber: bigint) => {
    const count = await client.getTransactionCount({ address, blockNumber });
    onAnswer();
    return count > nonce;
  };
  try {
    let used = await client.getBlockNumber();
    onAnswer();
    let unused = used > SPAN ? used - SPAN : -1n;
    if (!(await usedAt(used)) || (unused >= 0n && (await usedAt(unused)))) return undefined;
    while (used - unused > 1n) {
      const middle = (used + unused) / 2n;
      if (await usedAt(middle)) used = middle;
      else unused = middle;
    }
    const { transactions } = await client.getBlock({ blockNumber: used, includeTransactions: true });
    onAnswer();
    return transactions.find((transaction) => isAddressEqual(transaction.from, address) && transaction.nonce === nonce)?.hash;
  } catch (error) {
    const fault = faultOf(error);
    if (fault !== undefined && isNodeTrouble(fault)) return undefined;
    throw error;
  }
}
