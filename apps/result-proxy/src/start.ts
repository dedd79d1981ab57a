import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Hub } from "@iexec-ts/chain";
import { createKuboIpfs, type IpfsStore, type OutputLimits, openIpfsStore, registerIpfsGateway } from "@iexec-ts/payload";
import {
  type Clock,
  CodedError,
  countErrors,
  createHealth,
  createHttpServer,
  createMetrics,
  type Logger,
  openScope,
  orAborted,
  type Random,
  systemClock,
  systemRandom,
  tellStalls,
  type Watchdog,
} from "@iexec-ts/service";
import type { ResultProxyConfig } from "./config.ts";
import { openResultsStore } from "./results-store.ts";
import { registerRoutes } from "./routes.ts";
import { createTokens } from "./tokens.ts";
import { createUploads } from "./uploads.ts";
import { VERSION } from "./version.ts";

export interface ResultProxyDeps {
  readonly hub: Hub;
  readonly logger: Logger;
  readonly clock?: Clock;
  readonly random?: Random;
  /** The one of the process; what it tells is shown in health and metrics. */
  readonly watchdog?: Watchdog;
  /** @default 60000 */
  readonly uploadIdleMs?: number;
}

export interface ResultProxy {
  /** Of the API; what workers and schedulers are told. */
  readonly url: string;
  /** Of the IPFS gateway; `<gatewayUrl>/ipfs/<cid>`. */
  readonly gatewayUrl: string;
  /** Ends running uploads and both servers. Idempotent. */
  close(): Promise<void>;
}

const UPLOAD_IDLE_MS = 60_000;
/** A reader of the gateway that takes nothing for so long is cut off. */
const GATEWAY_IDLE_MS = 120_000;
/** Each part may take so long to end; all of them fit into the grace of the process. */
const CLOSE_MS = 3_000;
const COMPUTED_JSON_BYTES = 4 * 1_024 * 1_024;

/**
 * Starts a result proxy and its IPFS gateway. Any number of instances may share one database, as long as they also share the data folder
 * or the IPFS node.
 * Errors: PRX-1030 (database), PRX-1018, PAY-1306 (data folder), SVC-1201, SVC-1202 (ports).
 *
 * SIDE EFFECTS: listens on two ports; creates tables and folders.
 */
export async function start(options: { readonly config: ResultProxyConfig; readonly deps: ResultProxyDeps }): Promise<ResultProxy> {
  const { config, deps } = options;
  const clock = deps.clock ?? systemClock;
  const random = deps.random ?? systemRandom;
  const closing: { readonly part: string; readonly end: () => Promise<void> }[] = [];
  const stop = new AbortController();
  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closed ??= (async () => {
      stop.abort(new DOMException("the result proxy stops", "AbortError"));
      for (let next = closing.pop(); next !== undefined; next = closing.pop()) {
        using patience = openScope([], { ms: CLOSE_MS, clock });
        const { part, end } = next;
        await orAborted(end(), patience.signal).catch((error: unknown) =>
          deps.logger.warn("a part did not end in order and is left behind", { part, error: CodedError.from(error) }),
        );
      }
    })();
    return closed;
  };
  try {
    const store = await openResultsStore(config.databaseUrl.reveal());
    closing.push({ part: "database", end: () => store.close() });
    const ipfs = await openIpfs(config);
    closing.push({ part: "results", end: () => ipfs.close() });
    const proposal = Buffer.from(random.bytes(64)).toString("base64");
    const key = config.jwtKey?.reveal() ?? (await store.sharedKey(proposal));
    const tokens = createTokens({ key, lifetimeMs: config.tokenLifetimeMs }, { clock, random });
    const dir = join(config.dataDir, "uploads");
    const uploads = createUploads(
      {
        dir,
        maxArchiveBytes: config.maxArchiveBytes,
        idleMs: deps.uploadIdleMs ?? UPLOAD_IDLE_MS,
        limits: limitsOf(config.maxUnpackedBytes),
      },
      { hub: deps.hub, store, ipfs, random, clock },
    );
    await uploads.sweep().catch((thrown: unknown) => {
      throw new CodedError("PRX-1018", { reason: thrown instanceof Error ? thrown.message : String(thrown) }, { cause: thrown });
    });

    const health = createHealth();
    health.register("database", async () => {
      await store.ping();
      return { status: "UP" };
    });
    const metrics = createMetrics("iexec_result_proxy_");
    const logger = countErrors(deps.logger, metrics);
    if (deps.watchdog !== undefined) {
      const stopTelling = tellStalls(deps.watchdog, { metrics, health });
      closing.push({ part: "watchdog", end: async () => stopTelling() });
    }
    const api = await createHttpServer({
      name: "result-proxy",
      version: VERSION,
      host: config.host,
      port: config.port,
      portSetting: "IEXEC_RESULT_PROXY_PORT or --port",
      requestTimeoutMs: config.uploadTimeoutMs,
      logger,
      metrics,
      health,
    });
    closing.push({ part: "api", end: () => api.close(CLOSE_MS / 2) });
    registerRoutes(api.app, config, {
      hub: deps.hub,
      store,
      tokens,
      uploads,
      clock,
      signal: stop.signal,
      onRefusal: (error) => {
        // Asking whether a result is there yet is what every scheduler does; the answer no is no error.
        if (error.code !== "PRX-1020") metrics.countError(error);
        logger.debug("refused", { code: error.code, error });
      },
    });
    const gateway = await createHttpServer({
      name: "ipfs-gateway",
      version: VERSION,
      host: config.host,
      port: config.gatewayPort,
      portSetting: "IEXEC_IPFS_GATEWAY_PORT or --gateway-port",
      logger: deps.logger,
      metrics: createMetrics("iexec_ipfs_gateway_"),
      health: createHealth(),
    });
    closing.push({ part: "gateway", end: () => gateway.close(CLOSE_MS / 2) });
    gateway.app.server.setTimeout(GATEWAY_IDLE_MS);
    registerIpfsGateway(gateway.app, ipfs);
    const [{ url }, { url: gatewayUrl }] = [await api.listen(), await gateway.listen()];
    return { url, gatewayUrl, close };
  } catch (thrown) {
    await close();
    throw thrown;
  }
}

async function openIpfs(config: ResultProxyConfig): Promise<IpfsStore> {
  if (config.ipfsApiUrl !== undefined) {
    await mkdir(config.dataDir, { recursive: true });
    return createKuboIpfs({ apiUrl: config.ipfsApiUrl });
  }
  return await openIpfsStore({ dir: join(config.dataDir, "blocks") });
}

/** Wider than the worker's own limits: what an honest worker sealed must pass here. */
const limitsOf = (bytes: number): OutputLimits => ({
  entries: 65_535,
  depth: 64,
  pathBytes: 4_096,
  fileBytes: bytes,
  totalBytes: bytes,
  computedJsonBytes: COMPUTED_JSON_BYTES,
  callbackBytes: COMPUTED_JSON_BYTES,
});
