import {
  type Backoff,
  backoff,
  type Clock,
  createWatchdog,
  type Logger,
  type Pulse,
  type Random,
  silentLogger,
  systemRandom,
  type Watchdog,
} from "@iexec-ts/service";
import { BlockNotFoundError, formatLog, type Hex, type Log, numberToHex } from "viem";
import type { Cursor, EventStream, EventStreamOptions, RpcPool } from "../api.ts";
import { isRangeLimit } from "../rpc/node-texts.ts";
import { faultOf } from "../rpc/rpc-fault.ts";
import { Wake } from "../rpc/wake.ts";

const RETRY = { baseMs: 200, maxMs: 30_000 };
/** Between two looks when no head is told of. */
const LOOK_MS = 60_000;
/** The reads of one step, and a handler that waits for a slow store, all fit. */
const BOUND_MS = 180_000;
const GROWTH = 1.5;
/** Blocks without events after which the position is handed over all the same, so that a restart does not read them again. */
const QUIET_BLOCKS = 256n;
const REMEMBERED = 64;

export interface EventStreamDeps {
  /** Where the handler has got to, from the consumer's own store; undefined at the very first start. */
  readonly load: () => Promise<Cursor | undefined>;
  readonly clock: Clock;
  readonly logger?: Logger;
  readonly random?: Random;
  /** Watches over `run`; one of its own unless given. */
  readonly watchdog?: Watchdog;
}

type Handler = Parameters<EventStream["run"]>[0];

/**
 * A stream over eth_getLogs with a cursor of its own: no filters kept in a node, woken by heads, no polling.
 *
 * `run` returns when its signal aborts; trouble with nodes or with the handler only delays it. A handler or a read that hangs is given up and
 * the range is delivered again, from the cursor that the consumer stored.
 */
export function createEventStream(pool: RpcPool, options: EventStreamOptions, deps: EventStreamDeps): EventStream {
  return {
    async run(handler, signal) {
      const { clock, logger = silentLogger, random = systemRandom } = deps;
      const watchdog = deps.watchdog ?? createWatchdog({ clock, log: logger, random });
      const wake = new Wake(clock);
      const retry = backoff(RETRY, random);
      const unsubscribe = pool.onHead(() => wake.poke());
      try {
        await watchdog.keep({ loop: "events", of: options.address, boundMs: BOUND_MS, signal }, (pulse) =>
          follow({ pool, options, deps, handler, pulse, wake, retry }),
        );
      } finally {
        unsubscribe();
      }
    },
  };
}

interface Run {
  readonly pool: RpcPool;
  readonly options: EventStreamOptions;
  readonly deps: EventStreamDeps;
  readonly handler: Handler;
  readonly pulse: Pulse;
  readonly wake: Wake;
  readonly retry: Backoff;
}

async function follow(run: Run): Promise<void> {
  const { pool, options, deps, pulse, wake, retry } = run;
  const { signal } = pulse;
  let place: Place | undefined;
  while (!signal.aborted) {
    pulse.beat();
    try {
      place ??= new Place(options, await deps.load());
      const more = await advance(run, place);
      retry.reset();
      if (!more && !signal.aborted) await wake.wait(LOOK_MS, signal);
    } catch (error) {
      if (signal.aborted) return;
      const ms = retry.nextMs();
      (deps.logger ?? silentLogger).warn("reading events failed; trying again", { error, ms, head: pool.head().number });
      await deps.clock.sleep(ms, signal).catch(() => undefined);
    }
  }
}

