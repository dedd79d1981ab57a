import type {
  Account,
  Address,
  Bytes32,
  ChainTask,
  ChainTime,
  Contribution,
  Deal,
  DealId,
  Hex,
  NanoRlc,
  TaskId,
  TaskObservation,
  Wei,
} from "@iexec-ts/poco";
import type { Log, PublicClient, TransactionReceipt } from "viem";

/** A block as the pool last saw it. */
export interface Head {
  readonly number: bigint;
  readonly hash: Hex;
  readonly timestamp: ChainTime;
  /** Absent on chains without EIP-1559. */
  readonly baseFeePerGas: bigint | undefined;
}

/** `out-of-sync`: answers, but is behind the highest block the pool has seen, or its head is too old. */
export type EndpointHealth = "alive" | "out-of-sync" | "unreachable" | "wrong-chain" | "undialed";

export interface EndpointState {
  /** Without credentials: safe for logs and pages. */
  readonly url: string;
  readonly health: EndpointHealth;
  readonly height: bigint | undefined;
  readonly latencyMs: number | undefined;
  readonly lastError: string | undefined;
  readonly since: Date;
}

/** What each node said to a raw transaction. `known`: it already had it. */
export interface BroadcastResult {
  readonly accepted: number;
  readonly known: number;
  /** Definite refusals only (insufficient funds, underpriced, nonce too low, intrinsic gas...): the transaction is not in that node's pool. */
  readonly refusals: readonly { readonly url: string; readonly kind: BroadcastRefusal; readonly message: string }[];
  /** Endpoints that did not answer: they may or may not have it. */
  readonly unknown: number;
}
export type BroadcastRefusal = "nonce-too-low" | "insufficient-funds" | "underpriced" | "fee-below-base" | "intrinsic-gas" | "other";

/** Several RPC endpoints of one chain behind one door. */
export interface RpcPool {
  readonly chainId: number;
  /** Reads fail over between healthy endpoints and are never answered by a node behind a block this pool has already shown. */
  readonly client: PublicClient;
  /** The newest block seen. */
  head(): Head;
  /** Called for each new head, in order; a reorg shows as a head whose number does not grow. */
  onHead(listener: (head: Head) => void): () => void;
  /** Resolves when a block with at least this number has been seen. */
  waitForBlock(number: bigint, signal?: AbortSignal): Promise<Head>;
  /** Resolves when a block with at least this timestamp has been seen. */
  waitForTime(time: ChainTime, signal?: AbortSignal): Promise<Head>;
  /** SIDE EFFECTS: sends a raw transaction to every endpoint. Never throws for a refusal. */
  broadcast(raw: Hex): Promise<BroadcastResult>;
  endpoints(): readonly EndpointState[];
  close(): Promise<void>;
}

export interface HubConfiguration {
  readonly address: Address;
  /** Zero address: the escrow is the native coin. */
  readonly token: Address;
  readonly appRegistry: Address;
  readonly datasetRegistry: Address;
  readonly workerpoolRegistry: Address;
  readonly teeBroker: Address;
  readonly callbackGas: bigint;
  readonly domainSeparator: Bytes32;
}

export interface AppRecord {
  readonly address: Address;
  readonly owner: Address;
  readonly name: string;
  readonly type: string;
  /** Image reference as registered (UTF-8 of the multiaddr bytes). */
  readonly multiaddr: string;
  readonly checksum: Bytes32;
  readonly mrenclave: Hex;
}
export interface DatasetRecord {
  readonly address: Address;
  readonly owner: Address;
  readonly name: string;
  /** Raw bytes; payload's dataset URI rules decode them. */
  readonly multiaddr: Hex;
  readonly checksum: Bytes32;
}
export interface WorkerpoolRecord {
  readonly address: Address;
  readonly owner: Address;
  readonly description: string;
  readonly workerStakeRatio: bigint;
  readonly schedulerRewardRatio: bigint;
}
export interface CategoryRecord {
  readonly id: bigint;
  readonly name: string;
  /** Period in seconds. */
  readonly period: bigint;
}

