import type { TxRecord } from "@iexec-ts/chain";
import type { Address } from "@iexec-ts/poco";
import type { ChainReader } from "../cli/facts/chain-facts.ts";
import { day, sumsByDay } from "../cli/money/earnings.ts";
import type { Entry } from "../cli/money/movements.ts";
import { blockAt, readLedger } from "../cli/money/read-ledger.ts";
import type { Sum } from "../cli/money/summary.ts";

/** Blocks that are read again, in case they were replaced. */
const REREAD_BLOCKS = 64n;

interface Read {
  readonly day: string;
  readonly firstBlock: bigint;
  readonly toBlock: bigint;
  readonly entries: readonly Entry[];
  readonly times: ReadonlyMap<bigint, Date>;
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
    const entries = [...(before?.entries ?? []).filter(({ block }) => block < from), ...fresh.entries];
    const times = new Map([...(before?.times ?? []), ...fresh.times]);
    this.#read = { day: key, firstBlock, toBlock: fresh.toBlock, entries, times };
    return sumsByDay({ entries, times }, records).find((sum) => sum.key === key) ?? { key, earned: 0n, seized: 0n, gas: 0n, tasks: 0 };
  }
}
