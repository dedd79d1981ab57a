import type { Clock } from "@iexec-ts/service";
import type { OperatorSettings } from "../settings.ts";
import { type ChainReader, withChain } from "./chain-facts.ts";
import type { JournalFacts } from "./journal-facts.ts";
import { type LocalFacts, localFacts } from "./local-facts.ts";

/** Where facts come from: a command of the operator asks from outside, the worker's own page from inside. What is made of them is the same. */
export interface FactSources {
  readonly settings: OperatorSettings;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  local(): Promise<LocalFacts>;
  /** Runs `work` with open nodes. Errors: WRK-2009, CHN-…. */
  chain<T>(journal: JournalFacts | undefined, work: (reader: ChainReader) => Promise<T>): Promise<T>;
}

/** Everything from outside: the wallet file, the journal, the page and nodes opened for this one look. */
export const fromOutside = (context: Pick<FactSources, "settings" | "clock" | "signal">): FactSources => ({
  settings: context.settings,
  clock: context.clock,
  signal: context.signal,
  local: () => localFacts(context),
  chain: (journal, work) => withChain(context, journal, work),
});
