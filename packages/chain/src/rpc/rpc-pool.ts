import type { Address, ChainTime, Hex } from "@iexec-ts/poco";
import {
  type Clock,
  CodedError,
  createWatchdog,
  type Logger,
  openScope,
  type Random,
  silentLogger,
  systemRandom,
  type Watchdog,
} from "@iexec-ts/service";
import { createPublicClient, custom, defineChain, type PublicClient } from "viem";
import type { BroadcastResult, EndpointState, Head, RpcPool } from "../api.ts";
import { broadcastTo } from "./broadcast.ts";
import { Endpoint, type Identity } from "./endpoint.ts";
import { HeadLine } from "./head-line.ts";
import { parseRpcAddress } from "./json-rpc.ts";
import { Listeners } from "./listeners.ts";
import { Monitor } from "./monitor.ts";
import { Pace } from "./pace.ts";
import { createReader } from "./reader.ts";

const DEFAULT_TIMEOUT_MS = 10_000;
const DEFAULT_PATIENCE_MS = 60_000;
/** Whoever waits for a block has the nodes looked at this long after the last one. */
const LOOK_MS = 60_000;

export interface RpcPoolOptions {
  /** In order of preference: http, https, ws or wss; `ws: false` where a node has no subscriptions. */
  readonly urls: readonly (string | { readonly url: string; readonly ws?: string | false })[];
  /** Learned from the first node that answers when not given. */
  readonly chainId?: number;
  /** Nodes that do not hold this PoCo hub are not used. */
  readonly expectedHub?: Address;
  /** Milliseconds between looks at the head; follows the observed block time when not given. */
  readonly pollMs?: number;
  /** For one call to one node. @default 10000 */
  readonly requestTimeoutMs?: number;
  /** A node whose newest block is older than this by our clock is used only when no other is there. No limit when not given. */
  readonly staleAfterMs?: number;
  /** How long to refuse reads when every node has fallen behind the newest block seen. @default 60000 */
  readonly patienceMs?: number;
}

export interface RpcPoolDeps {
  readonly clock: Clock;
  readonly logger?: Logger;
  readonly random?: Random;
  /** Watches over what follows the nodes; one of its own unless given. */
  readonly watchdog?: Watchdog;
}

/**
 * Opens the nodes of one chain. Resolves when one of them has shown a block.
 *
 * Errors: CHN-1003 none answers, CHN-1004 those that answer are of another chain or lack the hub, CHN-1006 unusable address.
 * SIDE EFFECTS: keeps asking the nodes until `close`.
 */
export async function createRpcPool(options: RpcPoolOptions, deps: RpcPoolDeps, signal?: AbortSignal): Promise<RpcPool> {
  const pool = new Pool(options, deps);
  const stop = () => void pool.close();
  signal?.addEventListener("abort", stop, { once: true });
  try {
    await pool.open();
    signal?.throwIfAborted();
    return pool;
  } catch (error) {
    await pool.close();
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener("abort", stop);
  }
}

class Pool implements RpcPool {
  readonly #options: RpcPoolOptions;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #timeoutMs: number;
  readonly #identity: Identity;
  readonly #endpoints: readonly Endpoint[];
  readonly #monitors: readonly Monitor[];
  readonly #line: HeadLine;
  readonly #pace: Pace;
  readonly #heads: Listeners<Head>;
  readonly #changes = new Listeners<void>();
  readonly #stop = new AbortController();
  readonly #lagging = new WeakMap<Endpoint, number>();
  #client: PublicClient | undefined;
  #levelAtMs: number;
  #lastHead: Head | undefined;

