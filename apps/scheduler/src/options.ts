import type { Address } from "@iexec-ts/poco";
import type { Clock, Logger, Metrics, Random, Watchdog } from "@iexec-ts/service";
import type { PrivateKeyAccount } from "viem";
import type { JoinOptions } from "./join/join.ts";
import type { ResultRepository } from "./replicates/result-repository.ts";
import type { Patience } from "./tasks/decision.ts";
import type { EnclaveService } from "./tasks/enclave.ts";
import { VERSION } from "./version.ts";

export interface SchedulerOptions {
  /** Owner of the workerpool. */
  readonly account: PrivateKeyAccount;
  readonly workerpool: Address;
  readonly hubAddress: Address;
  /** Best first. */
  readonly rpcUrls: readonly [string, ...string[]];
  readonly chainId?: number;
  /** First block to look for deals in, at the very first start. */
  readonly startBlock: bigint;
  /** A Postgres of yours, or a directory for the embedded one. */
  readonly database: { readonly url: string } | { readonly directory: string };
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  /** How workers and the console reach this scheduler; default: the address it listens on. */
  readonly publicUrl?: string;
  readonly resultProxyUrl: string;
  readonly smsUrl?: string;
  /** Node that workers are told to use; default: the first of `rpcUrls`. */
  readonly publicRpcUrl?: string;
  /** Gas costs workers nothing on this chain. */
  readonly sidechain: boolean;
  readonly blockTimeMs: number;
  /** Empty: everybody. */
  readonly whitelist: readonly Address[];
  /** Empty: any version. */
  readonly requiredWorkerVersion: string;
  readonly askForReplicatePeriodMs: number;
  readonly v9WaitMs: number;
  readonly lostAfterMs: number;
  readonly redeliverMs: number;
  /** How long a report waits for our node to reach the block of the worker's receipt. */
  readonly chainWaitMs: number;
  readonly patience: Patience;
  readonly gas: { readonly multiplier: number; readonly cap: bigint; readonly gasless: boolean };
  readonly confirmations: number;
  /** Blocks after which a transaction is taken for final, and how far back a reorganisation is looked for. */
  readonly reorgDepth: number;
  readonly maxLogRange: number;
  /** What the page "Join Worker Pool" says, where it differs from `DEFAULT_JOIN`. */
  readonly join?: Partial<JoinOptions>;
}

/** @source compute.md 5.1: a worker needs gas for 1 000 000 at the highest price it pays, 22 gwei */
export const DEFAULT_JOIN: JoinOptions = {
  poolName: "public",
  workerImage: `iexechub/iexec-worker:${VERSION}`,
  deposit: 0n,
  gas: 22_000_000_000_000_000n,
};

export interface SchedulerDeps {
  /** Gives up starting: what has been started is stopped. */
  readonly signal?: AbortSignal;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly logger?: Logger;
  readonly metrics?: Metrics;
  /** The one of the process, where the caller has one. */
  readonly watchdog?: Watchdog;
  /** Longest that one decision may take, in milliseconds; default: as the dispatcher sees fit. */
  readonly decisionBoundMs?: number;
  /** Default: the result proxy at `resultProxyUrl`. */
  readonly results?: ResultRepository;
  /** Default: the SMS at `smsUrl`. */
  readonly enclaves?: EnclaveService;
  /** Heads by polling at this pace, for chains without subscriptions; default: as the pool sees fit. */
  readonly pollMs?: number;
}

/** Waits that suit a public pool. */
export const DEFAULT_PATIENCE: Patience = {
  uploadStartMs: 120_000,
  uploadMs: 900_000,
  uploadRetryMs: 2_000,
  repeatMs: 30_000,
  unnotifiedMs: 5_000,
  closeMs: 60_000,
};
