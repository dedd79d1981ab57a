import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { createHub, createRpcPool, type Hub, type RpcPool } from "@iexec-ts/chain";
import { lowerHex, sameHex } from "@iexec-ts/poco";
import {
  acquireLock,
  backoff,
  CodedError,
  countErrors,
  createHealth,
  createHttpServer,
  createMetrics,
  createShutdown,
  createWatchdog,
  type Health,
  openScope,
  orAborted,
  silentLogger,
  systemClock,
  systemRandom,
  tellStalls,
  type Watchdog,
} from "@iexec-ts/service";
import { createPushServer, type PublicChainConfig, type PublicConfiguration, registerSchedulerRoutes } from "@iexec-ts/wire";
import { hexToBytes, keccak256 } from "viem";
import { callbackOf } from "./deals/store-deal.ts";
import { createAssigner } from "./demand/assign.ts";
import { createWaitingRoom } from "./demand/waiting-room.ts";
import { registerEvents } from "./http/events.ts";
import { createLogAccess } from "./http/log-access.ts";
import { registerReadApi } from "./http/read-api.ts";
import { registerV9Api } from "./http/v9-api.ts";
import { registerJoin } from "./join/join.ts";
import { joinKey } from "./join/signing.ts";
import { DEFAULT_JOIN, type SchedulerDeps, type SchedulerOptions } from "./options.ts";
import { createPort } from "./port.ts";
import { createInterrupted } from "./replicates/interrupted.ts";
import { createReports } from "./replicates/reports.ts";
import { resultProxyRepository } from "./replicates/result-repository.ts";
import { createVerifier } from "./replicates/verify.ts";
import { type Database, openDatabase } from "./store/database.ts";
import { EMBEDDED_BOUND_MS, startEmbeddedPostgres } from "./store/embedded.ts";
import { lead } from "./store/leader.ts";
import { migrate } from "./store/migrate.ts";
import { parsePush } from "./store/push.ts";
import { listen } from "./store/signals.ts";
import { smsEnclaveService } from "./tasks/enclave.ts";
import { runTerm, termMetrics } from "./term.ts";
import { VERSION } from "./version.ts";
import { createRegistry } from "./workers/registry.ts";

const CONNECTIONS = 16;
const CLOSE_MS = 20_000;
/** Running requests may end within this; nobody is asked for work any more by then. */
const HTTP_CLOSE_MS = 3_000;
const CHAIN_CLOSE_MS = 2_000;
const NEIGHBOUR_TIMEOUT_MS = 5_000;

export interface Scheduler {
  /** Where it listens. */
  readonly url: string;
  /**
   * Stops in order; running requests end, nothing is lost. Idempotent.
   *
   * @param signal - there is no more time: what hangs is left behind, the rest is stopped at once
   */
  close(signal?: AbortSignal): Promise<void>;
}

/** Errors: SCH-1202 no such workerpool, SCH-1201 somebody else's. */
async function checkOwner(hub: Hub, pool: RpcPool, { account, workerpool }: SchedulerOptions): Promise<void> {
  const record = await hub.workerpool(workerpool);
  if (record === undefined) throw new CodedError("SCH-1202", { workerpool, chainId: pool.chainId });
  if (!sameHex(record.owner, account.address))
    throw new CodedError("SCH-1201", { wallet: account.address, workerpool, owner: record.owner });
}

/** The same 32 bytes in every process that holds the owner's key, and in nobody else's. */
async function sharedKey(what: "login" | "join", { account, workerpool }: SchedulerOptions): Promise<Uint8Array> {
  return hexToBytes(
    keccak256(await account.signMessage({ message: `iexec-ts scheduler: ${what} key of ${lowerHex(workerpool)}, never to be shown` })),
  );
}

const ANY_ADDRESS = ["0.0.0.0", "::"];

/** @source wire.md 1.2: PT5S */
const isoDuration = (ms: number): string => `PT${ms / 1_000}S`;

function watchHealth(health: Health, database: Database, pool: RpcPool): void {
  health.register("database", async () => {
    await database.run("SELECT 1");
    return { status: "UP" };
  });
  health.register("chain", () => {
    const endpoints = pool.endpoints();
    const alive = endpoints.filter((endpoint) => endpoint.health === "alive").length;
    return { status: alive > 0 ? "UP" : "DOWN", details: { alive, endpoints: endpoints.length, block: pool.head().number.toString() } };
  });
}

/**
 * Starts a scheduler. Several on one Postgres make one pool: each serves workers, one of them leads.
 *
 * Errors: SCH-11xx store, SCH-12xx wallet and workerpool, CHN-… chain, SVC-12xx port, SVC-1401 when the data folder is in use.
 * SIDE EFFECTS: everything a scheduler does, until `close`.
 */
