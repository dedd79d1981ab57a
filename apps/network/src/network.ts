import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createHub, createRpcPool, type Hub, type RpcPool } from "@iexec-ts/chain";
import { type Address, lowerHex } from "@iexec-ts/poco";
import { resultProxyConfig, start as startResultProxy } from "@iexec-ts/result-proxy";
import { LABELS } from "@iexec-ts/sandbox";
import { DEFAULT_PATIENCE, type JoinOptions, type Patience, type SchedulerOptions, start as startScheduler } from "@iexec-ts/scheduler";
import { CodedError, type Logger, loadConfig, readKeystore, systemClock } from "@iexec-ts/service";
import { type ImageRegistry, type LocalChainOptions, startPostgres, startRegistry } from "@iexec-ts/testkit";
import { serveWorker, startWorker, type WorkerHandle, workerConfig } from "@iexec-ts/worker";
import Docker from "dockerode";
import { bytesToHex, type Hex } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import type { NetworkSettings } from "./config.ts";
import { startDatasetServer } from "./local/dataset-server.ts";
import { buildDemoImage, DEMO_SCENE, type DemoImage } from "./local/demo-image.ts";
import { type Funds, type PreparedChain, prepareChain, ROLE_ACCOUNTS } from "./local/prepare-chain.ts";
import { createWorkerWallets, type WorkerWallet } from "./local/wallets.ts";
import type { Holding } from "./money.ts";
import { preflight } from "./preflight.ts";
import { type RunService, resultProxyApart, schedulerApart } from "./service-programs.ts";

const DOCKER_SOCKET = "/var/run/docker.sock";
const DATASET = "marbles.json";
const WORKER_SLOTS = 1;
const LOST_AFTER_MS = 60_000;
const WORKER_CLOSE_MS = 5_000;
const GAS_CAP = 22_000_000_000n;

export interface NetworkWorker {
  readonly name: string;
  readonly url: string;
  readonly handle: WorkerHandle;
}

export interface Network {
  /** Temporary folder of everything the network keeps on disk. */
  readonly dir: string;
  readonly prepared: PreparedChain;
  readonly pool: RpcPool;
  readonly hub: Hub;
  readonly schedulerUrl: string;
  readonly resultProxyUrl: string;
  readonly gatewayUrl: string;
  readonly workers: readonly NetworkWorker[];
  /** Funded wallets nobody uses yet, each with the environment a worker of its own needs. */
  readonly spares: readonly { readonly address: Address; readonly env: Readonly<Record<string, string>> }[];
  /** Every party that can hold RLC, in nRLC. */
  holdings(): Promise<readonly Holding[]>;
  /** SIDE EFFECTS: stops the scheduler in order and starts a new one with the same database and port. */
  restartScheduler(): Promise<void>;
  /** Stops everything in reverse order and deletes the folder. Idempotent. */
  close(): Promise<void>;
}

export type NetworkOptions = Pick<
  NetworkSettings,
  | "workers"
  | "blockTime"
  | "chainPort"
  | "schedulerPort"
  | "resultProxyPort"
  | "gatewayPort"
  | "workerPort"
  | "registryPort"
  | "databaseUrl"
> & {
  /** Path of the engine's socket, for the image and the workers. */
  readonly dockerSocket?: string;
  /** More environment for the workers, by the names of the guide. */
  readonly workerEnv?: Readonly<Record<string, string>>;
  /** The image the app on chain names; the demo's renderer unless told. */
  readonly image?: (
    options: { readonly docker: Docker; readonly registry: Pick<ImageRegistry, "host"> },
    signal: AbortSignal,
  ) => Promise<DemoImage>;
  /** Wallets funded besides those of the workers this network starts. */
  readonly extraWallets?: number;
  /** Between scheduler and workers on one side and the chain on the other, for faults; the chain's own address unless told. */
  readonly nodeFor?: (who: "scheduler" | "worker" | "result-proxy", rpcUrl: string) => Promise<string>;
  /** What kind of chain: fees, hard fork, block numbers of finality. */
  readonly chain?: Omit<LocalChainOptions, "port" | "blockTime">;
  /** What everybody starts with. */
  readonly funds?: Partial<Funds>;
  /** What the page Join Worker Pool says; the pool is called local unless told. */
  readonly join?: Partial<JoinOptions>;
  /** How workers reach the scheduler, when that is not the address it listens on. */
  readonly publicSchedulerUrl?: string;
  /** Between everybody and the result proxy, for faults; the proxy's own address unless told. */
  readonly resultProxyFor?: (url: string) => Promise<string>;
  /** How the scheduler waits; what suits a public pool unless told. */
  readonly patience?: Partial<Patience>;
  /** Without a ping for this long a worker counts as lost. */
  readonly lostAfterMs?: number;
  /** Runs result proxy and scheduler as programs of their own; in this process unless told. */
  readonly runService?: RunService;
};