  constructor(options: RpcPoolOptions, deps: RpcPoolDeps) {
    this.#options = options;
    this.#clock = deps.clock;
    this.#logger = deps.logger ?? silentLogger;
    this.#timeoutMs = options.requestTimeoutMs ?? DEFAULT_TIMEOUT_MS;
    this.#identity = { chainId: options.chainId, hub: options.expectedHub };
    this.#endpoints = options.urls.map((url) => new Endpoint(parseRpcAddress(url), { timeoutMs: this.#timeoutMs }, deps));
    this.#line = new HeadLine(this.#endpoints);
    this.#pace = new Pace(options.pollMs);
    this.#heads = new Listeners();
    this.#levelAtMs = deps.clock.monotonicMs();
    const monitorDeps = {
      clock: deps.clock,
      random: deps.random ?? systemRandom,
      identity: this.#identity,
      watchdog: deps.watchdog ?? createWatchdog({ clock: deps.clock, log: this.#logger, random: deps.random ?? systemRandom }),
      pace: (endpoint: Endpoint, announced: boolean) => this.#pace.nextMs({ local: endpoint.local, announced }),
      onHead: (endpoint: Endpoint, head: Head) => this.#sawHead(endpoint, head),
      onChange: (endpoint: Endpoint) => this.#changed(endpoint),
    };
    this.#monitors = this.#endpoints.map((endpoint) => new Monitor(endpoint, monitorDeps));
  }

  get chainId(): number {
    const { chainId } = this.#identity;
    if (chainId === undefined) throw new CodedError("CHN-1003", { method: "eth_chainId", reason: "no node has answered yet" });
    return chainId;
  }

  get client(): PublicClient {
    this.#client ??= this.#createClient();
    return this.#client;
  }

  head(): Head {
    const head = this.#lastHead;
    if (head === undefined) throw new CodedError("CHN-1003", { method: "eth_getBlockByNumber", reason: "no node has answered yet" });
    return head;
  }

  onHead(listener: (head: Head) => void): () => void {
    return this.#heads.add(listener);
  }

  waitForBlock(number: bigint, signal?: AbortSignal): Promise<Head> {
    return this.#waitFor((head) => head.number >= number, signal);
  }

  waitForTime(time: ChainTime, signal?: AbortSignal): Promise<Head> {
    return this.#waitFor((head) => head.timestamp >= time, signal);
  }

  async broadcast(raw: Hex): Promise<BroadcastResult> {
    const targets = this.#endpoints.filter(({ health }) => health !== "wrong-chain");
    const result = await broadcastTo(targets, raw, { clock: this.#clock, signal: this.#stop.signal });
    for (const monitor of this.#monitors) if (monitor.endpoint.usable) monitor.poke();
    return result;
  }

  endpoints(): readonly EndpointState[] {
    return this.#endpoints.map((endpoint) => endpoint.state());
  }

  async close(): Promise<void> {
    this.#stop.abort(new CodedError("CHN-1005"));
    await Promise.all(this.#monitors.map((monitor) => monitor.close()));
  }

  /** Starts watching and waits for the first block. */
  async open(): Promise<void> {
    if (this.#identity.chainId === undefined) await this.#learnChainId();
    for (const monitor of this.#monitors) monitor.start();
    const deadline = this.#clock.monotonicMs() + this.#timeoutMs;
    // Bounded: `deadline`.
    while (this.#line.current === undefined) {
      const foreign = this.#endpoints.filter(({ health }) => health === "wrong-chain");
      if (foreign.length === this.#endpoints.length && foreign.length > 0) {
        throw new CodedError("CHN-1004", { expected: this.#options.chainId ?? "(unset)", reason: this.#reasons() });
      }
      if (!(await this.#nextChange(deadline)))
        throw new CodedError("CHN-1003", { method: "eth_getBlockByNumber", reason: this.#reasons() });
    }
  }

  /** The first configured node that answers decides, not the fastest. */
  async #learnChainId(): Promise<void> {
    for (const endpoint of this.#endpoints) {
      // Why it did not answer is in its state; the monitor asks it again.
      await endpoint.whyForeign(this.#identity, this.#stop.signal).catch(() => undefined);
      if (this.#identity.chainId !== undefined) return;
    }
  }

  #createClient(): PublicClient {
    const read = createReader({
      endpoints: this.#endpoints,
      line: this.#line,
      timeoutMs: this.#timeoutMs,
      signal: this.#stop.signal,
      now: () => this.#clock.monotonicMs(),
      nextChange: (deadline) => this.#nextChange(deadline),
      onTrouble: (endpoint) => {
        this.#changed(endpoint);
        this.#monitors.find((monitor) => monitor.endpoint === endpoint)?.poke();
      },
      lookAgain: (endpoint) => this.#monitors.find((monitor) => monitor.endpoint === endpoint)?.poke(),
      reasons: () => this.#reasons(),
    });
    const chain = defineChain({
      id: this.chainId,
      name: `chain ${this.chainId}`,
      nativeCurrency: { name: "native coin", symbol: "NATIVE", decimals: 18 },
      rpcUrls: { default: { http: [] } },
    });
    return createPublicClient({ chain, transport: custom({ request: read }, { retryCount: 0 }), cacheTime: 0 });
  }

  #sawHead(endpoint: Endpoint, head: Head): void {
    const wasUsable = endpoint.usable;
    if (!wasUsable) endpoint.become("alive");
    const news = this.#line.observe(endpoint, head);
    this.#judge(endpoint);
    const nowMs = this.#clock.monotonicMs();
    if (this.#endpoints.some((one) => this.#line.isLevel(one))) this.#levelAtMs = nowMs;
    else if (nowMs - this.#levelAtMs > (this.#options.patienceMs ?? DEFAULT_PATIENCE_MS)) {
      this.#logger.warn("no node has reached the newest block seen; going on with an older one", { floor: this.#line.floor });
      this.#line.lower();
      this.#levelAtMs = nowMs;
    }
    if (news) {
      this.#lastHead = head;
      this.#pace.note(head, nowMs);
      for (const other of this.#endpoints) if (other !== endpoint) this.#demoteIfFar(other);
      this.#heads.emit(head);
    }
    this.#changes.emit();
  }

  /** Health of a node that has just shown its newest block. One block behind is normal for a moment, not for two looks in a row. */
  #judge(endpoint: Endpoint): void {
    const lag = this.#lag(endpoint);
    const times = lag > 0n ? (this.#lagging.get(endpoint) ?? 0) + 1 : 0;
    this.#lagging.set(endpoint, times);
    const { staleAfterMs } = this.#options;
    const ageMs = this.#clock.now().getTime() - Number(endpoint.latest?.timestamp ?? 0n) * 1000;
    if (lag > 1n || times > 1) endpoint.become("out-of-sync", `${lag} blocks behind`);
    else if (staleAfterMs !== undefined && ageMs > staleAfterMs) endpoint.become("out-of-sync", "newest block is too old");
    else endpoint.become("alive");
  }

  #demoteIfFar(endpoint: Endpoint): void {
    const lag = this.#lag(endpoint);
    if (endpoint.usable && lag > 1n) endpoint.become("out-of-sync", `${lag} blocks behind`);
  }

  #lag(endpoint: Endpoint): bigint {
    return this.#line.floor - (endpoint.height ?? 0n);
  }

  #changed(endpoint: Endpoint): void {
    this.#logger.debug("node changed", { ...endpoint.state() });
    this.#changes.emit();
  }

  #reasons(): string {
    return this.#endpoints.map(({ name, health }) => `${name} is ${health}`).join("; ") || "no node is configured";
  }

  async #nextChange(deadlineMs: number): Promise<boolean> {
    this.#stop.signal.throwIfAborted();
    const leftMs = deadlineMs - this.#clock.monotonicMs();
    if (leftMs <= 0) return false;
    return this.#changes.next(leftMs, this.#clock, this.#stop.signal);
  }

  async #waitFor(reached: (head: Head) => boolean, signal: AbortSignal | undefined): Promise<Head> {
    using scope = openScope([signal, this.#stop.signal]);
    // Bounded: the caller's signal ends it; the chain may be slow, but a head that was missed is seen at the next look.
    for (;;) {
      scope.signal.throwIfAborted();
      if (this.#lastHead !== undefined && reached(this.#lastHead)) return this.#lastHead;
      if (await this.#heads.next(LOOK_MS, this.#clock, scope.signal)) continue;
      for (const monitor of this.#monitors) monitor.poke();
    }
  }
}