export async function start(options: SchedulerOptions, deps: SchedulerDeps = {}): Promise<Scheduler> {
  const clock = deps.clock ?? systemClock;
  const random = deps.random ?? systemRandom;
  const metrics = deps.metrics ?? createMetrics("iexec_scheduler_");
  const logger = countErrors(deps.logger ?? silentLogger, metrics);
  const shutdown = createShutdown({ graceMs: CLOSE_MS, clock });
  const onError = (thrown: unknown): void => {
    logger.error("something failed", { error: CodedError.from(thrown) });
  };

  const watchdog = deps.watchdog ?? createWatchdog({ clock, log: logger, random });

  // A start that is told to stop ends what it has begun, and fails at its next step.
  const stopped = (): void => void shutdown.request("told to stop while starting");
  deps.signal?.addEventListener("abort", stopped, { once: true });
  try {
    const health = createHealth();
    tellStalls(watchdog, { metrics, health });
    const database = await openStore(options, { shutdown, clock, watchdog, onError });
    const pool = await createRpcPool(
      {
        urls: options.rpcUrls,
        expectedHub: options.hubAddress,
        ...(options.chainId === undefined ? {} : { chainId: options.chainId }),
        ...(deps.pollMs === undefined ? {} : { pollMs: deps.pollMs }),
      },
      { clock, logger, random, watchdog },
    );
    shutdown.add("chain", () => within(CHAIN_CLOSE_MS, pool.close(), clock));
    shutdown.signal.throwIfAborted();
    const hub = await createHub(pool, options.hubAddress);
    await checkOwner(hub, pool, options);

    const jitter = (): number => backoff({ baseMs: 500, maxMs: 500 }, random).nextMs();
    const signals = await listen(database, { clock, nextDelay: jitter, watchdog });
    shutdown.add("signals", () => signals.close());

    const results = deps.results ?? resultProxyRepository(options.resultProxyUrl, { timeoutMs: NEIGHBOUR_TIMEOUT_MS });
    const { account, smsUrl } = options;
    const enclaves =
      deps.enclaves ??
      (smsUrl === undefined
        ? undefined
        : smsEnclaveService({ url: smsUrl, account, resultProxyUrl: options.resultProxyUrl, timeoutMs: NEIGHBOUR_TIMEOUT_MS }));
    const registry = createRegistry(database, { clock, onError, watchdog });
    shutdown.add("workers", () => registry.close());
    const assigner = createAssigner({ database, hub, pool, account, smsUrl, redeliverMs: options.redeliverMs });
    const room = createWaitingRoom((wallet, signal) => assigner.assign(wallet, signal), { clock, watchdog, signal: shutdown.signal });
    const reported = metrics.counter({
      name: "reports_total",
      help: "Statuses reported by workers; many refused ones mean a faulty worker.",
      labels: ["kind"],
    });
    metrics.gauge({ name: "waiting_workers", help: "Workers waiting for work; the pool's spare capacity.", read: () => room.waiting });

    watchHealth(health, database, pool);
    const server = await createHttpServer({
      name: "iexec-scheduler",
      version: VERSION,
      host: options.host,
      port: options.port,
      portSetting: "IEXEC_CORE_PORT or --port",
      logger,
      metrics,
      health,
      without: ["/metrics", "/version"],
    });
    const { app } = server;
    let ownUrl = "";
    const publicUrl = (): string => options.publicUrl ?? ownUrl;

    const configuration = (): PublicConfiguration => ({
      workerPoolAddress: lowerHex(options.workerpool),
      schedulerPublicAddress: lowerHex(account.address),
      configServerUrl: publicUrl(),
      resultRepositoryURL: options.resultProxyUrl,
      askForReplicatePeriod: options.askForReplicatePeriodMs,
      requiredWorkerVersion: options.requiredWorkerVersion,
    });
    const chain = (): PublicChainConfig => ({
      chainId: pool.chainId,
      sidechain: options.sidechain,
      chainNodeUrl: options.publicRpcUrl ?? options.rpcUrls[0],
      iexecHubContractAddress: lowerHex(options.hubAddress),
      blockTime: isoDuration(options.blockTimeMs),
    });
    const verifier = createVerifier({ hub, pool, results, callbackOf: (id) => callbackOf(database, id), chainWaitMs: options.chainWaitMs });
    const reports = createReports({ database, pool, verifier });
    const port = createPort({
      version: VERSION,
      configuration,
      chain,
      whitelist: new Set(options.whitelist.map(lowerHex)),
      registry,
      room,
      reports: {
        async report(wallet, report) {
          const answer = await reports.report(wallet, report);
          reported.increment({ kind: answer.kind });
          return answer;
        },
      },
      interrupted: createInterrupted({ database, hub, pool, registry, assigner, smsUrl }),
    });

    app.addHook("onRequest", async (_, reply) => {
      reply.header("access-control-allow-origin", "*");
    });
    app.options("/*", { schema: { hide: true } }, (_, reply) =>
      reply
        .header("access-control-allow-methods", "GET, POST")
        .header("access-control-allow-headers", "authorization, content-type")
        .status(204)
        .send(),
    );
    const loginKey = await sharedKey("login", options);
    const push = createPushServer(app, { clock, random, watchdog });
    registerSchedulerRoutes(app, port, { loginKey, logger, clock, random, v9WaitMs: options.v9WaitMs });
    registerReadApi(app, {
      database,
      hub,
      pool,
      watchdog,
      about: {
        workerpool: lowerHex(options.workerpool),
        owner: lowerHex(account.address),
        hub: lowerHex(options.hubAddress),
        chainId: pool.chainId,
        version: VERSION,
      },
    });
    const access = createLogAccess(loginKey, pool.chainId, clock);
    registerV9Api(app, { database, hub, pool, metrics, access, chainId: pool.chainId, publicUrl });
    const events = registerEvents(app, { signals, clock, watchdog });
    registerJoin(app, {
      options: { ...DEFAULT_JOIN, ...options.join },
      workerpool: lowerHex(options.workerpool),
      chainId: pool.chainId,
      key: joinKey(await sharedKey("join", options)),
      clock,
      // An address that means "any of mine" leads nobody here.
      publicUrl: () => options.publicUrl ?? (ANY_ADDRESS.includes(options.host) ? undefined : ownUrl),
    });

    signals.on("push", (text) => {
      try {
        push.publish(parsePush(text));
      } catch (thrown) {
        onError(thrown);
      }
    });
    signals.on("demand", () => room.wake());
    signals.onGap(() => room.wake());

    shutdown.signal.throwIfAborted();
    const { url } = await server.listen();
    ownUrl = url;
    shutdown.add("http", async () => {
      events.close();
      await push.close();
      await server.close(HTTP_CLOSE_MS);
    });
    const ofTerms = termMetrics(metrics);
    const { decisionBoundMs } = deps;
    const terms = {
      options,
      pool,
      hub,
      signals,
      registry,
      enclaves,
      clock,
      random,
      logger,
      watchdog,
      metrics: ofTerms,
      decisionBoundMs,
      onError,
    };
    const leading = lead(database, (held) => runTerm(terms, held), { signal: shutdown.signal, clock, retryMs: jitter, onError, watchdog });
    shutdown.add("leading", () => leading);
    deps.signal?.throwIfAborted();
    return {
      url,
      async close(signal) {
        signal?.addEventListener("abort", () => void shutdown.request("no more time"), { once: true });
        const { failures } = await shutdown.request("closed");
        const first = failures[0];
        if (first !== undefined)
          throw new CodedError("SCH-1203", { step: first.step, reason: first.error.message }, { cause: first.error });
      },
    };
  } catch (thrown) {
    // A second request would cut short the end that is under way.
    if (deps.signal?.aborted === true) await shutdown.done;
    await shutdown.request("start failed");
    throw thrown;
  } finally {
    deps.signal?.removeEventListener("abort", stopped);
  }
}

