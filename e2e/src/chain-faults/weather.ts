import type { Address, Hex, Wei } from "@iexec-ts/poco";
import type { LocalChain } from "@iexec-ts/testkit";
import { createTestClient, http, type TestClient } from "viem";
import { z } from "zod";

const CALM_BASE_FEE = 1_000_000_000n;

const poolSchema = z.object({ pending: z.record(z.string(), z.record(z.string(), z.object({ hash: z.string() }))) });

/** The hands on a local chain: when it mines, what it asks for gas, and what it takes back. */
export class Weather {
  readonly #chain: LocalChain;
  readonly #test: TestClient;

  constructor(chain: LocalChain) {
    this.#chain = chain;
    this.#test = createTestClient({ mode: "anvil", transport: http(chain.rpcUrl, { retryCount: 0 }) });
  }

  /** Transactions stay in the pool until `mine` or `resume`. */
  async pause(): Promise<void> {
    await this.#test.setAutomine(false);
  }

  /** Every transaction is mined at once again; those that waited are, too. */
  async resume(): Promise<void> {
    await this.#test.setAutomine(true);
    await this.mine();
  }

  mine(blocks = 1): Promise<void> {
    return this.#chain.mine(blocks);
  }

  /** The newest `depth` blocks are replaced by empty ones; what they held is gone. */
  async reorg(depth: number): Promise<void> {
    const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "anvil_reorg", params: [depth, []] });
    const response = await fetch(this.#chain.rpcUrl, { method: "POST", headers: { "content-type": "application/json" }, body });
    const { error } = z.object({ error: z.object({ message: z.string() }).optional() }).parse(await response.json());
    if (error !== undefined) throw new Error(`no reorganisation: ${error.message}`);
  }

  /** SIDE EFFECTS: mines one block with this base fee; the next ones follow the rules of the chain. */
  async baseFee(wei: bigint): Promise<void> {
    await this.#test.setNextBlockBaseFeePerGas({ baseFeePerGas: wei });
    await this.mine();
  }

  async balance(owner: Address, amount: Wei): Promise<void> {
    await this.#test.setBalance({ address: owner, value: amount });
  }

  /** Hashes of what `from` has in the node's pool, ready to be mined. */
  async pooled(from: Address): Promise<readonly string[]> {
    const { pending } = poolSchema.parse(await this.#test.getTxpoolContent());
    const mine = Object.entries(pending).find(([owner]) => owner.toLowerCase() === from);
    return mine === undefined ? [] : Object.values(mine[1]).map(({ hash }) => hash);
  }

  async height(): Promise<bigint> {
    return this.#chain.client.getBlockNumber();
  }

  async blockHash(number: bigint): Promise<Hex> {
    return (await this.#chain.client.getBlock({ blockNumber: number })).hash;
  }

  /** Undoes whatever a scenario has done. */
  async calm(): Promise<void> {
    const { baseFeePerGas } = await this.#chain.client.getBlock();
    if (baseFeePerGas !== null) await this.#test.setNextBlockBaseFeePerGas({ baseFeePerGas: CALM_BASE_FEE });
    await this.resume();
  }
}