/** All ports chosen by the system, instant blocks: for tests. */
export const ANY_PORTS = {
  blockTime: 0,
  chainPort: 0,
  schedulerPort: 0,
  resultProxyPort: 0,
  gatewayPort: 0,
  workerPort: 0,
  registryPort: 0,
  databaseUrl: undefined,
} as const;

/**
 * Starts a whole iExec network on this machine: chain with the real contracts, image registry, dataset server, result proxy with IPFS,
 * scheduler and workers.
 *
 * Errors: NET-20xx when this host cannot run it, and those of each part.
 * SIDE EFFECTS: processes, ports, containers and a temporary folder, all gone after `close`.
 */
export async function startNetwork(
  options: NetworkOptions,
  deps: { readonly log: Logger; readonly progress: (what: string) => void; readonly signal: AbortSignal },
): Promise<Network> {
  const { log, progress, signal } = deps;
  const dockerSocket = options.dockerSocket ?? DOCKER_SOCKET;
  await preflight({ dir: tmpdir(), dockerSocket, ports: portWishes(options) });
  const closers: (() => Promise<unknown> | unknown)[] = [];
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closing ??= (async () => {
      for (let end = closers.pop(); end !== undefined; end = closers.pop()) await end();
    })();
    return closing;
  };
  /** Registers the end of a part that started. */
  const owned = async <T>(part: Promise<T>, end: (part: T) => Promise<unknown> | unknown): Promise<T> => {
    const started = await part;
    closers.push(() => end(started));
    signal.throwIfAborted();
    return started;
  };

  try {
    const dir = await owned(mkdtemp(join(tmpdir(), "iexec-network-")), (path) => rm(path, { recursive: true, force: true, maxRetries: 3 }));
    progress("starting the database, the image registry and the dataset server");
    const postgresOptions = options.databaseUrl === undefined ? {} : { databaseUrl: options.databaseUrl.reveal() };
    const postgres = await owned(startPostgres(postgresOptions, signal), (p) => p.stop());
    const registry = await owned(startRegistry({ port: options.registryPort, dir: join(dir, "registry") }, signal), (r) => r.stop());
    const datasets = await owned(startDatasetServer(new Map([[DATASET, DEMO_SCENE]])), (d) => d.close());
    const scene = datasets.files.get(DATASET);
    if (scene === undefined) throw new CodedError("NET-2005", { reason: "the demo's dataset is not served" });

    progress("building the demo's image");
    const docker = new Docker({ socketPath: dockerSocket });
    const image = await owned((options.image ?? buildDemoImage)({ docker, registry }, signal), (built) =>
      removeImage(docker, built.reference),
    );

    const password = "local-network";
    const wallets = await createWorkerWallets(join(dir, "wallets"), options.workers + (options.extraWallets ?? 0), password);
    closers.push(() => removeContainers(docker, wallets));
    progress("starting the chain and deploying the contracts");
    const prepared = await owned(
      prepareChain(
        {
          chain: { ...options.chain, port: options.chainPort, ...(options.blockTime > 0 ? { blockTime: options.blockTime } : {}) },
          ...(options.funds === undefined ? {} : { funds: options.funds }),
          app: { name: "demo-renderer", image: image.reference, checksum: image.checksum },
          dataset: { name: DATASET, url: scene.url, checksum: scene.sha256 },
          workers: wallets.map(({ wallet }) => wallet.address),
        },
        signal,
      ),
      (p) => p.close(),
    );
    const { chain, roles } = prepared;
    const nodeFor = options.nodeFor ?? (async (_who: string, url: string) => url);
    const pool = await owned(createRpcPool({ urls: [chain.rpcUrl], chainId: chain.chainId }, { clock: systemClock, logger: log }), (p) =>
      p.close(),
    );
    const hub = await createHub(pool, chain.hub);

    progress("starting the result proxy and the scheduler");
    const proxyDatabase = await owned(postgres.createDatabase(), (d) => d.drop());
    const proxyEnv = {
      DATABASE_URL: proxyDatabase.url,
      IEXEC_RESULT_PROXY_HOST: "127.0.0.1",
      IEXEC_RESULT_PROXY_PORT: String(options.resultProxyPort),
      IEXEC_IPFS_GATEWAY_PORT: String(options.gatewayPort),
      IEXEC_RESULT_PROXY_DATA_DIR: join(dir, "result-proxy"),
      IEXEC_BLOCKCHAIN_NODE_ADDRESS: await nodeFor("result-proxy", chain.rpcUrl),
      IEXEC_HUB_ADDRESS: chain.hub,
    };
    const { runService } = options;
    const runProxy = () =>
      runService === undefined
        ? startResultProxy({
            config: loadConfig(resultProxyConfig, { argv: [], env: proxyEnv }).values,
            deps: { hub, logger: log.child({ service: "result-proxy" }) },
          })
        : resultProxyApart(runService, proxyEnv, { api: options.resultProxyPort, gateway: options.gatewayPort });
    const proxy = await owned(runProxy(), (p) => p.close());
    const resultProxyUrl = options.resultProxyFor === undefined ? proxy.url : await options.resultProxyFor(proxy.url);
    const schedulerDatabase = await owned(postgres.createDatabase(), (d) => d.drop());
    const schedulerNodes = { own: await nodeFor("scheduler", chain.rpcUrl), workers: await nodeFor("worker", chain.rpcUrl) };
    const schedulerKey = schedulerKeyOf(prepared);
    const schedulerOptions = (port: number): SchedulerOptions => ({
      account: privateKeyToAccount(schedulerKey),
      workerpool: prepared.workerpool.address,
      hubAddress: chain.hub,
      rpcUrls: [schedulerNodes.own],
      publicRpcUrl: schedulerNodes.workers,
      chainId: chain.chainId,
      startBlock: 0n,
      database: { url: schedulerDatabase.url },
      host: "127.0.0.1",
      port,
      ...(options.publicSchedulerUrl === undefined ? {} : { publicUrl: options.publicSchedulerUrl }),
      resultProxyUrl,
      sidechain: false,
      blockTimeMs: Math.max(options.blockTime, 1) * 1_000,
      whitelist: [],
      requiredWorkerVersion: "",
      askForReplicatePeriodMs: 1_000,
      v9WaitMs: 20_000,
      lostAfterMs: options.lostAfterMs ?? LOST_AFTER_MS,
      redeliverMs: 10_000,
      chainWaitMs: 20_000,
      patience: { ...DEFAULT_PATIENCE, ...options.patience },
      gas: { multiplier: 1, cap: GAS_CAP, gasless: false },
      confirmations: 1,
      reorgDepth: 32,
      maxLogRange: 10_000,
      join: { poolName: "local", ...options.join },
    });
    const runScheduler = (port: number) =>
      runService === undefined
        ? startScheduler(schedulerOptions(port), { logger: log.child({ service: "scheduler" }) })
        : schedulerApart(runService, schedulerOptions(port), { dir, privateKey: schedulerKey, password });
    let scheduler = await runScheduler(options.schedulerPort);
    closers.push(() => scheduler.close());
    signal.throwIfAborted();

    const workerEnv = (name: string, keystorePath: string, port: number): Record<string, string> => ({
      IEXEC_WORKER_NAME: name,
      IEXEC_CORE_URL: scheduler.url,
      POOL_ADDRESS: prepared.workerpool.address,
      IEXEC_WORKER_WALLET_PATH: keystorePath,
      IEXEC_WORKER_WALLET_PASSWORD: password,
      IEXEC_WORKER_BASE_DIR: join(dir, "tasks"),
      IEXEC_WORKER_STATE_DIR: join(dir, "state", name),
      IEXEC_WORKER_PORT: String(port),
      IEXEC_WORKER_OVERRIDE_AVAILABLE_CPU_COUNT: String(WORKER_SLOTS),
      IEXEC_WORKER_TASK_MEMORY_MIB: "512",
      IEXEC_WORKER_TASK_NETWORK: "none",
      IEXEC_WORKER_DOCKER_SOCKET: dockerSocket,
      // The dataset server of this network is on loopback.
      IEXEC_WORKER_ALLOW_PRIVATE_DOWNLOADS: "127.0.0.1",
      ...options.workerEnv,
    });
    progress(`starting ${options.workers} workers`);
    const workers = await Promise.all(
      wallets.slice(0, options.workers).map(async ({ keystorePath }, index) => {
        const name = `worker-${index + 1}`;
        const port = options.workerPort === 0 ? 0 : options.workerPort + index + 1;
        const { values: settings } = loadConfig(workerConfig, { argv: [], env: workerEnv(name, keystorePath, port) });
        const wallet = await readKeystore(settings.walletPath, settings.walletPassword.reveal());
        const workerLog = log.child({ service: name });
        const handle = await owned(
          startWorker({ settings, account: privateKeyToAccount(wallet.privateKey.reveal()) }, { log: workerLog, signal }),
          // A part of it that hangs holds nobody else's end; its containers are removed all the same.
          (w) =>
            w
              .close(AbortSignal.timeout(WORKER_CLOSE_MS))
              .catch((left: unknown) => workerLog.error("it did not end in time", { error: CodedError.from(left) })),
        );
        const page = await owned(serveWorker(handle, settings, workerLog), (p) => p.close());
        return { name, url: page.url, handle };
      }),
    );

    const parties: readonly (readonly [string, Address])[] = [
      ["requester", roles.requester.address],
      ["scheduler", roles.scheduler.address],
      ["app developer", roles.appDeveloper.address],
      ["data provider", roles.dataProvider.address],
      ...workers.map(({ name, handle }) => [name, handle.address] as const),
    ];
    return {
      dir,
      prepared,
      pool,
      hub,
      schedulerUrl: scheduler.url,
      resultProxyUrl,
      gatewayUrl: proxy.gatewayUrl,
      workers,
      spares: wallets.slice(options.workers).map(({ wallet, keystorePath }, n) => ({
        address: lowerHex(wallet.address),
        env: workerEnv(`worker-${options.workers + n + 1}`, keystorePath, 0),
      })),
      holdings: () =>
        Promise.all(
          parties.map(async ([who, address]) => {
            const [account, token] = await Promise.all([hub.account(lowerHex(address)), hub.rlcBalance(lowerHex(address))]);
            return { who, address: lowerHex(address), stake: account.stake, locked: account.locked, token };
          }),
        ),
      async restartScheduler() {
        const { port } = new URL(scheduler.url);
        await scheduler.close();
        scheduler = await runScheduler(Number(port));
      },
      close,
    };
  } catch (thrown) {
    await close();
    throw thrown;
  }
}

