import { createHub, createRpcPool, type Hub, type RpcPool } from "@iexec-ts/chain";
import { lowerHex } from "@iexec-ts/poco";
import { CodedError, openScope, systemClock } from "@iexec-ts/service";
import { probeScheduler, type SchedulerProbe } from "@iexec-ts/wire";
import { schedulerUrl } from "../../config.ts";
import type { KnownNetwork } from "../../network-memory.ts";
import { VERSION } from "../../version.ts";
import type { Context } from "../context.ts";
import type { JournalFacts } from "./journal-facts.ts";

type Asking = Pick<Context, "settings" | "signal">;

const OPEN_MS = 10_000;
const CALL_MS = 5_000;

/** Reads of one command; closed when it ends. */
export interface ChainReader {
  readonly network: KnownNetwork;
  readonly pool: RpcPool;
  readonly hub: Hub;
  /** Symbol of the chain's own coin, as far as it is known. */
  readonly symbol: string;
  /** Tasks known to lock no stake any more; a reader that lives long keeps and extends it. */
  readonly settled?: Set<string>;
}

/** What the scheduler says to anybody. Errors: WIR-…. */
export async function askScheduler({ settings, signal }: Asking): Promise<SchedulerProbe> {
  using limit = openScope([signal], { ms: OPEN_MS });
  return await probeScheduler({ url: schedulerUrl(settings), dialect: settings.dialect }, { fetch: globalThis.fetch }, limit.signal);
}

/** The version this worker compares with what the pool requires. */
export const announcedVersion = (settings: Context["settings"]): string => settings.announceVersion ?? VERSION;

/**
 * The chain of this worker: as the journal remembers it, else as the scheduler says; nodes of the settings win.
 *
 * Errors: WRK-2009.
 */
export async function networkFacts(context: Asking, journal: JournalFacts | undefined): Promise<KnownNetwork> {
  const nodes = context.settings.nodes;
  if (journal?.network !== undefined) return { ...journal.network, nodes: nodes ?? journal.network.nodes };
  let probe: SchedulerProbe;
  try {
    probe = await askScheduler(context);
  } catch (thrown) {
    throw new CodedError("WRK-2009", { reason: CodedError.from(thrown).message }, { cause: thrown });
  }
  const { configuration, chain } = probe;
  if (chain === undefined) throw new CodedError("WRK-2009", { reason: "the pool's configuration server does not answer" });
  return {
    workerpool: lowerHex(configuration.workerPoolAddress),
    chainId: chain.chainId,
    hub: lowerHex(chain.iexecHubContractAddress),
    nodes: nodes ?? [chain.chainNodeUrl],
    resultProxy: configuration.resultRepositoryURL,
  };
}

const SYMBOLS: Readonly<Record<number, string>> = { 134: "xRLC", 65535: "xRLC" };
export const coinSymbol = (chainId: number): string => SYMBOLS[chainId] ?? "ETH";

async function openNodes({ signal }: Asking, { nodes, chainId, hub }: KnownNetwork): Promise<RpcPool> {
  using limit = openScope([signal], { ms: OPEN_MS });
  try {
    return await createRpcPool({ urls: nodes, chainId, expectedHub: hub, requestTimeoutMs: CALL_MS }, { clock: systemClock }, limit.signal);
  } catch (thrown) {
    if (thrown instanceof CodedError) throw thrown;
    signal.throwIfAborted();
    throw new CodedError("CHN-1003", { method: "eth_chainId", reason: "no node answered in time" }, { cause: thrown });
  }
}

/** Runs `work` with open nodes. Errors: WRK-2009, CHN-…. SIDE EFFECTS: asks the nodes. */
export async function withChain<T>(
  context: Asking,
  journal: JournalFacts | undefined,
  work: (reader: ChainReader) => Promise<T>,
): Promise<T> {
  const network = await networkFacts(context, journal);
  const pool = await openNodes(context, network);
  try {
    const hub = await createHub(pool, network.hub);
    return await work({ network, pool, hub, symbol: coinSymbol(network.chainId) });
  } finally {
    await pool.close();
  }
}
