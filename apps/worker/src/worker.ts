import { mkdir } from "node:fs/promises";
import { arch, availableParallelism, totalmem, type } from "node:os";
import { join } from "node:path";
import { createHub, createRpcPool, createTxQueue, type Hub, type RpcPool, sqliteOutbox, type TxQueue } from "@iexec-ts/chain";
import type { Address } from "@iexec-ts/poco";
import { createDockerSandbox, LABELS } from "@iexec-ts/sandbox";
import {
  acquireLock,
  backoff,
  type Clock,
  CodedError,
  hasCode,
  type Lock,
  type Logger,
  type Random,
  systemClock,
  systemRandom,
} from "@iexec-ts/service";
import { connectScheduler, type SchedulerLink, type TaskNotification } from "@iexec-ts/wire";
import type { PrivateKeyAccount } from "viem";
import { schedulerUrl, type WorkerSettings } from "./config.ts";
import { checkHost, freeMib } from "./host-check.ts";
import { ReplicateEngine } from "./replicate/engine.ts";
import { Journal } from "./replicate/journal.ts";
import type { Checkpoint, Ports, TaskPolicy } from "./replicate/ports.ts";
import { recover } from "./replicate/recover.ts";
import type { Replicate, StatusChange } from "./replicate/replicate.ts";
import { demandLoop } from "./session/demand.ts";
import { takeIn } from "./session/intake.ts";
import { Reporter } from "./session/reporter.ts";
import { createResultProxyClient } from "./session/result-proxy-client.ts";
import { taskPolicy } from "./task-policy.ts";
import { VERSION } from "./version.ts";

export interface WorkerOptions {
  readonly settings: WorkerSettings;
  readonly account: PrivateKeyAccount;
}

export interface WorkerDeps {
  readonly log: Logger;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly checkpoint?: Checkpoint;
}

export interface WorkerHandle {
  readonly address: Address;
  readonly journal: Journal;
  readonly link: SchedulerLink;
  readonly pool: RpcPool;
  readonly hub: Hub;
  readonly queue: TxQueue;
  onStatus(listener: (change: StatusChange, replicate: Replicate) => void): () => void;
  /** Resolves with the reason when the worker stopped by itself to protect the stake. */
  readonly halted: Promise<CodedError>;
  /** Stops asking at once, lets what can finish within the grace period finish, and leaves the rest resumable. */
  close(signal?: AbortSignal): Promise<void>;
}

/**
 * Starts a worker: joins its workerpool, goes on with what an earlier run left, then asks for tasks.
 *
 * SIDE EFFECTS: locks the wallet, opens the journal, connects to the scheduler, the chain and the Docker Engine.
 * Errors: WRK-10xx (host, lock, pool), SBX-1001 (Docker), CHN-… (nodes), WIR-… (scheduler).
 */
