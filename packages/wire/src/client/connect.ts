import type { Clock, Logger, Random, Watchdog } from "@iexec-ts/service";
import { CodedError } from "@iexec-ts/service";
import type { PrivateKeyAccount } from "viem";
import type { SchedulerConnection } from "../api.ts";
import { checkVersion, discoverDialect, fetchChainConfiguration, fetchConfiguration } from "./discovery.ts";
import { type Fetch, HttpClient } from "./http.ts";
import { LiveLink } from "./live-link.ts";
import { Session } from "./session.ts";

export interface ConnectOptions {
  /** Base address of the scheduler, http or https, with or without a path. */
  readonly url: string;
  readonly account: PrivateKeyAccount;
  /** `auto`: native where offered, v9 otherwise. */
  readonly dialect: "auto" | "native" | "v9";
  /** This worker's version; a pool may require an exact one. */
  readonly version: string;
  /** Gives up connecting. */
  readonly signal?: AbortSignal;
}

export interface ConnectDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger?: Logger;
  readonly fetch?: Fetch;
  /** Watches over the pings and the push channel; one of its own unless given. */
  readonly watchdog?: Watchdog;
}

/**
 * Finds out what the scheduler speaks, checks the required version, logs in, and keeps pinging and listening until `close`.
 * One attempt: on a retryable error call again, after a wait.
 *
 * Errors: WIR-1001 no answer, WIR-1002 not now, WIR-1003/1004/1005 not a scheduler, WIR-1101 wallet not allowed, WIR-1201 version,
 * WIR-1202 native dialect not offered; the signal's reason.
 * SIDE EFFECTS: HTTP requests; then, until `close`, a ping every 10 s and one push connection.
 * @source wire.md 1.3, 1.4, 8
 */
export async function connectScheduler(options: ConnectOptions, deps: ConnectDeps): Promise<SchedulerConnection> {
  const { url, account, dialect: wanted, version } = options;
  const fetch = deps.fetch ?? globalThis.fetch;
  const { logger } = deps;
  const closing = new AbortController();
  const giveUp = (): void => closing.abort(options.signal?.reason);
  if (options.signal?.aborted) giveUp();
  options.signal?.addEventListener("abort", giveUp, { once: true });
  const { signal } = closing;
  try {
    signal.throwIfAborted();
    const http = new HttpClient(url, fetch);
    const { dialect, version: schedulerVersion } = await discoverDialect(http, wanted, signal);
    const configuration = await fetchConfiguration(http, signal);
    checkVersion(configuration.requiredWorkerVersion, version);
    const chain = await fetchChainConfiguration(configuration, { fetch, logger }, signal);
    const session = new Session(http, account, signal);
    await session.login(signal);
    logger?.info("logged in to the scheduler", { url, dialect, version: schedulerVersion, wallet: account.address.toLowerCase() });
    return new LiveLink({
      http,
      session,
      dialect,
      version: schedulerVersion,
      configuration,
      chain,
      wallet: account.address,
      closing,
      deps: { ...deps, fetch },
    });
  } catch (thrown) {
    closing.abort(new CodedError("WIR-1006"));
    throw thrown;
  } finally {
    // From here on the link ends by `close` alone.
    options.signal?.removeEventListener("abort", giveUp);
  }
}