/** One step: a range of blocks read and handed over. False when there is nothing more to read for now. */
async function advance(run: Run, place: Place): Promise<boolean> {
  const { pool, options } = run;
  if (!(await place.isStillTrue(pool))) {
    place.rewind();
    return true;
  }
  const tip = pool.head().number - BigInt(options.lag);
  const from = place.next;
  if (from > tip) return false;
  const to = min(tip, from + BigInt(place.range) - 1n);
  const end = await blockHash(pool, to);
  if (end === undefined) return false;
  const logs = await readLogs(run, place, from, to);
  if (logs === undefined) return true;
  // A reorg while the logs were read would mix two chains.
  if ((await blockHash(pool, to)) !== end) return true;
  const cursor = { blockNumber: to, blockHash: end };
  // A run that was given up meanwhile must not hand over what the next one will.
  const { signal } = run.pulse;
  signal.throwIfAborted();
  if (logs.length > 0 || to - place.delivered >= QUIET_BLOCKS) {
    run.pulse.beat();
    await run.handler({ logs, cursor }, signal);
    signal.throwIfAborted();
    place.delivered = to;
  }
  place.pass(cursor);
  return true;
}

/** Undefined when the node wants a smaller range. */
async function readLogs({ pool, options }: Run, place: Place, from: bigint, to: bigint): Promise<readonly Log[] | undefined> {
  try {
    const raw = await pool.client.request({
      method: "eth_getLogs",
      params: [
        {
          address: options.address,
          topics: options.topics.map((topic) => (typeof topic === "string" || topic === null ? topic : [...topic])),
          fromBlock: numberToHex(from),
          toBlock: numberToHex(to),
        },
      ],
    });
    place.grow();
    return raw.map((log) => formatLog(log)).sort(inOrder);
  } catch (error) {
    const fault = faultOf(error);
    // No answer at all may mean that the range is more than the node can read in time.
    if (fault === undefined || isRangeLimit(fault)) place.shrink(Number(to - from) + 1);
    if (fault === undefined || !isRangeLimit(fault) || to === from) throw error;
    return undefined;
  }
}

async function blockHash(pool: RpcPool, blockNumber: bigint): Promise<Hex | undefined> {
  try {
    return (await pool.client.getBlock({ blockNumber })).hash ?? undefined;
  } catch (error) {
    if (error instanceof BlockNotFoundError) return undefined;
    throw error;
  }
}

/** How far the stream has got, and which blocks it passed, to notice when they are replaced. */
class Place {
  range: number;
  /** Block up to which the handler has been told. */
  delivered: bigint;
  #passed: Cursor[] = [];
  #next: bigint;
  readonly #options: EventStreamOptions;

  constructor(options: EventStreamOptions, cursor: Cursor | undefined) {
    this.#options = options;
    this.range = options.maxRange;
    this.delivered = cursor?.blockNumber ?? options.fromBlock - 1n;
    if (cursor !== undefined) this.#passed = [cursor];
    this.#next = this.delivered + 1n;
  }

  get next(): bigint {
    return this.#next;
  }

  async isStillTrue(pool: RpcPool): Promise<boolean> {
    const last = this.#passed.at(-1);
    return last === undefined || (await blockHash(pool, last.blockNumber)) === last.blockHash;
  }

  pass(cursor: Cursor): void {
    this.#passed = [...this.#passed, cursor].slice(-REMEMBERED);
    this.#next = cursor.blockNumber + 1n;
  }

  /** The newest passed block is gone: go back `reorgDepth` blocks, and to an older passed block, which is checked in turn. */
  rewind(): void {
    const lost = this.#passed.pop();
    if (lost === undefined) return;
    const back = max(this.#options.fromBlock, lost.blockNumber - BigInt(this.#options.reorgDepth) + 1n);
    this.#passed = this.#passed.filter(({ blockNumber }) => blockNumber < back);
    this.#next = min(this.#next, back);
    this.delivered = min(this.delivered, back - 1n);
  }

  grow(): void {
    this.range = Math.min(this.#options.maxRange, Math.ceil(this.range * GROWTH));
  }

  shrink(tried: number): void {
    this.range = Math.max(1, Math.floor(tried / 2));
  }
}

function inOrder(a: Log, b: Log): number {
  const [blockA, blockB] = [a.blockNumber ?? 0n, b.blockNumber ?? 0n];
  if (blockA !== blockB) return blockA < blockB ? -1 : 1;
  return (a.logIndex ?? 0) - (b.logIndex ?? 0);
}

const min = (a: bigint, b: bigint): bigint => (a < b ? a : b);
const max = (a: bigint, b: bigint): bigint => (a > b ? a : b);
