import { type Backoff, backoff, type Clock, CodedError, type Pulse, type Random, type Watchdog } from "@iexec-ts/service";
import type { Head } from "../api.ts";
import type { Endpoint, Identity } from "./endpoint.ts";
import { Wake } from "./wake.ts";
import { followHeads, type HeadFeed } from "./ws-heads.ts";

/** Two questions of who it is, one for its newest block, and the longest wait between two looks all fit. */
const BOUND_MS = 120_000;
const FOREIGN_RECHECK_MS = 30_000;
const RETRY = { baseMs: 200, maxMs: 10_000 };
const WS_RETRY = { baseMs: 1_000, maxMs: 120_000 };

export interface MonitorDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly identity: Identity;
  readonly watchdog: Watchdog;
  /** Milliseconds until the next look. */
  readonly pace: (endpoint: Endpoint, announced: boolean) => number;
  readonly onHead: (endpoint: Endpoint, head: Head) => void;
  /** Its health changed. */
  readonly onChange: (endpoint: Endpoint) => void;
}

/** Watches one node: who it is, its newest block, whether it answers. */
export class Monitor {
  readonly endpoint: Endpoint;
  readonly #deps: MonitorDeps;
  readonly #wake: Wake;
  readonly #retry: Backoff;
  readonly #stop = new AbortController();
  #feed: HeadFeed | undefined;
  #done: Promise<void> = Promise.resolve();

  constructor(endpoint: Endpoint, deps: MonitorDeps) {
    this.endpoint = endpoint;
    this.#deps = deps;
    this.#wake = new Wake(deps.clock);
    this.#retry = backoff(RETRY, deps.random);
  }

  start(): void {
    const options = { loop: "node", of: this.endpoint.name, boundMs: BOUND_MS, signal: this.#stop.signal };
    this.#done = this.#deps.watchdog.keep(options, (pulse) => this.#watch(pulse));
  }

  /** Look now. */
  poke(): void {
    this.#wake.poke();
  }

  async close(): Promise<void> {
    this.#stop.abort(new CodedError("CHN-1005"));
    this.#wake.close();
    await this.#done;
    await this.#feed?.done;
  }

  async #watch(pulse: Pulse): Promise<void> {
    const { signal } = pulse;
    let known = false;
    while (!signal.aborted) {
      pulse.beat();
      try {
        if (this.endpoint.health === "unreachable") known = false;
        if (!known) known = await this.#dial(signal);
        if (!known) {
          await this.#wake.wait(FOREIGN_RECHECK_MS, signal);
          continue;
        }
        const before = this.endpoint.latest?.number;
        const head = await this.endpoint.readHead(signal);
        if (signal.aborted) return;
        if (before !== undefined && head.number > before) this.#feed?.saw();
        this.#deps.onHead(this.endpoint, head);
        this.#retry.reset();
        const ms = this.#deps.pace(this.endpoint, this.#feed?.live === true);
        pulse.beat(ms + BOUND_MS);
        await this.#wake.wait(ms, signal);
      } catch (error) {
        if (signal.aborted) return;
        known = false;
        this.endpoint.become("unreachable", error instanceof Error ? error.message : String(error));
        this.#deps.onChange(this.endpoint);
        await this.#wake.wait(this.#retry.nextMs(), signal);
      }
    }
  }

  async #dial(signal: AbortSignal): Promise<boolean> {
    const reason = await this.endpoint.whyForeign(this.#deps.identity, signal);
    if (reason !== undefined) {
      this.endpoint.become("wrong-chain", reason);
      this.#deps.onChange(this.endpoint);
      return false;
    }
    const { ws, headers } = this.endpoint.address;
    if (ws !== undefined) {
      this.#feed ??= followHeads(
        { url: ws, headers },
        {
          clock: this.#deps.clock,
          backoff: backoff(WS_RETRY, this.#deps.random),
          watchdog: this.#deps.watchdog,
          of: this.endpoint.name,
          wake: () => this.poke(),
        },
        this.#stop.signal,
      );
    }
    return true;
  }
}
