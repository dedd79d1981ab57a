import { randomUUID } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { createTxQueue, sqliteOutbox, type TxOutcome, type TxRecord } from "@iexec-ts/chain";
import { chainTime } from "@iexec-ts/poco";
import { acquireLock, CodedError, hasCode, type Lock } from "@iexec-ts/service";
import { privateKeyToAccount } from "viem/accounts";
import type { Context } from "../cli/context.ts";
import type { ChainReader } from "../cli/facts/chain-facts.ts";
import { journalPath } from "../cli/facts/journal-facts.ts";
import { lockPath } from "../cli/facts/local-facts.ts";
import { Journal } from "../replicate/journal.ts";
import type { MoneyCall } from "./intents.ts";
import { openWallet } from "./password.ts";

/** Nobody wants a movement of money that is mined a day later. */
const GIVE_UP_SECONDS = 1_800n;
export const MONEY_PREFIX = "wallet:";

export interface Sent {
  readonly id: string;
  readonly outcome: Extract<TxOutcome, { kind: "mined" }>;
  readonly gasPaid: bigint;
}

const underWay = ({ intent, state }: TxRecord): boolean => intent.id.startsWith(MONEY_PREFIX) && (state === "waiting" || state === "sent");

/**
 * Sends one movement of money through the worker's own durable line of transactions, with the worker's lock held meanwhile.
 *
 * Errors: WRK-2003 a worker runs with this wallet, WRK-2006 an earlier movement is not settled, WRK-2010 it did not succeed; those of the
 * wallet and the nodes.
 * SIDE EFFECTS: asks for the password; writes the journal; sends. What an earlier run left in the journal is sent again first.
 */
export async function sendMoney(context: Context, chain: ChainReader, kind: string, call: MoneyCall): Promise<Sent> {
  const { settings, clock, signal } = context;
  const wallet = await openWallet(context);
  await mkdir(settings.stateDir, { recursive: true, mode: 0o755 });
  const lock = lockWallet(lockPath(settings.stateDir, wallet.address), wallet.address);
  try {
    const journal = new Journal(journalPath(settings.stateDir, wallet.address), wallet.address, () => clock.now());
    try {
      const store = sqliteOutbox(journal.db);
      const queue = await createTxQueue(
        {
          pool: chain.pool,
          account: privateKeyToAccount(wallet.privateKey.reveal()),
          store,
          gas: { multiplier: settings.gasPriceMultiplier, cap: settings.gasPriceCap },
          confirmations: settings.confirmations,
        },
        { clock },
      );
      try {
        const earlier = (await store.pending()).find(underWay);
        if (earlier !== undefined) throw new CodedError("WRK-2006", { id: earlier.intent.id, state: earlier.state });
        const id = `${MONEY_PREFIX}${kind}:${randomUUID()}`;
        context.tell(`Sending ${id}...`);
        const outcome = await queue.submit({ id, ...call, before: chainTime(chain.pool.head().timestamp + GIVE_UP_SECONDS) }, signal);
        if (outcome.kind !== "mined") throw new CodedError("WRK-2010", { id, outcome: outcome.kind, reason: reasonOf(outcome) });
        return { id, outcome, gasPaid: outcome.receipt.gasUsed * outcome.receipt.effectiveGasPrice };
      } finally {
        await queue.close();
      }
    } finally {
      journal.shut();
    }
  } finally {
    lock.release();
  }
}

function reasonOf(outcome: Exclude<TxOutcome, { kind: "mined" }>): string {
  if (outcome.kind === "refused") return outcome.reason;
  if (outcome.kind === "reverted") return `reverted in ${outcome.hash}`;
  if (outcome.kind === "out-of-gas") return `the wallet holds ${outcome.balance} wei and needs ${outcome.needed} wei for gas`;
  return "it was not mined in time and will not be any more";
}

/** Errors: WRK-2003. */
function lockWallet(path: string, wallet: string): Lock {
  try {
    return acquireLock(path);
  } catch (thrown) {
    if (!hasCode(thrown, "SVC-1401")) throw thrown;
    throw new CodedError("WRK-2003", { wallet, holder: String(CodedError.from(thrown).args.holder) }, { cause: thrown });
  }
}