async function openStore(
  options: SchedulerOptions,
  deps: {
    readonly shutdown: ReturnType<typeof createShutdown>;
    readonly clock: typeof systemClock;
    readonly watchdog: Watchdog;
    readonly onError: (thrown: unknown) => void;
  },
): Promise<Database> {
  const { shutdown, clock, watchdog, onError } = deps;
  let url: string;
  if ("url" in options.database) url = options.database.url;
  else {
    const { directory } = options.database;
    await mkdir(directory, { recursive: true, mode: 0o711 });
    const lock = acquireLock(join(directory, "scheduler.lock"));
    shutdown.add("data folder", () => lock.release());
    const embedded = await startEmbeddedPostgres(directory, clock);
    // It stops last, and must not be started again meanwhile.
    const stopping = new AbortController();
    const watching = watchdog.keep({ loop: "embedded database", boundMs: EMBEDDED_BOUND_MS, signal: stopping.signal }, (pulse) =>
      embedded.watch(pulse, onError),
    );
    shutdown.add("embedded database", async () => {
      stopping.abort();
      await watching;
      await embedded.stop();
    });
    url = embedded.url;
  }
  const database = await openDatabase(url, { connections: CONNECTIONS, clock });
  shutdown.add("database", () => database.close());
  shutdown.signal.throwIfAborted();
  await migrate(database);
  return database;
}

/** Waits for something to end, but not longer than this. */
async function within(ms: number, ending: Promise<void>, clock: typeof systemClock): Promise<void> {
  using patience = openScope([], { ms, clock });
  await orAborted(ending, patience.signal);
}