/** Typed reads of the PoCo contracts. `at` pins a read to one block number. */
export interface Hub {
  readonly configuration: HubConfiguration;
  deal(id: DealId, at?: bigint): Promise<Deal | undefined>;
  task(id: TaskId, at?: bigint): Promise<ChainTask | undefined>;
  contribution(id: TaskId, worker: Address, at?: bigint): Promise<Contribution>;
  account(owner: Address, at?: bigint): Promise<Account>;
  score(worker: Address, at?: bigint): Promise<bigint>;
  category(id: bigint): Promise<CategoryRecord | undefined>;
  categories(): Promise<readonly CategoryRecord[]>;
  app(address: Address): Promise<AppRecord | undefined>;
  dataset(address: Address): Promise<DatasetRecord | undefined>;
  workerpool(address: Address): Promise<WorkerpoolRecord | undefined>;
  /** Task, its deal, our contribution and our account, all at one block. */
  observe(id: TaskId, worker: Address): Promise<TaskObservation>;
  nativeBalance(owner: Address): Promise<Wei>;
  /** RLC held outside the escrow (token balance; the native balance in nRLC when the escrow is native). */
  rlcBalance(owner: Address): Promise<NanoRlc>;
}

/** Where a consumer of events has got to; persisted by the consumer's own store. */
export interface Cursor {
  readonly blockNumber: bigint;
  readonly blockHash: Hex;
}

export interface EventStreamOptions {
  readonly address: Address;
  /** topics filter as in eth_getLogs */
  readonly topics: readonly (Hex | readonly Hex[] | null)[];
  /** First block when there is no cursor yet. */
  readonly fromBlock: bigint;
  /** How far to rewind when the block at the cursor has been replaced. */
  readonly reorgDepth: number;
  /** Blocks to stay behind the head. */
  readonly lag: number;
  readonly maxRange: number;
}

/**
 * Delivers every matching log at least once, in order, across reorgs, restarts and nodes with range limits.
 * The handler must be idempotent by (transactionHash, logIndex) and must persist `cursor` together with its effects; when it throws, the
 * same range is delivered again after a back-off.
 */
