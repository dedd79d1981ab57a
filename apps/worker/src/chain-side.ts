import type { DatabaseSync } from "node:sqlite";
import { createHub, createRpcPool, createTxQueue, type Hub, type RpcPool, sqliteOutbox, type TxQueue } from "@iexec-ts/chain";
import { type Clock, CodedError, type Logger, type Random, type Watchdog } from "@iexec-ts/service";
import type { PrivateKeyAccount } from "viem";
import type { WorkerSettings } from "./config.ts";
import type { LiveSettings } from "./control/live-settings.ts";
import type { KnownNetwork } from "./network-memory.ts";
import type { Checkpoint } from "./replicate/ports.ts";

export interface ChainSide {
  readonly pool: RpcPool;
  readonly hub: Hub;
  readonly queue: TxQueue;
  close(): Promise<void>;
}

/**
 * Everything a worker needs of the chain: nodes, contracts, and its own line of transactions, with what an earlier run left in it.
 *
 * Errors: CHN-…; WRK-1005 when the workerpool is not registered there.
 */
export async function openChain(
  network: KnownNetwork,
  options: {
    readonly settings: WorkerSettings;
    readonly live: LiveSettings;
    readonly account: PrivateKeyAccount;
    readonly db: DatabaseSync;
  },
  deps: {
    readonly clock: Clock;
    readonly random: Random;
    readonly log: Logger;
    readonly checkpoint: Checkpoint;
    readonly watchdog: Watchdog;
  },
): Promise<ChainSide> {
  const { settings, live, account, db } = options;
  const { clock, random, log, checkpoint, watchdog } = deps;
  const pool = await createRpcPool(
    { urls: network.nodes, chainId: network.chainId, expectedHub: network.hub },
    { clock, random, logger: log, watchdog },
  );
  try {
    const hub = await createHub(pool, network.hub);
    if ((await hub.workerpool(network.workerpool)) === undefined) {
      throw new CodedError("WRK-1005", { workerpool: network.workerpool, chainId: network.chainId });
    }
    const queue = await createTxQueue(
      {
        pool,
        account,
        store: sqliteOutbox(db),
        gas: {
          get multiplier() {
            return live.current.gasPriceMultiplier;
          },
          get cap() {
            return live.current.gasPriceCap;
          },
        },
        confirmations: settings.confirmations,
      },
      {
        clock,
        random,
        logger: log,
        watchdog,
        checkpoint: (name, id) => {
          // Signed and journalled, or just sent: the same window of the table, once for each effect that moves stake.
          if (name !== "tx-mined") checkpoint(id.startsWith("contribute:") ? "W09" : id.startsWith("reveal:") ? "W14" : name);
        },
        onForeign: ({ nonce, id }) =>
          log.error("a transaction of somebody else used this wallet", { error: new CodedError("WRK-1315", { nonce, intent: id ?? "-" }) }),
        onFault: (error) => log.error("nothing is sent until this is gone", { error }),
      },
    );
    return {
      pool,
      hub,
      queue,
      async close() {
        await queue.close();
        await pool.close();
      },
    };
  } catch (thrown) {
    await pool.close();
    throw thrown;
  }
}
