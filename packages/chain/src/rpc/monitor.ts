import { type Backoff, backoff, type Clock, CodedError, type Random } from "@iexec-ts/service";
import type { Head } from "../api.ts";
import type { Endpoint, Identity } from "./endpoint.ts";
import { Wake } from "./wake.ts";
import { followHeads, type HeadFeed } from "./ws-heads.ts";

const FOREIGN_RECHECK_MS = 30_000;
const RETRY = { baseMs: 200, maxMs: 10_000 };
const WS_RETRY = { baseMs: 1_000, maxMs: 120_000 };

export interface MonitorDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly identity: Identity;
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
  #feed: (HeadFeed & { readonly done: Promise<void> }) | undefined;
  #done: Promise<void> = Promise.resolve();

  constructor(endpoint: Endpoint, deps: MonitorDeps) {
    this.endpoint = endpoint;
    this.#deps = deps;
    this.#wake = new Wake(deps.clock);
    this.#retry = backoff(RETRY, deps.random);
  }

  start(): void {
    this.#done = this.#watch(this.#stop.signal);
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

  async #watch(signal: AbortSignal): Promise<void> {
    let known = false;
    while (!signal.aborted) {
      try {
        if (this.endpoint.health === "unreachable") known = false;
        if (!known) known = await this.#dial(signal);
        if (!known) {
          await this.#wake.wait(FOREIGN_RECHECK_MS);
          continue;
        }
        this.#deps.onHead(this.endpoint, await this.endpoint.readHead(signal));
        this.#retry.reset();
        await this.#wake.wait(this.#deps.pace(this.endpoint, this.#feed?.live === true));
      } catch (error) {
        if (signal.aborted) return;
        known = false;
        this.endpoint.become("unreachable", error instanceof Error ? error.message : String(error));
        this.#deps.onChange(this.endpoint);
        await this.#wake.wait(this.#retry.nextMs());
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
        { clock: this.#deps.clock, backoff: backoff(WS_RETRY, this.#deps.random), wake: () => this.poke() },
        signal,
      );
    }
    return true;
  }
}
