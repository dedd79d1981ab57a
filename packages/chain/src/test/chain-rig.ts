import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { Address, Hex } from "@iexec-ts/poco";
import { systemClock } from "@iexec-ts/service";
import { type Anvil, type AnvilOptions, startAnvil } from "@iexec-ts/testkit";
import { keccak256, toHex } from "viem";
import { type PrivateKeyAccount, privateKeyToAccount } from "viem/accounts";
import { z } from "zod";
import type { OutboxStore, RpcPool, TxIntent, TxQueue, TxRecord, TxState } from "../api.ts";
import { callNode, parseRpcAddress } from "../rpc/json-rpc.ts";
import { createRpcPool, type RpcPoolOptions } from "../rpc/rpc-pool.ts";
import { sqliteOutbox } from "../transactions/sqlite-outbox.ts";
import { createTxQueue } from "../transactions/tx-queue.ts";
import type { TxQueueDeps, TxQueueOptions } from "../transactions/tx-queue-options.ts";

export const GWEI = 10n ** 9n;
const FUNDS = 1_000n * 10n ** 18n;

/** A node, a pool over it, a funded wallet and an outbox on disk; everything ends with `close`. */
export class ChainRig {
  readonly anvil: Anvil;
  readonly pool: RpcPool;
  readonly account: PrivateKeyAccount;
  readonly folder: string;
  readonly #closers: (() => Promise<void> | void)[];

  constructor(parts: { readonly anvil: Anvil; readonly pool: RpcPool; readonly account: PrivateKeyAccount }) {
    this.anvil = parts.anvil;
    this.pool = parts.pool;
    this.account = parts.account;
    this.folder = mkdtempSync(join(tmpdir(), "chain-rig-"));
    this.#closers = [() => rmSync(this.folder, { recursive: true, force: true }), () => this.anvil.stop(), () => this.pool.close()];
  }

  onClose(close: () => Promise<void> | void): void {
    this.#closers.push(close);
  }

  async close(): Promise<void> {
    for (const close of this.#closers.reverse()) await close();
  }

  rpc(method: string, ...params: unknown[]): Promise<unknown> {
    return rpcTo(this.anvil.url, method, ...params);
  }

  store(): OutboxStore {
    const db = new DatabaseSync(join(this.folder, "outbox.sqlite"));
    db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;");
    this.onClose(() => db.close());
    return sqliteOutbox(db);
  }

  async queue(options: Partial<TxQueueOptions> = {}, deps: Partial<TxQueueDeps> = {}): Promise<TxQueue> {
    const queue = await createTxQueue(
      {
        pool: this.pool,
        account: this.account,
        store: options.store ?? this.store(),
        gas: { multiplier: 1.3, cap: 100n * GWEI },
        finalDepth: 4,
        ...options,
      },
      { clock: systemClock, ...deps },
    );
    this.onClose(() => queue.close());
    return queue;
  }

  /** A transfer from our wallet that the queue knows nothing about. */
  async foreign(nonce: number, fee = 50n * GWEI): Promise<Hex> {
    const raw = await this.account.signTransaction({
      type: "eip1559",
      chainId: this.pool.chainId,
      nonce,
      gas: 21_000n,
      to: this.account.address,
      maxFeePerGas: fee,
      maxPriorityFeePerGas: fee,
    });
    await this.rpc("eth_sendRawTransaction", raw);
    return keccak256(raw);
  }

  /** Somebody else gives `to` some wei: one transaction in a block of its own. */
  async fund(to: Address, amount: bigint): Promise<void> {
    const [from] = z.array(z.string()).parse(await this.rpc("eth_accounts"));
    const before = await this.pool.client.getBlockNumber();
    await this.rpc("eth_sendTransaction", { from, to, value: toHex(amount), gas: toHex(100_000) });
    await this.pool.waitForBlock(before + 1n);
  }

  mine(): Promise<unknown> {
    return this.rpc("evm_mine");
  }

  /** From now on a block every second. */
  mineOn(): Promise<unknown> {
    return this.rpc("evm_setIntervalMining", 1);
  }

  async nonce(): Promise<number> {
    return this.pool.client.getTransactionCount({ address: this.account.address });
  }
}

export async function startRig(anvilOptions: AnvilOptions = {}, poolOptions: Partial<RpcPoolOptions> = {}): Promise<ChainRig> {
  const anvil = await startAnvil(anvilOptions);
  const account = walletOf(`${anvil.port}`);
  if (anvilOptions.gasPrice !== 0n) await rpcTo(anvil.url, "anvil_setBalance", account.address, toHex(FUNDS));
  const pool = await createRpcPool({ urls: [anvil.url], ...poolOptions }, { clock: systemClock });
  return new ChainRig({ anvil, pool, account });
}

export const walletOf = (seed: string): PrivateKeyAccount => privateKeyToAccount(keccak256(toHex(`wallet ${seed}`)));

export const rpcTo = (url: string, method: string, ...params: unknown[]): Promise<unknown> =>
  callNode(parseRpcAddress(url), method, params, { timeoutMs: 10_000 });

const SINK: Address = "0x00000000000000000000000000000000000051ca";

/** A transfer of `value` wei to a sink: an effect that can be counted. */
export function intentOf(id: string, more: Partial<TxIntent> = {}): TxIntent {
  return { id, to: SINK, data: "0x", gasFloor: 21_000n, ...more };
}

export async function sinkBalance(rig: ChainRig): Promise<bigint> {
  return rig.pool.client.getBalance({ address: SINK });
}

/** Resolves with the record once it satisfies `wanted`. */
export function untilRecord(queue: TxQueue, id: string, wanted: (record: TxRecord) => boolean): Promise<TxRecord> {
  return new Promise((resolve, reject) => {
    const look = (record: TxRecord) => {
      if (record.intent.id !== id || !wanted(record)) return;
      unsubscribe();
      resolve(record);
    };
    const unsubscribe = queue.onChange(look);
    queue.list(1_000).then((records) => records.forEach(look), reject);
  });
}

export const untilState = (queue: TxQueue, id: string, state: TxState): Promise<TxRecord> =>
  untilRecord(queue, id, (record) => record.state === state);

export const GATE: Address = "0x00000000000000000000000000000000000067a7";
/** Bytecode of a contract that reverts as long as it holds no coins. */
export const NEEDS_COINS: Hex = "0x47600857600080fd5b00";

/** Bytecode that reverts without a reason. */
export const REVERTS: Hex = "0x60006000fd";
