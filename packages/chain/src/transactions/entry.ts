import type { TxAttempt, TxOutcome, TxRecord } from "../api.ts";

export interface Waiter {
  readonly resolve: (outcome: TxOutcome) => void;
  readonly reject: (reason: unknown) => void;
}

/** An unsettled record in memory. Everything here but `record` may be lost in a crash. */
export interface Entry {
  readonly id: string;
  record: TxRecord;
  /** False while the record has to be reopened. */
  ready: boolean;
  /** What the outbox holds has to be read again: an earlier run may have changed it. */
  unsure: boolean;
  /** Signed, and perhaps not journalled: these bytes and no others. */
  signed: (TxAttempt & { readonly nonce: number; readonly gas: bigint }) | undefined;
  readonly waiters: Set<Waiter>;
  /** Set once the effect has enough confirmations; cleared by a reorg. */
  outcome: TxOutcome | undefined;
  /** Head number and monotonic time from which patience is counted: the newest attempt, or when it came to the front of the line. */
  sinceBlock: bigint;
  sinceMs: number;
  /** The nodes may not have it: send the same bytes again. */
  resend: boolean;
  /** Since when the nonce is used although none of our attempts has a receipt. */
  doubtedSinceMs: number | undefined;
  /** A cancelling attempt was tried since the deadline passed. */
  cancelTried: boolean;
}

/** @param before - the same record's entry of an earlier run, whose waiters go on waiting */
export function createEntry(record: TxRecord, head: { readonly block: bigint; readonly ms: number }, before?: Entry): Entry {
  return {
    id: record.intent.id,
    record,
    ready: before?.ready ?? true,
    unsure: false,
    signed: before?.signed,
    waiters: before?.waiters ?? new Set(),
    outcome: before?.outcome,
    sinceBlock: head.block,
    sinceMs: head.ms,
    resend: false,
    doubtedSinceMs: undefined,
    cancelTried: false,
  };
}

export const newestAttempt = (record: TxRecord): TxAttempt | undefined => record.attempts.at(-1);

/** What its newest attempt may cost at most. */
export function commitment({ record }: Entry): bigint {
  const attempt = newestAttempt(record);
  if (attempt === undefined || record.state !== "sent") return 0n;
  return (record.gas ?? 0n) * attempt.maxFeePerGas + (record.intent.value ?? 0n);
}

/** The outcome of an entry once it has one. Errors: the signal's reason, and why the queue gave it up. */
export function outcomeOf(entry: Entry, signal: AbortSignal | undefined): Promise<TxOutcome> {
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
