import { wei } from "@iexec-ts/poco";
import { type TransactionReceipt, TransactionReceiptNotFoundError } from "viem";
import type { Head, TxOutcome, TxState } from "../api.ts";
import { type Entry, newestAttempt } from "./entry.ts";
import { mapBounded } from "./map-bounded.ts";
import type { QueueState } from "./queue-state.ts";
import { usedBy } from "./used-by.ts";

const PARALLEL_READS = 8;
/** A node may count a transaction before it serves its receipt. */
const DOUBT_MS = 500;
/** How long to believe in a receipt that does not come when the blocks do not tell either. */
const LONG_DOUBT_MS = 10_000;

/**
 * Compares the line of nonces with the chain: finds receipts, undoes what a reorg took back, notices nonces used by others, and settles what is
 * deep enough.
 *
 * SIDE EFFECTS: writes the outbox; resolves submitters.
 */
export async function settle(state: QueueState, head: Head): Promise<void> {
  const latest = await state.client.getTransactionCount({ address: state.parts.account.address, blockTag: "latest" });
  state.step();
  state.latest = latest;
  noticeForeign(state, latest);
  const line = state.line();
  const shown = line.filter(({ record }) => record.nonce < latest || record.state !== "sent");
  const found = await mapBounded(shown, PARALLEL_READS, async (entry) => ({
    entry,
    receipt: await findReceipt(state, entry).finally(() => state.beat()),
  }));
  for (const entry of line) if (!shown.includes(entry)) entry.doubtedSinceMs = undefined;
  for (const { entry, receipt } of found) {
    state.step();
    if (receipt !== undefined) await mined(state, entry, receipt, head);
    else if (entry.record.nonce >= latest) await undone(state, entry, head);
    else await doubt(state, entry);
  }
}

function noticeForeign(state: QueueState, latest: number): void {
  const highest = state.line().at(-1)?.record.nonce;
  const isFirst = state.base === undefined && state.foreignUpTo === undefined && highest === undefined;
  const known = Math.max(state.base ?? 0, state.foreignUpTo ?? 0, highest === undefined ? 0 : highest + 1);
  if (isFirst) state.foreignUpTo = latest;
  if (isFirst || latest <= known) return;
  state.foreignUpTo = latest;
  state.parts.logger.warn("a transaction that is not ours used the wallet", { nonce: latest - 1 });
  state.parts.onForeign({ nonce: latest - 1, id: undefined });
}

async function findReceipt(state: QueueState, { record }: Entry): Promise<TransactionReceipt | undefined> {
  const hashes = record.attempts.map(({ hash }) => hash).reverse();
  const first = record.minedHash;
  for (const hash of first === undefined ? hashes : [first, ...hashes.filter((other) => other !== first)]) {
    state.step();
    try {
      return await state.client.getTransactionReceipt({ hash });
    } catch (error) {
      if (!(error instanceof TransactionReceiptNotFoundError)) throw error;
    }
  }
  return undefined;
}

async function mined(state: QueueState, entry: Entry, receipt: TransactionReceipt, head: Head): Promise<void> {
  const { record } = entry;
  const { settings, checkpoint } = state.parts;
  entry.doubtedSinceMs = undefined;
  entry.resend = false;
  const cancels = record.attempts.find(({ hash }) => hash === receipt.transactionHash)?.cancels === true;
  const reached: TxState = cancels ? "cancelled" : receipt.status === "success" ? "mined" : "reverted";
  if (record.state !== reached || record.minedHash !== receipt.transactionHash || record.minedBlock !== receipt.blockNumber) {
    entry.outcome = undefined;
    checkpoint("tx-mined", entry.id);
    await state.setState(entry, reached, {
      minedHash: receipt.transactionHash,
      minedBlock: receipt.blockNumber,
      gasPaid: wei(receipt.gasUsed * receipt.effectiveGasPrice),
      note: null,
    });
  }
  const outcome: TxOutcome =
    reached === "cancelled"
      ? { kind: "expired" }
      : { kind: reached === "mined" ? "mined" : "reverted", hash: receipt.transactionHash, receipt };
  const depth = head.number >= receipt.blockNumber ? head.number - receipt.blockNumber + 1n : 1n;
  if (depth >= settings.finalDepth && (await isCanonical(state, receipt))) {
    await state.finish(entry, reached === "mined" ? "final" : reached, outcome);
  } else if (depth >= settings.confirmations && entry.outcome === undefined) state.resolve(entry, outcome);
}

/** A receipt counts as final only if its block is still the one at that height. */
async function isCanonical(state: QueueState, receipt: TransactionReceipt): Promise<boolean> {
  const block = await state.client.getBlock({ blockNumber: receipt.blockNumber });
  return block.hash === receipt.blockHash;
}

async function undone(state: QueueState, entry: Entry, head: Head): Promise<void> {
  state.parts.logger.warn("a reorganisation undid a transaction; sending it again", { id: entry.id, block: entry.record.minedBlock });
  entry.outcome = undefined;
  entry.resend = true;
  entry.doubtedSinceMs = undefined;
  state.touch(entry, head);
  await state.setState(entry, "sent", { note: "a reorganisation undid it; sent again" });
}

/** The nonce is used, but no receipt is ours: look into the blocks for who used it, and sign again only when it was somebody else. */
async function doubt(state: QueueState, entry: Entry): Promise<void> {
  const { nonce, attempts } = entry.record;
  if (nonce === undefined) return;
  entry.doubtedSinceMs ??= state.now;
  const doubtedMs = state.now - entry.doubtedSinceMs;
  if (doubtedMs < DOUBT_MS) return state.alarm(DOUBT_MS - doubtedMs);
  const { account, logger, onForeign } = state.parts;
  const user = await usedBy(state.client, { address: account.address, nonce, onAnswer: () => state.step() });
  state.step();
  const ours = user !== undefined && attempts.some(({ hash }) => hash === user);
  if (ours || (user === undefined && doubtedMs < LONG_DOUBT_MS)) return state.alarm(DOUBT_MS);

  state.foreignUpTo = Math.max(state.foreignUpTo ?? 0, nonce + 1);
  logger.warn("a transaction that is not ours took a nonce of the outbox", { id: entry.id, nonce, hash: user });
  onForeign({ nonce, id: entry.id });
  const note = `another transaction took its nonce${user === undefined ? "" : `: ${user}`}`;
  if (newestAttempt(entry.record)?.cancels === true) await state.finish(entry, "cancelled", { kind: "expired" }, note);
  else await state.reopen(entry, note);
}
