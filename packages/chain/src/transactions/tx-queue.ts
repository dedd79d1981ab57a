import { type Address, type Wei, wei } from "@iexec-ts/poco";
import {
  type Backoff,
  backoff,
  CodedError,
  createWatchdog,
  hasCode,
  openScope,
  orAborted,
  type Pulse,
  silentLogger,
  systemRandom,
  type Watchdog,
} from "@iexec-ts/service";
import { TransactionReceiptNotFoundError } from "viem";
import type { Head, TxIntent, TxOutcome, TxQueue, TxRecord } from "../api.ts";
import { multiplierFrom, offerFees } from "../fees/fee-policy.ts";
import { Listeners } from "../rpc/listeners.ts";
import { Wake } from "../rpc/wake.ts";
import { lineState } from "./blocked-line.ts";
import { dispatch, resend } from "./dispatch.ts";
import { type Entry, newestAttempt, outcomeOf } from "./entry.ts";
import { Fence, fencedPool, fencedStore } from "./fence.ts";
import { journalAgain } from "./journal.ts";
import { type QueueSettings, QueueState } from "./queue-state.ts";
import { replace, urge } from "./replace.ts";
import { settle } from "./settle.ts";
import { assertSignedBy } from "./sign-attempt.ts";
import { enter, takeUp } from "./take-up.ts";
import type { TxQueueDeps, TxQueueOptions } from "./tx-queue-options.ts";

const RETRY = { baseMs: 100, maxMs: 5_000 };
const LIST_LIMIT = 50;
const FILL_GAS = 21_000n;
/** Between two rounds when neither a head nor an alarm comes. */
const LOOK_MS = 60_000;
/** A round says that it moves on with each answer of a node or of the store; one answer takes far less. */
const BOUND_MS = 150_000;

/** One run of the queue: its memory, what fences it off once it was given up, and the order of what it does. */
interface Shift {
  readonly state: QueueState;
  readonly fence: Fence;
  turn: Promise<unknown>;
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
  readonly #options: TxQueueOptions;
  readonly #settings: QueueSettings;
  readonly #deps: TxQueueDeps;
  readonly #changes = new Listeners<TxRecord>();
  readonly #watchdog: Watchdog;
  readonly #stop = new AbortController();
  readonly #wake: Wake;
  readonly #retry: Backoff;
  readonly #onFault: (error: CodedError) => void;
  #fault: CodedError | undefined;
  #shift: Shift;
  #loop: Promise<void> = Promise.resolve();
  #unsubscribe: () => void = () => undefined;

  constructor(options: TxQueueOptions, deps: TxQueueDeps) {
    const { gas } = options;
    const confirmations = BigInt(options.confirmations ?? 1);
    const finalDepth = BigInt(options.finalDepth ?? 12);
    this.#settings = {
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
    this.#options = options;
    this.#deps = deps;
    const { clock, logger: log = silentLogger, random = systemRandom } = deps;
    this.#watchdog = deps.watchdog ?? createWatchdog({ clock, log, random });
    this.#shift = this.#newShift(new Fence());
    this.#wake = new Wake(clock);
    this.#retry = backoff(RETRY, random);
    this.#onFault = deps.onFault ?? (() => undefined);
  }

  get address(): Address {
    return lowerCase(this.#options.account.address);
  }

  get #state(): QueueState {
    return this.#shift.state;
  }