export interface EventStream {
  run(
    handler: (
      batch: { readonly logs: readonly Log[]; readonly cursor: Cursor },
      /** Aborts when this delivery was given up because it hung: nothing of it may be stored any more. */
      signal: AbortSignal,
    ) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void>;
}

/** One effect wanted on chain. The same id is one effect for ever, whatever crashes in between. */
export interface TxIntent {
  /** For example `contribute:0x…`. */
  readonly id: string;
  readonly to: Address;
  readonly data: Hex;
  readonly value?: Wei;
  /** Lower bound of the gas limit; the limit is max(floor, estimate * 1.25) + extra. */
  readonly gasFloor: bigint;
  /** Added on top, for calls that forward gas (callbacks). */
  readonly gasExtra?: bigint;
  /** From this block time on the effect is pointless: it is not sent any more, and an unmined attempt is cancelled. Urgency rises toward it. */
  readonly before?: ChainTime;
}

export type TxOutcome =
  | { readonly kind: "mined"; readonly hash: Hex; readonly receipt: TransactionReceipt }
  | { readonly kind: "reverted"; readonly hash: Hex; readonly receipt: TransactionReceipt }
  /** The node refused the call in simulation, before anything was sent or spent. */
  | { readonly kind: "refused"; readonly reason: string }
  /** `before` passed; no attempt of this intent can be mined any more. */
  | { readonly kind: "expired" }
  /** The wallet cannot pay; nothing was sent. Submit again when it can. */
  | { readonly kind: "out-of-gas"; readonly needed: Wei; readonly balance: Wei };

/** `waiting`: not signed yet (gas price above the cap, or behind another nonce); `sent`: signed, journalled and broadcast. */
export type TxState = "waiting" | "sent" | "mined" | "final" | "reverted" | "cancelled" | "refused" | "expired";

export interface TxAttempt {
  readonly hash: Hex;
  readonly raw: Hex;
  readonly maxFeePerGas: bigint;
  readonly maxPriorityFeePerGas: bigint;
  readonly at: Date;
  /** A zero-value transfer to ourselves that takes the nonce back. */
  readonly cancels: boolean;
}

export interface TxRecord {
  readonly intent: TxIntent;
  readonly state: TxState;
  readonly nonce: number | undefined;
  readonly gas: bigint | undefined;
  readonly attempts: readonly TxAttempt[];
  readonly minedHash: Hex | undefined;
  readonly minedBlock: bigint | undefined;
  readonly gasPaid: Wei | undefined;
  /** Nothing on chain can change it any more: too deep to be undone, or never sent. Until then the queue keeps watching it. */
  readonly settled: boolean;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  /** Why it waits, in words for a person. */
  readonly note: string | undefined;
}

/**
 * Durable memory of the queue. Every method is durable when it resolves.
 *
 * A change carries the time at which it was asked for. One that arrives after a later change of the same record is refused (CHN-3010): it is a
 * call that hung while somebody else went on, and it must not undo what was done meanwhile.
 */
export interface OutboxStore {
  /** Inserts, or returns the record that already has this id. */
  open(intent: TxIntent, at: Date): Promise<TxRecord>;
  get(id: string): Promise<TxRecord | undefined>;
  /** Records that are not settled, oldest first. */
  pending(): Promise<readonly TxRecord[]>;
  /** All records, newest first. */
  list(limit: number): Promise<readonly TxRecord[]>;
  /**
   * Adds a signed attempt (and fixes nonce and gas on the first) before it is broadcast; one it already has changes nothing. CHN-3006 when the
   * nonce is another record's, or another than this record's.
   */
  addAttempt(id: string, attempt: TxAttempt & { readonly nonce: number; readonly gas: bigint }): Promise<void>;
  /**
   * Members left out keep their value, except that the states `waiting` and `sent` forget `minedHash`, `minedBlock` and `gasPaid`, and that
   * `settled` is false unless given.
   */
  setState(
    id: string,
    state: TxState,
    change: {
      readonly at: Date;
      readonly settled?: boolean;
      readonly minedHash?: Hex;
      readonly minedBlock?: bigint;
      readonly gasPaid?: Wei;
      readonly note?: string | null;
    },
  ): Promise<void>;
  /** Back to `waiting`, not settled: forgets nonce, gas, attempts and note, so that the record is signed again. */
  reopen(id: string, at: Date): Promise<void>;
  /** The highest nonce any record holds, settled or not; undefined when none does. */
  highestNonce(): Promise<number | undefined>;
}

/** One nonce line per wallet. */
export interface TxQueue {
  readonly address: Address;
  /**
   * SIDE EFFECTS: writes the outbox, then sends. Resolves when the effect is settled; a second call with the same id joins the first.
   */
  submit(intent: TxIntent, signal?: AbortSignal): Promise<TxOutcome>;
  /** What `intent` would cost at most now: gas limit times the fee ceiling. */
  quote(gas: bigint): Promise<{ readonly cost: Wei; readonly feePerGas: bigint; readonly aboveCap: boolean }>;
  list(limit?: number): Promise<readonly TxRecord[]>;
  onChange(listener: (record: TxRecord) => void): () => void;
  /** Replaces the pending attempt of `id` with a dearer one, within the cap. */
  bump(id: string): Promise<TxRecord>;
  /** Replaces the pending attempt of `id` with a transfer of nothing to ourselves. */
  cancel(id: string): Promise<TxRecord>;
  close(): Promise<void>;
}
