import type { Wei } from "@iexec-ts/poco";
import type { Clock, Logger } from "@iexec-ts/service";
import type { PrivateKeyAccount, PublicClient } from "viem";
import type { Head, OutboxStore, RpcPool, TxOutcome, TxRecord, TxState } from "../api.ts";
import { readFeeMarket } from "../fees/fee-market.ts";
import { type FeeMarket, type FeeOffer, type FeePolicy, offerFees, urgencyAt } from "../fees/fee-policy.ts";
import type { Listeners } from "../rpc/listeners.ts";
import type { Entry } from "./entry.ts";
import type { Fence } from "./fence.ts";

export type Checkpoint = "tx-journalled" | "tx-broadcast" | "tx-mined";

/** A nonce of our wallet was used by a transaction that this outbox does not know. `id`: the intent that has to be signed again. */
export interface ForeignNonce {
  readonly nonce: number;
  readonly id: string | undefined;
}

export interface QueueSettings {
  readonly policy: FeePolicy;
  readonly confirmations: bigint;
  readonly finalDepth: bigint;
  readonly stuckAfterBlocks: bigint;
  readonly stuckAfterMs: number;
  readonly urgentSeconds: bigint;
  readonly maxGas: bigint;
}

export interface QueueParts {
  readonly pool: RpcPool;
  readonly account: PrivateKeyAccount;
  readonly store: OutboxStore;
  readonly fence: Fence;
  readonly settings: QueueSettings;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly checkpoint: (name: Checkpoint, id: string) => void;
  readonly onForeign: (event: ForeignNonce) => void;
}

/** What the steps of the queue share: unsettled records, nonce line, fees of the current head. */
export class QueueState {
  readonly parts: QueueParts;
  readonly entries = new Map<string, Entry>();
  readonly changes: Listeners<TxRecord>;
  /** Nonces below are used up by transactions of ours that can no longer be undone; undefined while there are none. */
  base: number | undefined;
  /** Transaction count of the wallet at the newest block; undefined before the first look. */
  latest: number | undefined;
  /** Nonces below that are not ours are already known to be foreign; undefined before the first look at an unused outbox. */
  foreignUpTo: number | undefined;
  /** The entry at the front of the line. */
  front: Entry | undefined;
  /** The line cannot move because of a nonce nobody holds, or because the chain is behind our journal. */
  blocked: { readonly sinceBlock: bigint; readonly sinceMs: number } | undefined;
  #market: { readonly hash: string; readonly market: FeeMarket } | undefined;
  #alarmMs: number | undefined;

  constructor(parts: QueueParts, changes: Listeners<TxRecord>) {
    this.parts = parts;
    this.changes = changes;
  }

  /** Says that the round moved on. */
  beat(): void {
    this.parts.fence.beat();
  }

  /**
   * Before the next question to a node, and before anything is told: says that the round moved on, and ends it here if it was given up.
   *
   * Errors: SVC-1503 once the run was given up, and whatever ended the queue.
   */
  step(): void {
    this.parts.fence.step();
  }

  /** When a change of this record is made: never before its last one, so that the store can tell a late write by its time. */
  stamp({ record }: Entry): Date {
    return new Date(Math.max(this.parts.clock.now().getTime(), record.updatedAt.getTime()));
  }

  get client(): PublicClient {
    return this.parts.pool.client;
  }

  get now(): number {
    return this.parts.clock.monotonicMs();
  }

  /** Records that hold a nonce, in its order. */
  line(): readonly (Entry & { readonly record: { readonly nonce: number } })[] {
    return [...this.entries.values()].filter(holdsNonce).sort((a, b) => a.record.nonce - b.record.nonce);
  }

  /** Records to be signed, in the order of arrival. */
  waiting(): readonly Entry[] {
    return [...this.entries.values()].filter(
      ({ ready, unsure, record }) => ready && !unsure && record.state === "waiting" && record.nonce === undefined,
    );
  }

  /** The lowest nonce that neither the chain nor a record has used. */
  nextNonce(): number {
    const held = new Set(this.line().map(({ record }) => record.nonce));
    let nonce = Math.max(this.latest ?? 0, this.base ?? 0);
    while (held.has(nonce)) nonce += 1;
    return nonce;
  }

  /** Asks for another round after `ms`, whatever happens. */
  alarm(ms: number): void {
    this.#alarmMs = this.#alarmMs === undefined ? ms : Math.min(this.#alarmMs, ms);
  }

  takeAlarm(): number | undefined {
    const ms = this.#alarmMs;
    this.#alarmMs = undefined;
    return ms;
  }

  async offer(head: Head, intent: { readonly before?: Head["timestamp"] }): Promise<FeeOffer> {
    const { policy, urgentSeconds } = this.parts.settings;
    return offerFees(await this.market(head), policy, urgencyAt(head.timestamp, intent.before, urgentSeconds));
  }

  async market(head: Head): Promise<FeeMarket> {
    if (this.#market?.hash !== head.hash) this.#market = { hash: head.hash, market: await readFeeMarket(this.client, head) };
    return this.#market.market;
  }

  /** Durable, then visible. */
  async setState(
    entry: Entry,
    state: TxState,
    change: {
      readonly settled?: boolean;
      readonly minedHash?: `0x${string}`;
      readonly minedBlock?: bigint;
      readonly gasPaid?: Wei;
      readonly note?: string | null;
    } = {},
  ): Promise<void> {
    await this.parts.store.setState(entry.id, state, { at: this.stamp(entry), ...change });
    await this.refresh(entry);
  }

  async note(entry: Entry, note: string | undefined): Promise<void> {
    if (entry.record.note === note) return;
    await this.setState(entry, entry.record.state, { note: note ?? null });
  }

  async reopen(entry: Entry, note?: string): Promise<void> {
    await this.parts.store.reopen(entry.id, this.stamp(entry));
    entry.resend = false;
    entry.doubtedSinceMs = undefined;
    entry.cancelTried = false;
    entry.outcome = undefined;
    await this.refresh(entry);
    if (note !== undefined) await this.note(entry, note);
  }

  async refresh(entry: Entry): Promise<void> {
    const record = await this.parts.store.get(entry.id);
    if (record === undefined) return;
    entry.record = record;
    this.changes.emit(record);
  }

  /** Counts patience from now. */
  touch(entry: Entry, head: Head): void {
    entry.sinceBlock = head.number;
    entry.sinceMs = this.now;
  }

  resolve(entry: Entry, outcome: TxOutcome): void {
    this.parts.fence.check();
    entry.outcome = outcome;
    for (const waiter of entry.waiters) waiter.resolve(outcome);
    entry.waiters.clear();
  }

  /** Settles the record for good and forgets it. */
  async finish(entry: Entry, state: TxState, outcome: TxOutcome, note?: string): Promise<void> {
    await this.setState(entry, state, { settled: true, ...(note === undefined ? {} : { note }) });
    this.resolve(entry, outcome);
    this.entries.delete(entry.id);
    const { nonce } = entry.record;
    if (nonce !== undefined) this.base = Math.max(this.base ?? 0, nonce + 1);
  }
}

type Held = Entry & { readonly record: { readonly nonce: number } };
const holdsNonce = (entry: Entry): entry is Held => entry.ready && entry.record.nonce !== undefined;
