import type { PublicChainConfig, PublicConfiguration } from "../api.ts";
import { type Dialect, discoverDialect, fetchChainConfiguration, fetchConfiguration } from "./discovery.ts";
import { type Fetch, HttpClient } from "./http.ts";

/** What a scheduler tells anybody who asks. */
export interface SchedulerProbe extends Dialect {
  readonly configuration: PublicConfiguration;
  /** Undefined when the pool's configuration server does not answer. */
  readonly chain: PublicChainConfig | undefined;
}

/**
 * Reads what a scheduler publishes, without logging in; the required version is reported, not checked.
 *
 * Errors: WIR-1001 to WIR-1005, WIR-1202; the signal's reason.
 */
export async function probeScheduler(
  options: { readonly url: string; readonly dialect: "auto" | "native" | "v9" },
  deps: { readonly fetch: Fetch },
  signal: AbortSignal,
): Promise<SchedulerProbe> {
  const http = new HttpClient(options.url, deps.fetch);
  const dialect = await discoverDialect(http, options.dialect, signal);
  const configuration = await fetchConfiguration(http, signal);
  const chain = await fetchChainConfiguration(configuration, { fetch: deps.fetch, logger: undefined }, signal);
  return { ...dialect, configuration, chain };
}