const portWishes = (o: NetworkOptions) => [
  { port: o.chainPort, name: "chain", flag: "--chain-port" },
  { port: o.schedulerPort, name: "scheduler", flag: "--scheduler-port" },
  { port: o.resultProxyPort, name: "result proxy", flag: "--result-proxy-port" },
  { port: o.gatewayPort, name: "IPFS gateway", flag: "--gateway-port" },
  { port: o.registryPort, name: "image registry", flag: "--registry-port" },
  ...Array.from({ length: o.workers }, (_, n) => ({
    port: o.workerPort === 0 ? 0 : o.workerPort + n + 1,
    name: `worker ${n + 1}`,
    flag: "--worker-port",
  })),
];

/** The scheduler signs with a plain key; the test mnemonic's account carries it. */
function schedulerKeyOf({ chain }: PreparedChain): Hex {
  const { privateKey } = chain.account(ROLE_ACCOUNTS.scheduler).getHdKey();
  if (privateKey === null) throw new CodedError("NET-2005", { reason: "the scheduler's account has no private key" });
  return bytesToHex(privateKey);
}

/** A worker that stops leaves its containers for its next run; here there is none. */
async function removeContainers(docker: Docker, workers: readonly WorkerWallet[]): Promise<void> {
  for (const { wallet } of workers) {
    const filters = { label: [`${LABELS.worker}=${lowerHex(wallet.address)}`] };
    for (const { Id } of await docker.listContainers({ all: true, filters }))
      await gone(docker.getContainer(Id).remove({ force: true, v: true }));
    for (const { Id } of await docker.listNetworks({ filters })) await gone(docker.getNetwork(Id).remove());
  }
}

const removeImage = (docker: Docker, reference: string): Promise<void> => gone(docker.getImage(reference).remove({ force: true }));

/** What is already gone, or is going, was removed. */
async function gone(removal: Promise<unknown>): Promise<void> {
  await removal.catch((thrown: unknown) => {
    if (!(thrown instanceof Error && "statusCode" in thrown && (thrown.statusCode === 404 || thrown.statusCode === 409))) throw thrown;
  });
}
