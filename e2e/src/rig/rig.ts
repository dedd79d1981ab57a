import { cpSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import {
  ANY_PORTS,
  buyTask,
  Doubt,
  describeReplicates,
  type Network,
  type NetworkOptions,
  startNetwork,
  type TaskOrder,
  type Wish,
  whyImpossible,
} from "@iexec-ts/network";
import type { ReplicateStatus, TaskId } from "@iexec-ts/poco";
import { createLogger } from "@iexec-ts/service";
import { waitingFor } from "../waiting.ts";
import { outlookOf } from "./outlook-of.ts";
import { buildProbeImage } from "./probe-image.ts";
import { WorkerProcess } from "./worker-process.ts";

export interface PoolReplicate {
  readonly wallet: string;
  readonly status: ReplicateStatus;
  readonly cause: string | null;
  readonly history: readonly {
    readonly status: ReplicateStatus;
    readonly cause: string | null;
    readonly at: string;
    readonly setBy: string /** Said after the scheduler had moved on. */;
    readonly late: boolean;
  }[];
}
/** Seldom enough to cost nothing, often enough to tell within seconds. */
const LOOK_AT_OUTLOOK_MS = 2_000;

export interface PoolTaskView {
  readonly status: string;
  readonly wantsReplicates: boolean;
  readonly replicates: readonly PoolReplicate[];
}

export interface RigOptions extends Partial<NetworkOptions> {
  /** Wallets for workers in processes of their own. */
  readonly wallets: number;
}

/** A real network without workers of its own, and the hands to put workers beside it, one process each. */
export class Rig {
  readonly network: Network;
  readonly #processes: WorkerProcess[] = [];
  #used = 0;

  constructor(network: Network) {
    this.network = network;
  }

  get chain(): Network["prepared"]["chain"] {
    return this.network.prepared.chain;
  }

  /**
   * The next unused wallet as a worker, not started yet.
   * @param forceGc - a garbage collection each second
   */
  worker(env: Readonly<Record<string, string>> = {}, program?: string, forceGc?: boolean): WorkerProcess {
    const spare = this.network.spares[this.#used];
    if (spare === undefined) throw new Error("the rig has no wallet left: ask for more");
    this.#used += 1;
    const logs = join(this.network.dir, "logs");
    mkdirSync(logs, { recursive: true });
    const worker = new WorkerProcess({
      address: spare.address,
      env: { IEXEC_WORKER_LOG_LEVEL: "debug", ...spare.env, ...env },
      logPath: join(logs, `${spare.env.IEXEC_WORKER_NAME}.log`),
      ...(program === undefined ? {} : { program }),
      ...(forceGc === undefined ? {} : { forceGc }),
    });
    this.#processes.push(worker);
    return worker;
  }

  /** Buys one task (or a bag) of the probe app; `args` are its KEY=VALUE words. */
  async buy(args: string, order: Omit<TaskOrder, "args"> = {}): Promise<readonly TaskId[]> {
    const deal = await buyTask(this.network.prepared, {
      ...order,
      args,
      params: { iexec_result_storage_provider: "ipfs", iexec_result_storage_proxy: this.network.resultProxyUrl, ...order.params },
    });
    return deal.taskIds;
  }

  async buyOne(args: string, order: Omit<TaskOrder, "args"> = {}): Promise<TaskId> {
    const [taskId] = await this.buy(args, order);
    if (taskId === undefined) throw new Error("the deal has no task");
    return taskId;
  }

  async poolTask(taskId: TaskId): Promise<PoolTaskView | undefined> {
    const response = await fetch(`${this.network.schedulerUrl}/v1/tasks/${taskId}`);
    if (response.status === 404) return undefined;
    if (!response.ok) throw new Error(`the scheduler answers ${response.status} for ${taskId}: ${(await response.text()).slice(0, 300)}`);
    return (await response.json()) as PoolTaskView;
  }

  /** Waits until `look` returns a value; what it last saw is in the error. A test may look again and again; the product may not. */
  until<T>(what: string, look: () => Promise<T | undefined> | T | undefined, signal: AbortSignal, everyMs = 50): Promise<T> {
    return waitingFor(what, async () => {
      for (;;) {
        const seen = await look();
        if (seen !== undefined) return seen;
        if (signal.aborted) throw new Error(`never happened: ${what}`);
        await new Promise((resolve) => setTimeout(resolve, everyMs));
      }
    });
  }

  /** Throws when a wish for a task cannot be fulfilled any more, once that has been so for a while. */
  #hoping(taskId: TaskId, wish: Wish): (task: PoolTaskView | undefined) => Promise<void> {
    const doubt = new Doubt(() => performance.now());
    let lookAgainAt = 0;
    return async (task) => {
      if (performance.now() < lookAgainAt) return;
      lookAgainAt = performance.now() + LOOK_AT_OUTLOOK_MS;
      const outlook = await outlookOf(this.network, taskId, task, wish.kind === "replicate" ? wish.wallet : undefined);
      const why = doubt.look(whyImpossible(outlook, wish));
      if (why === undefined) return;
      const histories = (task?.replicates ?? []).map(({ history }) => history.map((entry) => entry.status).join(" ")).join(" | ");
      throw new Error(`${wish.status} of ${taskId} cannot come any more: ${why}; ${describeReplicates(outlook.task)}: ${histories}`);
    };
  }

  /** Waits until the scheduler shows `status` somewhere in the history of a replicate of the task. */
  untilStatus(taskId: TaskId, status: ReplicateStatus, signal: AbortSignal, wallet?: string): Promise<PoolReplicate> {
    const stillHoping = this.#hoping(taskId, { kind: "replicate", status, wallet });
    return this.until(
      `${status} of ${taskId}`,
      async () => {
        const task = await this.poolTask(taskId);
        const found = task?.replicates.find(
          (r) => (wallet === undefined || r.wallet === wallet) && r.history.some((h) => h.status === status),
        );
        if (found === undefined) await stillHoping(task);
        return found;
      },
      signal,
    );
  }

  /** Waits until the chain shows the task in this state. */
  untilChain(taskId: TaskId, status: string, signal: AbortSignal): Promise<void> {
    const stillHoping = status === "COMPLETED" || status === "REVEALING" ? this.#hoping(taskId, { kind: "task", status }) : undefined;
    return this.until(
      `task ${taskId} ${status} on chain`,
      async () => {
        if ((await this.network.hub.task(taskId))?.status === status) return true;
        if (stillHoping !== undefined) await stillHoping(await this.poolTask(taskId));
        return undefined;
      },
      signal,
    ).then(() => undefined);
  }

  async close(): Promise<void> {
    await Promise.all(this.#processes.map((worker) => worker.stop()));
    // For who looks for a fault: the logs go with the network.
    const { IEXEC_E2E_KEEP_LOGS } = process.env;
    if (IEXEC_E2E_KEEP_LOGS !== undefined) cpSync(join(this.network.dir, "logs"), IEXEC_E2E_KEEP_LOGS, { recursive: true });
    await this.network.close();
  }
}

/** SIDE EFFECTS: starts a network with the probe app and `wallets` funded wallets. IEXEC_E2E_LOG=info shows the services' logs. */
export async function startRig(options: RigOptions, signal: AbortSignal): Promise<Rig> {
  const { wallets, workerEnv, ...rest } = options;
  const level = process.env.IEXEC_E2E_LOG === "info" || process.env.IEXEC_E2E_LOG === "debug" ? process.env.IEXEC_E2E_LOG : "silent";
  const network = await startNetwork(
    {
      ...ANY_PORTS,
      workers: 0,
      image: buildProbeImage,
      extraWallets: wallets,
      // The same on every host, whether its engine has gVisor or not.
      workerEnv: { IEXEC_WORKER_CONTAINER_RUNTIME: "runc", ...workerEnv },
      ...rest,
    },
    { log: createLogger({ level }), progress: () => undefined, signal },
  );
  return new Rig(network);
}
