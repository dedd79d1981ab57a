import { type Address, type Wei, wei } from "@iexec-ts/poco";
import { type Backoff, backoff, type Clock, CodedError, type Logger, type Random, silentLogger, systemRandom } from "@iexec-ts/service";
import { type PrivateKeyAccount, TransactionReceiptNotFoundError } from "viem";
import type { Head, OutboxStore, RpcPool, TxIntent, TxOutcome, TxQueue, TxRecord } from "../api.ts";
import { multiplierFrom, offerFees } from "../fees/fee-policy.ts";
import { Wake } from "../rpc/wake.ts";
import { lineState } from "./blocked-line.ts";
import { dispatch, resend } from "./dispatch.ts";
import { createEntry, type Entry, newestAttempt } from "./entry.ts";
import { type Checkpoint, type ForeignNonce, type QueueSettings, QueueState } from "./queue-state.ts";
import { replace, urge } from "./replace.ts";
import { settle } from "./settle.ts";
import { assertSignedBy } from "./sign-attempt.ts";

const RETRY = { baseMs: 100, maxMs: 5_000 };
const LIST_LIMIT = 50;
const FILL_GAS = 21_000n;

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
}

/**
 * Opens the transaction queue of one wallet and takes up what an earlier run has left: the same bytes are sent again, nothing is signed twice.
 *
 * Errors: CHN-3007 the outbox belongs to another wallet.
 * SIDE EFFECTS: reads the outbox; from now on sends, replaces and cancels transactions by itself until `close`.
 */
export async function createTxQueue(options: TxQueueOptions, deps: TxQueueDeps): Promise<TxQueue> {
  const queue = new Queue(options, deps);
  await queue.open();
  return queue;
}

class Queue implements TxQueue {
  readonly #state: QueueState;
  readonly #wake: Wake;
  readonly #retry: Backoff;
  readonly #onFault: (error: CodedError) => void;
  #fault: CodedError | undefined;
  #closed = false;
  #loop: Promise<void> = Promise.resolve();
  #turn: Promise<unknown> = Promise.resolve();
  #unsubscribe: () => void = () => undefined;