  get #closed(): boolean {
    return this.#stop.signal.aborted;
  }

  async open(): Promise<void> {
    const { store, account, pool } = this.#options;
    const pending = await store.pending();
    const newest = [...pending, ...(await store.list(LIST_LIMIT))].map(newestAttempt).find((attempt) => attempt !== undefined);
    if (newest !== undefined) await assertSignedBy(account, newest);
    takeUp(this.#state, { pending, highest: await store.highestNonce() });
    this.#unsubscribe = pool.onHead(() => this.#wake.poke());
    if (pending.length > 0) this.#wake.poke();
    const watched = { loop: "transactions", of: this.address, boundMs: BOUND_MS, signal: this.#stop.signal };
    this.#loop = this.#watchdog.keep(watched, (pulse) => this.#run(pulse));
  }

  async submit(intent: TxIntent, signal?: AbortSignal): Promise<TxOutcome> {
    signal?.throwIfAborted();
    this.#assertOpen();
    using asking = openScope([signal, this.#stop.signal]);
    const wanted = { ...intent, to: lowerCase(intent.to) };
    const early = this.#state.entries.get(intent.id);
    const record = await orAborted(this.#options.store.open(wanted, this.#deps.clock.now()), asking.signal);
    assertSame(record.intent, wanted);
    // One that was settled while the store was asked has its outcome; the record just read may be older than that.
    const joined = this.#state.entries.get(intent.id) ?? (early?.outcome === undefined ? undefined : early);
    if (joined !== undefined) return outcomeOf(joined, signal);
    this.#assertOpen();
    if (record.settled && record.state !== "refused") return this.#past(record);
    const entry = enter(this.#state, record);
    // A run that took over settled it meanwhile: the next round reads the outbox again.
    entry.unsure = early !== undefined;
    // The next round reopens it: the rounds alone change what is in the outbox.
    if (record.settled) entry.ready = false;
    else this.#changes.emit(record);
    this.#wake.poke();
    return outcomeOf(entry, signal);
  }

  async quote(gas: bigint): Promise<{ readonly cost: Wei; readonly feePerGas: bigint; readonly aboveCap: boolean }> {
    const { pool, settings } = this.#state.parts;
    const offer = offerFees(await this.#state.market(pool.head()), settings.policy);
    const feePerGas = offer.kind === "offer" ? offer.fees.maxFeePerGas : offer.baseFee;
    return { cost: wei(gas * feePerGas), feePerGas, aboveCap: offer.kind === "wait" };
  }

  list(limit = LIST_LIMIT): Promise<readonly TxRecord[]> {
    return this.#options.store.list(limit);
  }

  onChange(listener: (record: TxRecord) => void): () => void {
    return this.#changes.add(listener);
  }

  bump(id: string): Promise<TxRecord> {
    return this.#now(async (state) => {
      const entry = onItsWay(state, id);
      return this.#replaceNow(state, entry, newestAttempt(entry.record)?.cancels === true);
    });
  }

  cancel(id: string): Promise<TxRecord> {
    return this.#now(async (state) => {
      const waits = state.entries.get(id);
      if (waits?.ready === true && waits.record.state === "waiting") {
        await state.finish(waits, "cancelled", { kind: "expired" }, "cancelled before it was sent");
        return waits.record;
      }
      return this.#replaceNow(state, onItsWay(state, id), true);
    });
  }

  async close(): Promise<void> {
    if (!this.#closed) {
      this.#stop.abort(new CodedError("CHN-3004"));
      this.#unsubscribe();
      this.#wake.close();
    }
    await this.#loop;
    for (const entry of this.#state.entries.values()) {
      for (const waiter of entry.waiters) waiter.reject(new CodedError("CHN-3004"));
      entry.waiters.clear();
    }
  }

  #newShift(fence: Fence): Shift {
    const { pool, account, store } = this.#options;
    const { clock, logger = silentLogger, checkpoint = () => undefined, onForeign = () => undefined } = this.#deps;
    const parts = {
      pool: fencedPool(pool, fence),
      store: fencedStore(store, fence),
      fence,
      account,
      settings: this.#settings,
      clock,
      logger,
      checkpoint,
      onForeign,
    };
    return { state: new QueueState(parts, this.#changes), fence, turn: Promise.resolve() };
  }

  /** What the queue knows, read again from the outbox for a run that follows one that was given up. */
  async #relieve(pulse: Pulse): Promise<void> {
    const fence = new Fence();
    fence.arm(pulse);
    const next = this.#newShift(fence);
    const { store } = next.state.parts;
    const known = { pending: await store.pending(), highest: await store.highestNonce() };
    takeUp(next.state, known, this.#state);
    this.#shift = next;
    this.#wake.poke();
  }

  async #run(pulse: Pulse): Promise<void> {
    const { signal } = pulse;
    if (this.#shift.fence.armed) await this.#relieve(pulse);
    else this.#shift.fence.arm(pulse);
    const { state } = this.#shift;
    while (!signal.aborted) {
      pulse.beat();
      await this.#wake.wait(Math.min(state.takeAlarm() ?? LOOK_MS, LOOK_MS), signal);
      if (signal.aborted) return;
      if (state.entries.size === 0) continue;
      try {
        await this.#exclusive(() => this.#round(state));
        this.#retry.reset();
      } catch (error) {
        state.alarm(this.#retry.nextMs());
        const { logger } = state.parts;
        if (!signal.aborted) logger[this.#retry.attempts > 3 ? "warn" : "debug"]("the transaction queue waits for the chain", { error });
      }
    }
  }

  async #round(state: QueueState): Promise<void> {
    const head = state.parts.pool.head();
    await this.#ready(state);
    await journalAgain(state);
    await settle(state, head);
    await resend(state, head);
    const line = lineState(state, head);
    if (line.kind === "fault") return this.#fail(state, line.error);
    this.#fault = undefined;
    if (line.kind === "gap" && state.waiting().length === 0) await this.#fillGap(state, head);
    if (line.kind !== "hold" && (await dispatch(state, head))) await settle(state, state.parts.pool.head());
    await urge(state, head);
  }

  /** Reads again what an earlier run may have changed, and reopens what was asked for again. */
  async #ready(state: QueueState): Promise<void> {
    for (const entry of state.entries.values()) {
      state.step();
      if (entry.unsure) {
        const record = await state.parts.store.get(entry.id);
        if (record !== undefined) entry.record = record;
        entry.unsure = false;
        if (entry.ready && entry.record.settled) await this.#settled(state, entry);
      }
      if (entry.ready) continue;
      if (entry.record.settled) await state.reopen(entry);
      entry.ready = true;
    }
  }

  /** An earlier run settled it and may not have told: who still waits is told now, or asks again where nothing was sent. */
  async #settled(state: QueueState, entry: Entry): Promise<void> {
    if (entry.record.state === "refused" && entry.waiters.size > 0) {
      entry.ready = false;
      return;
    }
    try {
      state.resolve(entry, await this.#past(entry.record));
    } catch (error) {
      if (!hasCode(error, "CHN-3008")) throw error;
      state.step();
      for (const waiter of entry.waiters) waiter.reject(error);
      entry.waiters.clear();
    }
    state.entries.delete(entry.id);
  }

  #fail(state: QueueState, error: CodedError): void {
    // Those who wait here also wait on the run that took over.
    state.step();
    if (this.#fault === undefined) {
      state.parts.logger.error("the chain contradicts the outbox", { error });
      this.#onFault(error);
    }
    this.#fault = error;
    for (const entry of state.entries.values()) {
      for (const waiter of entry.waiters) waiter.reject(error);
      entry.waiters.clear();
    }
  }

  /** Nobody wants anything, but our line waits behind a free nonce: use it for a transfer of nothing. */
  async #fillGap(state: QueueState, head: Head): Promise<void> {
    const { store, clock } = state.parts;
    const id = `fill:${state.latest}`;
    const record = await store.open({ id, to: this.address, data: "0x", gasFloor: FILL_GAS }, clock.now());
    const entry = state.entries.get(id) ?? enter(state, record);
    state.touch(entry, head);
    if (record.settled) await state.reopen(entry);
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

  async #replaceNow(state: QueueState, entry: Entry, cancels: boolean): Promise<TxRecord> {
    const reason = await replace(state, entry, state.parts.pool.head(), cancels);
    if (reason !== undefined) throw new CodedError("CHN-3003", { id: entry.id, reason });
    this.#wake.poke();
    return entry.record;
  }

  #assertOpen(): void {
    if (this.#closed) throw new CodedError("CHN-3004");
    if (this.#fault !== undefined) throw this.#fault;
  }

  /** One thing at a time: the line has one order. */
  #exclusive<T>(work: (state: QueueState) => Promise<T>): Promise<T> {
    const shift = this.#shift;
    const turn = shift.turn.then(() => work(shift.state));
    shift.turn = turn.catch(() => undefined);
    return turn;
  }

  /** For a person who waits: one that stands behind a round that hangs is told when that is given up. */
  async #now(work: (state: QueueState) => Promise<TxRecord>): Promise<TxRecord> {
    if (this.#closed) throw new CodedError("CHN-3004");
    const { signal } = this.#shift.fence;
    const done = this.#exclusive(async (state) => {
      await journalAgain(state);
      return work(state);
    });
    return signal === undefined ? done : orAborted(done, signal);
  }
}

function onItsWay(state: QueueState, id: string): Entry {
  const entry = state.entries.get(id);
  if (entry?.ready !== true || entry.record.state !== "sent") throw new CodedError("CHN-3002", { id });
  return entry;
}

const lowerCase = (address: Address): Address => `0x${address.slice(2).toLowerCase()}`;

function assertSame(known: TxIntent, wanted: TxIntent): void {
  const same = known.to === wanted.to && known.data === wanted.data && (known.value ?? 0n) === (wanted.value ?? 0n);
  if (!same) throw new CodedError("CHN-3001", { id: wanted.id });
}
