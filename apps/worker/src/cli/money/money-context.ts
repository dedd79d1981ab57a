import type { Address } from "@iexec-ts/poco";
import { CodedError } from "@iexec-ts/service";
import { type Context, type Input, textOption } from "../context.ts";
import { type ChainReader, withChain } from "../facts/chain-facts.ts";
import type { JournalFacts } from "../facts/journal-facts.ts";
import { localFacts, needWallet } from "../facts/local-facts.ts";
import { firstBlock, type LedgerRead, readLedger } from "./read-ledger.ts";

export interface MoneyFacts {
  readonly wallet: Address;
  readonly chain: ChainReader;
  readonly journal: JournalFacts | undefined;
  readonly ledger: LedgerRead;
}

/** Runs `work` with every movement of this wallet. Errors: SVC-13xx, WRK-2009, WRK-2012, CHN-…. */
export async function withLedger<T>(context: Context, input: Input, work: (facts: MoneyFacts) => Promise<T> | T): Promise<T> {
  const facts = await localFacts(context);
  const wallet = needWallet(facts, context.settings);
  const from = textOption(input, "fromBlock");
  if (from !== undefined && !/^\d{1,15}$/.test(from))
    throw new CodedError("WRK-2012", { what: "--from-block", expected: "a block number", got: from });
  return withChain(context, facts.journal, async (chain) => {
    context.tell("Reading the chain's events...");
    const start = from === undefined ? await firstBlock(chain.pool, facts.journal) : BigInt(from);
    const ledger = await readLedger(chain, wallet, start, context.signal);
    return work({ wallet, chain, journal: facts.journal, ledger });
  });
}