  constructor(options: TxQueueOptions, deps: TxQueueDeps) {
    const { pool, account, store, gas } = options;
    const confirmations = BigInt(options.confirmations ?? 1);
    const finalDepth = BigInt(options.finalDepth ?? 12);
    const settings: QueueSettings = {
      // Read each time: an operator may change what gas may cost while transactions wait.
      get policy() {
        return { multiplier: multiplierFrom(gas.multiplier), cap: gas.cap, gasless: gas.gasless === true };
      },
      confirmations,
      finalDepth: finalDepth > confirmations ? finalDepth : confirmations,
      stuckAfterBlocks: BigInt(options.stuckAfterBlocks ?? 3),
      stuckAfterMs: options.stuckAfterMs ?? 60_000,
      urgentSeconds: BigInt(options.urgentSeconds ?? 60),
      maxGas: options.maxGas ?? 10_000_000n,
    };
    this.#state = new QueueState({
      pool,
      account,
      store,
      settings,
      clock: deps.clock,
      logger: deps.logger ?? silentLogger,
      checkpoint: deps.checkpoint ?? (() => undefined),
      onForeign: deps.onForeign ?? (() => undefined),
    });
    this.#wake = new Wake(deps.clock);
    this.#retry = backoff(RETRY, deps.random ?? systemRandom);
    this.#onFault = deps.onFault ?? (() => undefined);
  }

  get address(): Address {
    return lowerCase(this.#state.parts.account.address);
  }

  async open(): Promise<void> {
    const { store, account, pool } = this.#state.parts;
    const pending = await store.pending();
    const newest = [...pending, ...(await store.list(LIST_LIMIT))].map(newestAttempt).find((attempt) => attempt !== undefined);
    if (newest !== undefined) await assertSignedBy(account, newest);
    for (const record of pending) {
      const entry = this.#enter(record);
      entry.resend = record.state === "sent";
    }
    const highest = await store.highestNonce();
    const lowest = this.#state.line()[0]?.record.nonce;
    this.#state.base = lowest ?? (highest === undefined ? undefined : highest + 1);
    this.#unsubscribe = pool.onHead(() => this.#wake.poke());
    if (pending.length > 0) this.#wake.poke();
    this.#loop = this.#run();
  }

  async submit(intent: TxIntent, signal?: AbortSignal): Promise<TxOutcome> {
    signal?.throwIfAborted();
    this.#assertOpen();
    const { store, clock } = this.#state.parts;
    const wanted = { ...intent, to: lowerCase(intent.to) };
    const early = this.#state.entries.get(intent.id);
    const record = await store.open(wanted, clock.now());
    assertSame(record.intent, wanted);
    // One that was settled while the store was asked has its outcome; the record just read may be older than that.
    const joined = this.#state.entries.get(intent.id) ?? early;
    if (joined !== undefined) return this.#outcomeOf(joined, signal);
    this.#assertOpen();
    if (record.settled && record.state !== "refused") return this.#past(record);
    const entry = this.#enter(record);
    if (record.settled) {
      entry.ready = false;
      await this.#state.reopen(entry);
      entry.ready = true;
    } else this.#state.changes.emit(record);
    this.#wake.poke();
    return this.#outcomeOf(entry, signal);
  }

  async quote(gas: bigint): Promise<{ readonly cost: Wei; readonly feePerGas: bigint; readonly aboveCap: boolean }> {
    const { pool, settings } = this.#state.parts;
    const offer = offerFees(await this.#state.market(pool.head()), settings.policy);
    const feePerGas = offer.kind === "offer" ? offer.fees.maxFeePerGas : offer.baseFee;
    return { cost: wei(gas * feePerGas), feePerGas, aboveCap: offer.kind === "wait" };
  }

  list(limit = LIST_LIMIT): Promise<readonly TxRecord[]> {
    return this.#state.parts.store.list(limit);
  }

  onChange(listener: (record: TxRecord) => void): () => void {
    return this.#state.changes.add(listener);
  }

  bump(id: string): Promise<TxRecord> {
    return this.#exclusive(async () => {
      const entry = this.#onItsWay(id);
      return this.#replaceNow(entry, newestAttempt(entry.record)?.cancels === true);
    });
  }

  cancel(id: string): Promise<TxRecord> {
    return this.#exclusive(async () => {
      const waits = this.#state.entries.get(id);
      if (waits?.ready === true && waits.record.state === "waiting") {
        await this.#state.finish(waits, "cancelled", { kind: "expired" }, "cancelled before it was sent");
        return waits.record;
      }
      return this.#replaceNow(this.#onItsWay(id), true);
    });
  }

  async close(): Promise<void> {
    if (!this.#closed) {
      this.#closed = true;
      this.#unsubscribe();
      this.#wake.close();
    }
    await this.#loop;
    await this.#turn.catch(() => undefined);
    for (const entry of this.#state.entries.values()) {
      for (const waiter of entry.waiters) waiter.reject(new CodedError("CHN-3004"));
      entry.waiters.clear();
    }
  }

  async #run(): Promise<void> {
    while (!this.#closed) {
      await this.#wake.wait(this.#state.takeAlarm());
      if (this.#closed) return;
      if (this.#state.entries.size === 0) continue;
      try {
        await this.#exclusive(() => this.#round(this.#state.parts.pool.head()));
        this.#retry.reset();
      } catch (error) {
        this.#state.alarm(this.#retry.nextMs());
        const { logger } = this.#state.parts;
        if (!this.#closed) logger[this.#retry.attempts > 3 ? "warn" : "debug"]("the transaction queue waits for the chain", { error });
      }
    }
  }

  async #round(head: Head): Promise<void> {
    const state = this.#state;
    await settle(state, head);
    await resend(state, head);
    const line = lineState(state, head);
    if (line.kind === "fault") return this.#fail(line.error);
    this.#fault = undefined;
    if (line.kind === "gap" && state.waiting().length === 0) await this.#fillGap(head);
    if (line.kind !== "hold" && (await dispatch(state, head))) await settle(state, state.parts.pool.head());
    await urge(state, head);
  }

  #fail(error: CodedError): void {
    if (this.#fault === undefined) {
      this.#state.parts.logger.error("the chain contradicts the outbox", { error });
      this.#onFault(error);
    }
    this.#fault = error;
    for (const entry of this.#state.entries.values()) {
      for (const waiter of entry.waiters) waiter.reject(error);
      entry.waiters.clear();
    }
  }

  /** Nobody wants anything, but our line waits behind a free nonce: use it for a transfer of nothing. */
  async #fillGap(head: Head): Promise<void> {
    const { store, clock } = this.#state.parts;
    const id = `fill:${this.#state.latest}`;
    const record = await store.open({ id, to: this.address, data: "0x", gasFloor: FILL_GAS }, clock.now());
    const entry = this.#state.entries.get(id) ?? this.#enter(record);
    this.#state.touch(entry, head);
    if (record.settled) await this.#state.reopen(entry);
  }

  #enter(record: TxRecord): Entry {
    const entry = createEntry(record, { block: this.#state.parts.pool.head().number, ms: this.#state.now });
    this.#state.entries.set(entry.id, entry);
    return entry;
  }

  #outcomeOf(entry: Entry, signal: AbortSignal | undefined): Promise<TxOutcome> {
    if (entry.outcome !== undefined) return Promise.resolve(entry.outcome);
    return new Promise((resolve, reject) => {
      const done = () => signal?.removeEventListener("abort", abort);
      const waiter = {
        resolve: (outcome: TxOutcome) => {
          done();
          resolve(outcome);
        },
        reject: (reason: unknown) => {
          done();
          reject(reason);
        },
      };
      const abort = () => {
        entry.waiters.delete(waiter);
        reject(signal?.reason);
      };
      if (signal?.aborted === true) return abort();
      signal?.addEventListener("abort", abort, { once: true });
      entry.waiters.add(waiter);
    });
  }

  /** What became of an effect that was settled earlier. */
  async #past(record: TxRecord): Promise<TxOutcome> {
    const { state, minedHash } = record;
    if (minedHash === undefined || state === "cancelled" || state === "expired") return { kind: "expired" };
    try {
      const receipt = await this.#state.client.getTransactionReceipt({ hash: minedHash });
      return { kind: state === "reverted" ? "reverted" : "mined", hash: minedHash, receipt };
    } catch (error) {
      if (error instanceof TransactionReceiptNotFoundError) throw new CodedError("CHN-3008", { hash: minedHash }, { cause: error });
      throw error;
    }
  }

  #onItsWay(id: string): Entry {
    const entry = this.#state.entries.get(id);
    if (entry?.ready !== true || entry.record.state !== "sent") throw new CodedError("CHN-3002", { id });
    return entry;
  }

  async #replaceNow(entry: Entry, cancels: boolean): Promise<TxRecord> {
    const reason = await replace(this.#state, entry, this.#state.parts.pool.head(), cancels);
    if (reason !== undefined) throw new CodedError("CHN-3003", { id: entry.id, reason });
    this.#wake.poke();
    return entry.record;
  }

  #assertOpen(): void {
    if (this.#closed) throw new CodedError("CHN-3004");
    if (this.#fault !== undefined) throw this.#fault;
  }

  /** One thing at a time: the line has one order. */
  #exclusive<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work, work);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }
}

const lowerCase = (address: Address): Address => `0x${address.slice(2).toLowerCase()}`;

function assertSame(known: TxIntent, wanted: TxIntent): void {
  const same = known.to === wanted.to && known.data === wanted.data && (known.value ?? 0n) === (wanted.value ?? 0n);
  if (!same) throw new CodedError("CHN-3001", { id: wanted.id });
}
