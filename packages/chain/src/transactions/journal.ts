import { hasCode } from "@iexec-ts/service";
import type { TxAttempt } from "../api.ts";
import type { Entry } from "./entry.ts";
import type { QueueState } from "./queue-state.ts";

/**
 * Journals what was signed. The bytes are kept in memory until the outbox has them for certain: a store that failed or hung may have kept them
 * all the same, and then only these very bytes may be sent, under this very nonce.
 *
 * Errors: those of the store; the attempt then stays to be journalled again, except after CHN-3006, which says that it was not.
 * SIDE EFFECTS: writes the outbox.
 */
export async function journal(
  state: QueueState,
  entry: Entry,
  signed: TxAttempt & { readonly nonce: number; readonly gas: bigint },
): Promise<void> {
  entry.signed = signed;
  try {
    await state.parts.store.addAttempt(entry.id, { ...signed, at: state.stamp(entry) });
  } catch (error) {
    if (hasCode(error, "CHN-3006")) entry.signed = undefined;
    throw error;
  }
  await state.refresh(entry);
  entry.signed = undefined;
}

/**
 * Ends what an earlier round could not: signed attempts of which nobody knows whether the outbox has them.
 *
 * SIDE EFFECTS: writes the outbox.
 */
export async function journalAgain(state: QueueState): Promise<void> {
  for (const entry of state.entries.values()) {
    const { signed } = entry;
    if (signed === undefined) continue;
    if (entry.record.attempts.some(({ hash }) => hash === signed.hash)) entry.signed = undefined;
    else await journal(state, entry, signed);
    // Whether it was sent is not known either; the same bytes twice are one effect.
    entry.resend = true;
  }
}
