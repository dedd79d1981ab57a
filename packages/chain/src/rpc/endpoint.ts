import type { Address } from "@iexec-ts/poco";
import { type Clock, CodedError } from "@iexec-ts/service";
import { domainSeparator } from "viem";
import type { EndpointHealth, EndpointState, Head } from "../api.ts";
import type { Follower } from "./head-line.ts";
import { bytesSchema, headSchema, quantitySchema } from "./head-schema.ts";
import { callNode, type RpcAddress } from "./json-rpc.ts";
import { faultOf } from "./rpc-fault.ts";

/** eip712domain_separator() */
const DOMAIN_SEPARATOR_SELECTOR = "0x9910fd72";
const SMOOTHING = 0.2;

/** What every node must show before it is believed. */
export interface Identity {
  /** Unset until the first node has told, when the settings do not say. */
  chainId: number | undefined;
  readonly hub: Address | undefined;
}

/** One node: its address, its health, and the calls to it. */
export class Endpoint implements Follower {
  readonly name: string;
  readonly address: RpcAddress;
  height: bigint | undefined;
  hash: Follower["hash"];
  /** Newest block it showed. */
  latest: Head | undefined;
  #health: EndpointHealth = "undialed";
  #since: Date;
  #latencyMs: number | undefined;
  #lastError: string | undefined;
  readonly #clock: Clock;
  readonly #timeoutMs: number;

  constructor(address: RpcAddress, options: { readonly timeoutMs: number }, deps: { readonly clock: Clock }) {
    this.address = address;
    this.name = address.shown;
    this.#clock = deps.clock;
    this.#timeoutMs = options.timeoutMs;
    this.#since = deps.clock.now();
  }

  /** On this machine: asking often costs nothing. */
  get local(): boolean {
    return ["localhost", "127.0.0.1", "[::1]"].includes(new URL(this.address.http).hostname);
  }

  get health(): EndpointHealth {
    return this.#health;
  }

  get usable(): boolean {
    return this.#health === "alive" || this.#health === "out-of-sync";
  }

  state(): EndpointState {
    return {
      url: this.address.shown,
      health: this.#health,
      height: this.height,
      latencyMs: this.#latencyMs,
      lastError: this.#lastError,
      since: this.#since,
    };
  }

  become(health: EndpointHealth, error?: string): void {
    if (error !== undefined) this.#lastError = error;
    else if (health === "alive") this.#lastError = undefined;
    if (health === this.#health) return;
    this.#health = health;
    this.#since = this.#clock.now();
  }

  /**
   * One call. A node that does not answer becomes unreachable; one that answers with an error stays as it is.
   *
   * Errors: CHN-1001, CHN-1002, NodeFault.
   */
  async call(method: string, params: unknown, signal?: AbortSignal): Promise<unknown> {
    const started = this.#clock.monotonicMs();
    try {
      return await callNode(this.address, method, params, { timeoutMs: this.#timeoutMs, ...(signal === undefined ? {} : { signal }) });
    } catch (error) {
      if (error instanceof CodedError && this.#health !== "wrong-chain") this.become("unreachable", error.message);
      throw error;
    } finally {
      const took = this.#clock.monotonicMs() - started;
      this.#latencyMs = Math.round((this.#latencyMs ?? took) * (1 - SMOOTHING) + took * SMOOTHING);
    }
  }

  /** Its newest block. */
  async readHead(signal: AbortSignal): Promise<Head> {
    const parsed = headSchema.safeParse(await this.call("eth_getBlockByNumber", ["latest", false], signal));
    if (!parsed.success) throw this.#unreadable("eth_getBlockByNumber", parsed.error);
    this.latest = parsed.data;
    return parsed.data;
  }

  /** Whether it is a node of our chain that holds our contracts; says why not. */
  async whyForeign(identity: Identity, signal: AbortSignal): Promise<string | undefined> {
    const parsed = quantitySchema.safeParse(await this.call("eth_chainId", [], signal));
    if (!parsed.success) throw this.#unreadable("eth_chainId", parsed.error);
    const chainId = Number(parsed.data);
    if (identity.chainId !== undefined && chainId !== identity.chainId) return `chain ${chainId}, expected ${identity.chainId}`;
    if (identity.hub !== undefined) {
      const reason = await this.#whyNoHub(identity.hub, chainId, signal);
      if (reason !== undefined) return reason;
    }
    identity.chainId = chainId;
    return undefined;
  }

  async #whyNoHub(hub: Address, chainId: number, signal: AbortSignal): Promise<string | undefined> {
    try {
      const answer = await this.call("eth_call", [{ to: hub, data: DOMAIN_SEPARATOR_SELECTOR }, "latest"], signal);
      const found = bytesSchema.safeParse(answer);
      if (!found.success || found.data === "0x") return `no contract at hub address ${hub}`;
      return found.data === hubDomainSeparator(hub, chainId) ? undefined : `the contract at ${hub} has another signing domain`;
    } catch (error) {
      if (faultOf(error) === undefined) throw error;
      return `the contract at ${hub} is not a PoCo hub`;
    }
  }

  #unreadable(method: string, cause: unknown): CodedError {
    const error = new CodedError("CHN-1002", { url: this.name, method, reason: "unexpected shape" }, { cause });
    this.become("unreachable", error.message);
    return error;
  }
}

/** @source IexecLibOrders_v5.EIP712DOMAIN_SEPARATOR: name iExecODB, version 5.0.0 */
export function hubDomainSeparator(hub: Address, chainId: number): string {
  return domainSeparator({ domain: { name: "iExecODB", version: "5.0.0", chainId, verifyingContract: hub } });
}
