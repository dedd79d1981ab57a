import { type Clock, CodedError } from "@iexec-ts/service";
import { keccak256, type PrivateKeyAccount, recoverTransactionAddress, type TransactionSerialized } from "viem";
import type { TxAttempt } from "../api.ts";
import type { Fees } from "../fees/fee-policy.ts";

export interface AttemptContent {
  readonly chainId: number;
  readonly nonce: number;
  readonly gas: bigint;
  readonly to: `0x${string}`;
  readonly data: `0x${string}`;
  readonly value: bigint;
  readonly fees: Fees;
  readonly cancels: boolean;
}

/** Signs with every field given: nothing is left for a library or a node to fill in. */
export async function signAttempt(account: PrivateKeyAccount, content: AttemptContent, clock: Clock): Promise<TxAttempt> {
  const { chainId, nonce, gas, to, data, value, fees, cancels } = content;
  const { kind, maxFeePerGas, maxPriorityFeePerGas } = fees;
  const common = { chainId, nonce, gas, to, data, value };
  const raw =
    kind === "eip1559"
      ? await account.signTransaction({ ...common, type: "eip1559", maxFeePerGas, maxPriorityFeePerGas })
      : await account.signTransaction({ ...common, type: "legacy", gasPrice: maxFeePerGas });
  return { hash: keccak256(raw), raw, maxFeePerGas, maxPriorityFeePerGas, at: clock.now(), cancels };
}

/** The fees of an attempt that was signed earlier. */
export function feesOf({ raw, maxFeePerGas, maxPriorityFeePerGas }: TxAttempt): Fees {
  const kind = raw.startsWith("0x02") ? "eip1559" : maxFeePerGas === 0n ? "free" : "legacy";
  return { kind, maxFeePerGas, maxPriorityFeePerGas };
}

/** Errors: CHN-3007 when the attempt was signed by another wallet. */
export async function assertSignedBy(account: PrivateKeyAccount, attempt: TxAttempt): Promise<void> {
  const theirs = isSerialized(attempt.raw) ? await recoverTransactionAddress({ serializedTransaction: attempt.raw }) : "(unreadable)";
  if (theirs.toLowerCase() !== account.address.toLowerCase()) throw new CodedError("CHN-3007", { theirs, ours: account.address });
}

/** EIP-1559 by its type byte, legacy by its RLP list: the two forms that `signAttempt` makes. */
const isSerialized = (raw: `0x${string}`): raw is TransactionSerialized => /^0x(?:02|[c-f])/i.test(raw);