export async function startWorker({ settings, account }: WorkerOptions, deps: WorkerDeps): Promise<WorkerHandle> {
  const { log, clock = systemClock, random = systemRandom, checkpoint = () => undefined } = deps;
  const closers: (() => Promise<void> | void)[] = [];
  const undo = async () => {
    for (const close of closers.reverse()) await close();
  };
  try {
    const worker = lower(account.address);
    checkHost();
    await writable(settings.stateDir, "IEXEC_WORKER_STATE_DIR");
    const tasksDir = join(settings.baseDir, settings.name);
    await writable(tasksDir, "IEXEC_WORKER_BASE_DIR");
    const lock = lockWallet(join(settings.stateDir, `${worker}.lock`), worker);
    closers.push(() => lock.release());
    const journal = new Journal(join(settings.stateDir, `${worker}.sqlite`), worker, () => clock.now());
    closers.push(() => journal.shut());

    const sandbox = createDockerSandbox(
      { socketPath: settings.dockerSocket, runtime: settings.runtime, registryCredentials: credentials(settings) },
      { clock, logger: log },
    );
    closers.push(() => sandbox.close());
    const engineReport = await sandbox.inspectEngine();
    for (const ignored of engineReport.ignoredLimits) log.warn("the engine ignores a limit", { limit: ignored });

    const slots = settings.gpu ? 1 : (settings.cpus ?? Math.max(availableParallelism() - 1, 1));
    const link = await connectScheduler(
      { url: schedulerUrl(settings), account, dialect: settings.dialect, version: settings.announceVersion ?? VERSION },
      { clock, random, logger: log },
    );
    closers.push(() => link.close());
    const poolAddress = trustedPool(settings, link);

    const nodes = settings.nodes ?? (link.chain === undefined ? [] : [link.chain.chainNodeUrl]);
    if (nodes.length === 0 || link.chain === undefined) throw new CodedError("WRK-1007");
    const pool = await createRpcPool({ urls: nodes, chainId: link.chain.chainId }, { clock, logger: log });
    closers.push(() => pool.close());
    const hub = await createHub(pool, link.chain.iexecHubContractAddress);
    const workerpool = await hub.workerpool(poolAddress);
    if (workerpool === undefined) throw new CodedError("WRK-1005", { workerpool: poolAddress, chainId: pool.chainId });
    const queue = await createTxQueue(
      {
        pool,
        account,
        store: sqliteOutbox(journal.db),
        gas: { multiplier: settings.gasPriceMultiplier, cap: settings.gasPriceCap },
        confirmations: settings.confirmations,
      },
      { clock, logger: log, checkpoint },
    );
    closers.push(() => queue.close());
    const results = createResultProxyClient({
      account,
      defaultUrl: link.configuration.resultRepositoryURL.replace(/\/+$/, ""),
      timeoutMs: 60_000,
    });
    closers.push(() => results.close());

    const policy: TaskPolicy = taskPolicy(settings, slots);
    const newBackoff = () => backoff({ baseMs: 250, maxMs: 30_000 }, random);
    const ports: Ports = {
      name: settings.name,
      worker,
      tasksDir,
      journal,
      pool,
      hub,
      queue,
      sandbox,
      results,
      policy,
      clock,
      log,
      checkpoint,
    };

    const stopAsking = new AbortController();
    const { promise: halted, resolve: halt } = Promise.withResolvers<CodedError>();
    const engine = new ReplicateEngine(
      ports,
      {
        onClosed: (replicate) => link.unsubscribe(replicate.taskId),
        onAlarm: (error) => {
          log.error("stopped to protect the stake", { error });
          stopAsking.abort(error);
          halt(error);
        },
      },
      newBackoff,
    );
    closers.push(() => engine.close());

    const onNotification = (notification: TaskNotification) => engine.notify(notification);
    const unhook = link.onNotification(onNotification);
    closers.push(unhook);
    const reporter = new Reporter(
      link,
      (taskId, action) => {
        if (action === "PLEASE_UPLOAD" || action === "PLEASE_ABORT") {
          onNotification({
            taskId,
            action,
            workers: [],
            blockNumber: undefined,
            abortCause: undefined,
            smsUrl: undefined,
            authorization: undefined,
          });
        } else engine.wake(taskId);
      },
      { journal, backoff: newBackoff, clock, log },
    );
    closers.push(() => reporter.close(AbortSignal.timeout(2_000)));

    const take = async (assignment: Parameters<typeof takeIn>[0]) => {
      const replicate = await takeIn(assignment, { hub, journal, worker });
      log.info("task taken", { taskId: replicate.taskId });
      link.subscribe(replicate.taskId);
      engine.drive(replicate.taskId);
    };
    const catchUp = async () => {
      for (const missed of await link.interrupted({ blockNumber: pool.head().number })) {
        if (journal.find(missed.taskId) === undefined && missed.authorization !== undefined) {
          await take({ authorization: missed.authorization, smsUrl: missed.smsUrl });
        }
        engine.notify(missed);
      }
    };

    await link.register({
      name: settings.name,
      walletAddress: worker,
      os: type(),
      cpu: arch(),
      cpuNb: slots,
      memorySize: Math.floor(totalmem() / 2 ** 30),
      gpuEnabled: settings.gpu,
      teeEnabled: false,
      tdxEnabled: false,
    });
    log.info("Cool, your iexec-worker is all set!", { wallet: worker, workerpool: poolAddress, scheduler: schedulerUrl(settings), slots });

    for (const replicate of recover(ports)) {
      link.subscribe(replicate.taskId);
      engine.drive(replicate.taskId);
    }
    await sandbox.reap({ [LABELS.worker]: worker }, new Set(journal.unfinished().map((r) => `${settings.name}-${r.taskId}`)));
    const catchUpSafely = () =>
      catchUp().catch((thrown: unknown) => log.warn("could not ask what was missed", { error: CodedError.from(thrown) }));
    closers.push(link.onCatchUp(() => void catchUpSafely()));
    await catchUpSafely();

    const refusal = async (): Promise<CodedError | undefined> => {
      const free = await freeMib(tasksDir);
      return free < settings.minFreeMib
        ? new CodedError("WRK-1003", { free, path: tasksDir, needed: settings.minFreeMib, setting: "IEXEC_WORKER_BASE_DIR" })
        : undefined;
    };
    const asking = demandLoop({ link, pool, journal, slots, refusal, take, backoff: newBackoff, clock, log }, stopAsking.signal);
    closers.push(async () => {
      stopAsking.abort(new CodedError("WRK-1313"));
      await asking;
    });

    return {
      address: worker,
      journal,
      link,
      pool,
      hub,
      queue,
      halted,
      onStatus: (listener) => journal.onChange(listener),
      close: undo,
    };
  } catch (thrown) {
    await undo();
    throw thrown;
  }
}

/** Errors: WRK-1001. */
function lockWallet(path: string, wallet: Address): Lock {
  try {
    return acquireLock(path);
  } catch (thrown) {
    if (!hasCode(thrown, "SVC-1401")) throw thrown;
    throw new CodedError("WRK-1001", { wallet, holder: String(CodedError.from(thrown).args.holder) }, { cause: thrown });
  }
}

const lower = (address: Address): Address => `0x${address.slice(2).toLowerCase()}`;

async function writable(path: string, setting: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true, mode: 0o755 });
  } catch (thrown) {
    throw new CodedError(
      "WRK-1006",
      { path, setting, reason: thrown instanceof Error ? thrown.message : String(thrown) },
      { cause: thrown },
    );
  }
}

/** The pool whose owner may sign for us: the operator's own word, else the scheduler's. */
function trustedPool(settings: WorkerSettings, link: SchedulerLink): Address {
  const named = lower(link.configuration.workerPoolAddress);
  if (settings.poolAddress !== undefined && lower(settings.poolAddress) !== named) {
    throw new CodedError("WRK-1004", { url: schedulerUrl(settings), named, expected: settings.poolAddress });
  }
  return named;
}

function credentials(settings: WorkerSettings) {
  const known = [];
  if (settings.dockerHubUsername !== undefined && settings.dockerHubPassword !== undefined) {
    known.push({ registry: "docker.io", username: settings.dockerHubUsername, password: settings.dockerHubPassword.reveal() });
  }
  if (settings.registryUsername !== undefined && settings.registryPassword !== undefined) {
    known.push({
      registry: settings.registryAddress ?? "docker.io",
      username: settings.registryUsername,
      password: settings.registryPassword.reveal(),
    });
  }
  return known;
}
