import type { Clock, CodedError, Logger, Random, Watchdog } from "@iexec-ts/service";
import type { PrivateKeyAccount } from "viem";
import type { OutboxStore, RpcPool } from "../api.ts";
import type { Checkpoint, ForeignNonce } from "./queue-state.ts";

export interface TxQueueOptions {
  readonly pool: RpcPool;
  /** The wallet; nobody else may send from it. */
  readonly account: PrivateKeyAccount;
  readonly store: OutboxStore;
  readonly gas: {
    /** K of the guide: IEXEC_GAS_PRICE_MULTIPLIER. */
    readonly multiplier: number;
    /** Wei per gas unit: IEXEC_GAS_PRICE_CAP. */
    readonly cap: bigint;
    /** The chain takes transactions with gas price 0. */
    readonly gasless?: boolean;
  };
  /** Blocks, the one of the transaction included, after which an outcome is told. @default 1 */
  readonly confirmations?: number;
  /** Blocks after which nothing is watched any more. @default 12 */
  readonly finalDepth?: number;
  /** Blocks without being mined after which the front of the line is replaced; more on chains with blocks below a second. @default 3 */
  readonly stuckAfterBlocks?: number;
  /** The same by time, for chains whose blocks stop; also how long the chain may be behind our journal. @default 60000 */
  readonly stuckAfterMs?: number;
  /** Seconds before an intent's deadline from which the offer rises to the cap. @default 60 */
  readonly urgentSeconds?: number;
  /** Highest gas limit ever signed. @default 10000000 */
  readonly maxGas?: bigint;
}

export interface TxQueueDeps {
  readonly clock: Clock;
  readonly logger?: Logger;
  readonly random?: Random;
  /** Called synchronously where a crash would hurt most, with the id of the intent; for fault injection. */
  readonly checkpoint?: (name: Checkpoint, id: string) => void;
  /** Somebody else uses the wallet. */
  readonly onForeign?: (event: ForeignNonce) => void;
  /** Nothing is sent any more until the cause is gone; the error is CHN-3005. */
  readonly onFault?: (error: CodedError) => void;
  /** Watches over the rounds; one of its own unless given. */
  readonly watchdog?: Watchdog;
}
