import { CodedError, type Logger } from "@iexec-ts/service";
import type { PublicChainConfig, PublicConfiguration } from "../api.ts";
import { publicChainConfigSchema, publicConfigurationSchema } from "../messages/configuration.ts";
import { infoSchema } from "../messages/status.ts";
import { expectSuccess, type Fetch, HttpClient, parseAnswer } from "./http.ts";

export interface Dialect {
  readonly dialect: "native" | "v9";
  /** The scheduler's version. */
  readonly version: string;
}

/**
 * Which dialect to speak. `auto`: native where GET /v1/info offers it, v9 otherwise; a scheduler that fails is not taken for a v9 one.
 * Errors: WIR-1202 native wanted but not offered, WIR-1001, WIR-1002.
 */
export async function discoverDialect(http: HttpClient, wanted: "auto" | "native" | "v9", signal: AbortSignal): Promise<Dialect> {
  if (wanted !== "v9") {
    const answer = await http.send({ path: "/v1/info", signal });
    if (answer.status >= 500 || answer.status === 429) expectSuccess(answer);
    const info = answer.status === 200 ? infoSchema.safeParse(parseJson(answer.text)) : undefined;
    if (info?.success) return { dialect: "native", version: info.data.version };
    if (wanted === "native") throw new CodedError("WIR-1202", { url: http.urlOf("") });
  }
  const answer = expectSuccess(await http.send({ path: "/version", signal, maxBytes: 4096 }));
  return { dialect: "v9", version: answer.text.trim() };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** @source wire.md 1.2 row 2 */
export const fetchConfiguration = async (http: HttpClient, signal: AbortSignal): Promise<PublicConfiguration> =>
  parseAnswer(publicConfigurationSchema, expectSuccess(await http.send({ path: "/workers/config", signal })));

/**
 * What the pool's configuration server says about the chain; undefined when it does not answer or there is none, since the worker may
 * have its own settings.
 *
 * @source wire.md 1.2 (GET {configServerUrl}/config/chain)
 */
export async function fetchChainConfiguration(
  configuration: PublicConfiguration,
  deps: { readonly fetch: Fetch; readonly logger: Logger | undefined },
  signal: AbortSignal,
): Promise<PublicChainConfig | undefined> {
  const { configServerUrl } = configuration;
  if (!URL.canParse(configServerUrl)) return undefined;
  try {
    const answer = await new HttpClient(configServerUrl, deps.fetch).send({ path: "/config/chain", signal });
    return parseAnswer(publicChainConfigSchema, expectSuccess(answer));
  } catch (thrown) {
    if (signal.aborted) throw thrown;
    deps.logger?.warn("the pool's chain configuration is not available", { error: CodedError.from(thrown) });
    return undefined;
  }
}

/**
 * Exact equality or nothing, as in the Java worker: an empty requirement accepts every version.
 * Errors: WIR-1201.
 *
 * @source wire.md 8
 */
export function checkVersion(required: string, version: string): void {
  if (required !== "" && required !== version) throw new CodedError("WIR-1201", { required, version });
}
