import type { TxRecord } from "../api.ts";
import { createEntry, type Entry } from "./entry.ts";
import type { QueueState } from "./queue-state.ts";

/** What the outbox says at the start of a run. */
export interface Known {
  readonly pending: readonly TxRecord[];
  /** Of any record, settled or not. */
  readonly highest: number | undefined;
}

/** @param before - the entry of an earlier run */
export function enter(state: QueueState, record: TxRecord, before?: Entry): Entry {
  const entry = createEntry(record, { block: state.parts.pool.head().number, ms: state.now }, before);
  state.entries.set(entry.id, entry);
  return entry;
}

/**
 * Fills the memory of a run from the outbox. From an earlier run that was given up it takes what the outbox cannot know: who waits, and what was
 * signed but perhaps not journalled.
 */
export function takeUp(state: QueueState, { pending, highest }: Known, before?: QueueState): void {
  for (const record of pending) {
    const entry = enter(state, record, before?.entries.get(record.intent.id));
    entry.resend = record.state === "sent";
  }
  // Settled by the earlier run, or asked for since the outbox was read: another look at the outbox tells.
  for (const earlier of before?.entries.values() ?? []) {
    if (!state.entries.has(earlier.id)) enter(state, earlier.record, earlier).unsure = true;
  }
  const lowest = state.line()[0]?.record.nonce;
  state.base = lowest ?? (highest === undefined ? undefined : highest + 1);
  state.foreignUpTo = before?.foreignUpTo;
  state.latest = before?.latest;
}
