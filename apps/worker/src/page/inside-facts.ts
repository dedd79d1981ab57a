import type { TxRecord } from "@iexec-ts/chain";
import { type Clock, CodedError, openScope, orAborted } from "@iexec-ts/service";
import { type ChainReader, coinSymbol } from "../cli/facts/chain-facts.ts";
import type { FactSources } from "../cli/facts/fact-sources.ts";
import { type JournalFacts, journalPath } from "../cli/facts/journal-facts.ts";
import type { LocalFacts } from "../cli/facts/local-facts.ts";
import type { PageFacts } from "../cli/facts/page-facts.ts";
import type { WorkerSettings } from "../config.ts";
import { recallNetwork } from "../network-memory.ts";
import type { Replicate } from "../replicate/replicate.ts";
import type { WorkerHandle } from "../worker-api.ts";

const CALL_MS = 5_000;
const LAST_TASKS = 50;
const LAST_TRANSACTIONS = 1_000;

/** The part of a running worker that facts are read from. */
export type Inside = Pick<WorkerHandle, "address" | "journal" | "pool" | "hub" | "queue">;

/** The facts are kept until the next look, and nobody who reads them reads what was signed. */
const withoutBytes = (record: TxRecord): TxRecord => ({
  ...record,
  intent: { ...record.intent, data: "0x" },
  attempts: record.attempts.map((attempt) => ({ ...attempt, raw: "0x" })),
});

/** What the journal of the running worker says: all open tasks and the last ones, oldest first. */
async function insideJournal({ address, journal, queue }: Inside, stateDir: string): Promise<JournalFacts> {
  const known = new Map<string, Replicate>();
  for (const replicate of [...journal.list(LAST_TASKS), ...journal.unfinished()]) known.set(replicate.taskId, replicate);
  const replicates = [...known.values()].sort((one, other) => one.createdAt.getTime() - other.createdAt.getTime());
  return {
    path: journalPath(stateDir, address),
    replicates,
    history: (taskId) => journal.history(taskId),
    network: recallNetwork(journal.db),
    transactions: (await queue.list(LAST_TRANSACTIONS)).map(withoutBytes),
    contributed: new Set(replicates.map(({ taskId }) => taskId).filter((taskId) => journal.contribution(taskId) !== undefined)),
    undelivered: journal.tasksWithUndelivered().reduce((sum, taskId) => sum + journal.undelivered(taskId).length, 0),
  };
}

/**
 * The same facts that the operator's commands gather, read inside the worker: its own journal, its own nodes, no second start.
 *
 * @param page - what this worker's page says of it
 */
export function fromInside(
  worker: Inside,
  settings: WorkerSettings,
  page: () => PageFacts,
  deps: { readonly clock: Clock; readonly signal: AbortSignal },
): FactSources {
  const settled = new Set<string>();
  const reader = (): ChainReader => {
    const network = recallNetwork(worker.journal.db);
    if (network === undefined) throw new CodedError("WRK-2009", { reason: "the scheduler has not named it yet" });
    return { network, pool: worker.pool, hub: worker.hub, symbol: coinSymbol(network.chainId), settled };
  };
  return {
    settings,
    ...deps,
    local: async (): Promise<LocalFacts> => ({
      wallet: worker.address,
      walletProblem: undefined,
      running: { kind: "running", page: page(), holder: `process ${process.pid}` },
      journal: await insideJournal(worker, settings.stateDir),
    }),
    chain: (_, work) => inTime(deps.signal, () => work(reader())),
  };
}

/** A node that does not answer must not hold up what else there is to show. Errors: CHN-1003. */
async function inTime<T>(stop: AbortSignal, work: () => Promise<T>): Promise<T> {
  const reason = () => new CodedError("CHN-1003", { method: "a read", reason: `no answer in ${CALL_MS / 1_000} s` });
  using limit = openScope([stop], { ms: CALL_MS, reason });
  return await orAborted(work(), limit.signal);
}
