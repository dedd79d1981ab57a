import type { RpcPool } from "@iexec-ts/chain";
import { type Address, addressTopic, EVENT_TOPICS, type Hex } from "@iexec-ts/poco";
import { CodedError } from "@iexec-ts/service";
import { BaseError, formatLog, type Log, numberToHex, type RpcLog } from "viem";
import type { ChainReader } from "../facts/chain-facts.ts";
import type { JournalFacts } from "../facts/journal-facts.ts";
import { applyAll, type Entry, movementsOf, type Standing, type Verdict } from "./movements.ts";

/** Every movement of one account in a range of blocks, reconciled with what the chain says at the end of it. */
export interface LedgerRead {
  readonly fromBlock: bigint;
  readonly toBlock: bigint;
  readonly entries: readonly Entry[];
  readonly verdicts: readonly Verdict[];
  /** The account before the first block; undefined where the node no longer has that state. */
  readonly opening: Standing | undefined;
  readonly closing: Standing;
  /** What the movements do not explain; undefined without an opening. All zero when the ledger is complete. */
  readonly gap: Standing | undefined;
  /** When each block of a movement was made. */
  readonly times: ReadonlyMap<bigint, Date>;
}

const MAX_RANGE = 50_000n;
const SMALL_CHAIN = 100_000n;
const PARALLEL = 8;

/**
 * Reads all movements of `wallet` from the chain's events, which are found by the indexed members of transfers and verdicts.
 *
 * Errors: CHN-….
 */
export async function readLedger(chain: ChainReader, wallet: Address, fromBlock: bigint, signal: AbortSignal): Promise<LedgerRead> {
  const { pool, hub, network } = chain;
  const toBlock = pool.head().number;
  const us = addressTopic(wallet);
  const filters: readonly (readonly (Hex | readonly Hex[] | null)[])[] = [
    [EVENT_TOPICS.Transfer, us],
    [EVENT_TOPICS.Transfer, null, us],
    [[EVENT_TOPICS.AccurateContribution, EVENT_TOPICS.FaultyContribution], us],
  ];
  const found = new Map<Hex, bigint>();
  for (const topics of filters) {
    for (const log of await logsBetween(pool, network.hub, topics, fromBlock, toBlock, signal)) {
      if (log.transactionHash !== null && log.blockNumber !== null) found.set(log.transactionHash, log.blockNumber);
    }
  }
  const entries: Entry[] = [];
  const verdicts: Verdict[] = [];
  await eachOf([...found.keys()], async (hash) => {
    signal.throwIfAborted();
    const receipt = await pool.client.getTransactionReceipt({ hash });
    const parts = movementsOf(receipt.logs, network.hub, wallet);
    entries.push(...parts.entries);
    verdicts.push(...parts.verdicts);
  });
  entries.sort((one, other) => Number(one.block - other.block) || one.logIndex - other.logIndex);
  const times = new Map<bigint, Date>();
  await eachOf([...new Set(entries.map(({ block }) => block))], async (blockNumber) => {
    const { timestamp } = await pool.client.getBlock({ blockNumber });
    times.set(blockNumber, new Date(Number(timestamp) * 1_000));
  });
  const standing = async (at: bigint): Promise<Standing> => {
    const { stake, locked } = await hub.account(wallet, at);
    return { free: stake, locked };
  };
  const closing = await standing(toBlock);
  const opening = fromBlock === 0n ? { free: 0n, locked: 0n } : await standing(fromBlock - 1n).catch(() => undefined);
  const expected = opening === undefined ? undefined : applyAll(opening, entries);
  const gap = expected === undefined ? undefined : { free: closing.free - expected.free, locked: closing.locked - expected.locked };
  return { fromBlock, toBlock, entries, verdicts, opening, closing, gap, times };
}

async function eachOf<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const left = [...items];
  const lane = async () => {
    for (let item = left.pop(); item !== undefined; item = left.pop()) await work(item);
  };
  await Promise.all(Array.from({ length: PARALLEL }, lane));
}

/** Halves the range where a node refuses one as too large. */
async function logsBetween(
  pool: RpcPool,
  address: Address,
  topics: readonly (Hex | readonly Hex[] | null)[],
  from: bigint,
  to: bigint,
  signal: AbortSignal,
): Promise<readonly Log[]> {
  const logs: Log[] = [];
  let size = MAX_RANGE;
  for (let start = from; start <= to; ) {
    signal.throwIfAborted();
    const end = start + size - 1n < to ? start + size - 1n : to;
    try {
      const raw: readonly RpcLog[] = await pool.client.request({
        method: "eth_getLogs",
        params: [{ address, topics: topics.map((topic) => topic ?? null), fromBlock: numberToHex(start), toBlock: numberToHex(end) }],
      } as never);
      logs.push(...raw.map((log) => formatLog(log)));
      start = end + 1n;
    } catch (thrown) {
      if (size === 1n)
        throw thrown instanceof BaseError ? new CodedError("CHN-1002", { url: "-", method: "eth_getLogs" }, { cause: thrown }) : thrown;
      size = size > 8n ? size / 8n : 1n;
    }
  }
  return logs;
}

/**
 * Where reading begins when nobody says: the whole chain when it is short, else the last block before the journal's first task.
 */
export async function firstBlock(pool: RpcPool, journal: JournalFacts | undefined): Promise<bigint> {
  const head = pool.head().number;
  if (head <= SMALL_CHAIN) return 0n;
  const oldest = journal?.replicates[0]?.createdAt ?? journal?.transactions.at(-1)?.createdAt;
  if (oldest === undefined) return head - SMALL_CHAIN;
  return blockAt(pool, oldest);
}

/** The newest block that is not younger than `time`; block 0 when all are, and on a short chain. */
export async function blockAt(pool: RpcPool, time: Date): Promise<bigint> {
  if (pool.head().number <= SMALL_CHAIN) return 0n;
  const wanted = BigInt(Math.floor(time.getTime() / 1_000));
  let low = 0n;
  let high = pool.head().number;
  while (low < high) {
    const middle = (low + high + 1n) / 2n;
    const { timestamp } = await pool.client.getBlock({ blockNumber: middle });
    if (timestamp <= wanted) low = middle;
    else high = middle - 1n;
  }
  return low;
}
