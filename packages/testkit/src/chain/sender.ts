import { CodedError } from "@iexec-ts/service";
import {
  type Address,
  BaseError,
  createPublicClient,
  type Hex,
  http,
  type LocalAccount,
  type PublicClient,
  type TransactionReceipt,
} from "viem";

export interface Call {
  /** Names the call in errors. */
  readonly what: string;
  readonly to: Address;
  readonly data?: Hex;
  /** Wei. */
  readonly value?: bigint;
}

/** Sends transactions of local accounts and waits for them; calls of one account may overlap. */
export interface Sender {
  readonly client: PublicClient;
  /** Errors: NET-1006 with the contract's reason. SIDE EFFECTS: sends one transaction. */
  send(account: LocalAccount, call: Call): Promise<TransactionReceipt>;
}

const TIP_WEI = 1n;

/**
 * A sender for tests and the local network: gas is estimated, the price allows for twice the base fee with next to no tip (a node takes what senders pay
 * above the base fee for its suggestion, so that generous senders would raise it without end), nonces are taken one at a time.
 * It has no journal and no fee policy; processes use the transaction queue of the chain package.
 */
export function createSender(url: string, chainId: number): Sender {
  const client = createPublicClient({ transport: http(url, { retryCount: 0 }), pollingInterval: 20, cacheTime: 0 });
  const lines = new Map<Address, Promise<unknown>>();

  const submit = async (account: LocalAccount, call: Call): Promise<Hex> => {
    const [nonce, gas, block] = await Promise.all([
      client.getTransactionCount({ address: account.address, blockTag: "pending" }),
      client.estimateGas({ account: account.address, to: call.to, data: call.data ?? "0x", value: call.value ?? 0n }),
      client.getBlock(),
    ]);
    const fields = { chainId, nonce, gas: (gas * 3n) / 2n, to: call.to, data: call.data ?? "0x", value: call.value ?? 0n } as const;
    const base = block.baseFeePerGas;
    const serializedTransaction = await account.signTransaction(
      base === null
        ? { ...fields, type: "legacy", gasPrice: (await client.getGasPrice()) * 2n }
        : { ...fields, type: "eip1559", maxFeePerGas: base * 2n + TIP_WEI, maxPriorityFeePerGas: TIP_WEI },
    );
    return client.sendRawTransaction({ serializedTransaction });
  };

  return {
    client,
    async send(account, call) {
      const before = lines.get(account.address) ?? Promise.resolve();
      const hash = before.catch(() => undefined).then(() => submit(account, call));
      lines.set(account.address, hash);
      let receipt: TransactionReceipt;
      try {
        receipt = await client.waitForTransactionReceipt({ hash: await hash });
      } catch (error) {
        throw new CodedError("NET-1006", { what: call.what, reason: reasonOf(error) }, { cause: error });
      }
      if (receipt.status !== "success") throw new CodedError("NET-1006", { what: call.what, reason: "reverted when mined" });
      return receipt;
    },
  };
}

function reasonOf(error: unknown): string {
  if (!(error instanceof BaseError)) return error instanceof Error ? error.message : String(error);
  return error.details === "" || error.details === undefined ? error.shortMessage : error.details;
}
