import type { TxRecord } from "@iexec-ts/chain";
import type { Address } from "@iexec-ts/poco";
import type { ChainReader } from "../cli/facts/chain-facts.ts";
import { day, sumsByDay } from "../cli/money/earnings.ts";
import type { Entry } from "../cli/money/movements.ts";
import { blockAt, readLedger } from "../cli/money/read-ledger.ts";
import { type Sum, total } from "../cli/money/summary.ts";

/** Blocks that are read again, in case they were replaced. */
const REREAD_BLOCKS = 64n;

interface Read {
  readonly day: string;
  readonly firstBlock: bigint;
  readonly toBlock: bigint;
  /** Of what came before the blocks that may still be read again. */
  readonly sum: Sum;
  readonly entries: readonly Entry[];
  readonly times: ReadonlyMap<bigint, Date>;
}

/**
 * What a day brought below a block from which on it is read again. What is too deep to be replaced is added up, so that a busy day does not
 * keep each of its movements in memory.
 */
export function carried(before: Pick<Read, "sum" | "entries" | "times"> | undefined, from: bigint, key: string): Sum {
  if (before === undefined) return total([]);
  const deep = before.entries.filter(({ block }) => block < from);
  return total([before.sum, ...sumsByDay({ entries: deep, times: before.times }, []).filter((sum) => sum.key === key)]);
}

/** What this UTC day brought, from the chain's events: the row that `iexec-worker earnings` shows. Each look reads only what is new. */
export class Today {
  #read: Read | undefined;

  /** Errors: CHN-…. */
  async look(chain: ChainReader, wallet: Address, records: readonly TxRecord[], now: Date, signal: AbortSignal): Promise<Sum> {
    const key = day(now);
    const before = this.#read?.day === key ? this.#read : undefined;
    const firstBlock = before?.firstBlock ?? (await blockAt(chain.pool, new Date(`${key}T00:00:00Z`)));
    const again = before === undefined ? firstBlock : before.toBlock - REREAD_BLOCKS;
    const from = again > firstBlock ? again : firstBlock;
    const fresh = await readLedger(chain, wallet, from, signal);
    const sum = carried(before, from, key);
    this.#read = { day: key, firstBlock, toBlock: fresh.toBlock, sum, entries: fresh.entries, times: fresh.times };
    const recent = sumsByDay(fresh, records).filter((one) => one.key === key);
    return { ...total([sum, ...recent]), key };
  }
}
