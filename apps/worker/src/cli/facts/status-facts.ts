import { CodedError } from "@iexec-ts/service";
import { freeMib } from "../../host-check.ts";
import { type StakeLock, stakeLocks } from "../../wallet/locks.ts";
import { type Standing, standingOf } from "../commands/score.ts";
import type { ChainReader } from "./chain-facts.ts";
import type { FactSources } from "./fact-sources.ts";
import type { LocalFacts } from "./local-facts.ts";
import { type Need, needsOf } from "./needs.ts";

/** What the wallet has, in nRLC and wei. */
export interface Money {
  readonly native: bigint;
  readonly symbol: string;
  readonly free: bigint;
  readonly locked: bigint;
  readonly locks: readonly StakeLock[];
  readonly standing: Standing;
  readonly workerpool: string;
  readonly chainId: number;
}

async function moneyOf(chain: ChainReader, local: LocalFacts): Promise<Money | undefined> {
  const { wallet, journal } = local;
  if (wallet === undefined) return undefined;
  const { hub, network, symbol, settled } = chain;
  const [native, account, score, locks] = await Promise.all([
    hub.nativeBalance(wallet),
    hub.account(wallet),
    hub.score(wallet),
    stakeLocks(hub, wallet, journal, settled),
  ]);
  return {
    native,
    symbol,
    free: account.stake,
    locked: account.locked,
    locks,
    standing: standingOf(score),
    workerpool: network.workerpool,
    chainId: network.chainId,
  };
}

/** The worker at one glance. */
export interface StatusFacts {
  readonly local: LocalFacts;
  /** Undefined when the chain could not be read; `problem` says why. */
  readonly money: Money | undefined;
  readonly problem: CodedError | undefined;
  readonly freeMib: number | undefined;
  readonly needs: readonly Need[];
  readonly now: Date;
}

/** SIDE EFFECTS: looks at the journal, the disk and the chain. */
export async function gatherStatus(sources: FactSources): Promise<StatusFacts> {
  const { settings, clock, signal } = sources;
  const local = await sources.local();
  let problem: CodedError | undefined;
  const money = await sources
    .chain(local.journal, (chain) => moneyOf(chain, local))
    .catch((thrown: unknown) => {
      signal.throwIfAborted();
      problem = CodedError.from(thrown);
      return undefined;
    });
  const free = await freeMib(settings.baseDir).catch(() => undefined);
  const now = clock.now();
  const needs = needsOf({
    local,
    settings,
    freeMib: free,
    locks: money?.locks ?? [],
    native: money?.native,
    stake: money?.free,
    problem,
    now,
  });
  return { local, money, problem, freeMib: free, needs, now };
}
