import { join } from "node:path";
import { type ChainTask, HUB_ABI, type ReplicateStatus, type TaskId } from "@iexec-ts/poco";
import { readKeystore } from "@iexec-ts/service";
import { type HttpFaultProxy, startHttpFaultProxy } from "@iexec-ts/testkit";
import { createTestClient, encodeFunctionData, http, type PrivateKeyAccount, parseEther } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { buildProbeImage } from "../rig/probe-image.ts";
import { type Rig, startRig } from "../rig/rig.ts";
import type { WorkerProcess } from "../rig/worker-process.ts";

const WALLETS = 16;

/** A network on which replicates can be brought into any status, and the hands to do it. */
export class World {
  readonly rig: Rig;
  /** Between everybody and the result proxy. */
  readonly uploads: HttpFaultProxy;
  readonly registryHost: string;
  readonly #node: ReturnType<typeof testClient>;
  #steady: WorkerProcess | undefined;
  #steadyRuns = false;
  #used: WorkerProcess[] = [];

  constructor(rig: Rig, uploads: HttpFaultProxy, registryHost: string) {
    this.rig = rig;
    this.uploads = uploads;
    this.registryHost = registryHost;
    this.#node = testClient(rig.chain.rpcUrl);
  }

  /** The worker for tales in which nothing happens to the worker itself; it runs on from one to the next. */
  steady(): WorkerProcess {
    this.#steady ??= this.rig.worker();
    if (!this.#steadyRuns) this.#steady.start();
    this.#steadyRuns = true;
    if (!this.#used.includes(this.#steady)) this.#used.push(this.#steady);
    return this.#steady;
  }

  /** A worker nobody used yet, not started. No other may take its task, so the steady one stops. */
  async fresh(): Promise<WorkerProcess> {
    await this.#stopSteady();
    const worker = this.rig.worker();
    this.#used.push(worker);
    return worker;
  }

  /** A new worker that dies the moment it has written `status` into its journal. */
  async diesAt(status: ReplicateStatus): Promise<WorkerProcess> {
    return (await this.fresh()).start({ IEXEC_TEST_CRASH_AT: `status:${status}` });
  }

  /** Waits for the end of a worker's process. */
  async ended(worker: WorkerProcess, signal: AbortSignal): Promise<number | null> {
    let code: number | null | undefined;
    void worker.exited.then((value) => {
      code = value;
    });
    return this.rig.until("the end of a worker", () => (code === undefined ? undefined : { code }), signal).then((end) => end.code);
  }

  /** Waits until a worker has died as `diesAt` told it to. */
  async died(worker: WorkerProcess, signal: AbortSignal): Promise<void> {
    const code = await this.ended(worker, signal);
    if (code !== null) throw new Error(`the worker was to be killed but ended with ${code}; see ${worker.logPath}`);
  }

  /** Waits until the workerpool has recorded the status; what it has recorded instead is in the error. */
  async seen(taskId: TaskId, status: ReplicateStatus, signal: AbortSignal, worker?: WorkerProcess): Promise<void> {
    try {
      await this.rig.untilStatus(taskId, status, signal, worker?.address);
    } catch (thrown) {
      const task = await this.rig.poolTask(taskId);
      const histories = task?.replicates.map(({ history }) => history.map((entry) => entry.status).join(" ")) ?? [];
      throw new Error(`no ${status}; the task is ${task?.status ?? "unknown"}: ${histories.join(" | ")}`, { cause: thrown });
    }
  }

  async onChain(taskId: TaskId): Promise<ChainTask> {
    const task = await this.rig.network.hub.task(taskId);
    if (task === undefined) throw new Error(`no task ${taskId} on chain`);
    return task;
  }

  /** SIDE EFFECTS: mines one block at exactly this time. */
  async warpTo(time: bigint): Promise<void> {
    await this.#node.setNextBlockTimestamp({ timestamp: time });
    await this.#node.mine({ blocks: 1 });
  }

  /** From now on transactions wait in the node's pool. */
  holdBlocks(): Promise<void> {
    return this.#node.setAutomine(false);
  }

  /** Waits until a transaction is held. */
  async held(signal: AbortSignal): Promise<void> {
    await this.rig.until(
      "a transaction in the pool",
      async () => ((await this.#node.getTxpoolStatus()).pending > 0 ? true : undefined),
      signal,
    );
  }

  /** SIDE EFFECTS: mines what is held, in a block of this time; blocks come by themselves again. */
  async mineHeldAt(time: bigint): Promise<void> {
    await this.warpTo(time);
    await this.#node.setAutomine(true);
  }

  /** SIDE EFFECTS: the worker's wallet holds this many coins now, and everybody sees a block. */
  async setCoins(worker: WorkerProcess, coins: string): Promise<void> {
    await this.#node.setBalance({ address: worker.address, value: parseEther(coins) });
    await this.#node.mine({ blocks: 1 });
  }

  /** The key of a worker, as its operator has it. */
  async keyOf({ env }: WorkerProcess): Promise<PrivateKeyAccount> {
    const wallet = await readKeystore(env.IEXEC_WORKER_WALLET_PATH ?? "", env.IEXEC_WORKER_WALLET_PASSWORD ?? "");
    return privateKeyToAccount(wallet.privateKey.reveal());
  }

  /** SIDE EFFECTS: the operator takes back all of the worker's free stake. */
  async withdrawStake(worker: WorkerProcess): Promise<void> {
    const { stake } = await this.rig.network.hub.account(worker.address);
    const data = encodeFunctionData({ abi: HUB_ABI, functionName: "withdraw", args: [stake] });
    await this.rig.chain.sender.send(await this.keyOf(worker), { what: "withdraw", to: this.rig.chain.hub, data });
  }

  /**
   * Brings a tale to rest: its workers stop, and tasks that are still open end by their deadlines, so that no later worker is given one.
   *
   * @returns the workers of the tale
   */
  async settle(tasks: readonly TaskId[], signal: AbortSignal): Promise<readonly WorkerProcess[]> {
    this.uploads.heal();
    await this.#node.setAutomine(true);
    const workers = this.#used;
    this.#used = [];
    await Promise.all(workers.filter((worker) => worker !== this.#steady).map((worker) => worker.stop()));
    for (const taskId of tasks) {
      const { status, finalDeadline } = await this.onChain(taskId);
      const now = await this.rig.chain.now();
      if (status !== "COMPLETED" && status !== "FAILED" && now <= finalDeadline) await this.warpTo(finalDeadline + 1n);
      const over = async () => {
        const task = await this.rig.poolTask(taskId);
        return task?.status === "COMPLETED" || task?.status === "FAILED" ? true : undefined;
      };
      await this.rig.until(`the end of ${taskId}`, over, signal);
    }
    return workers;
  }

  async close(): Promise<void> {
    await this.rig.close();
    await this.uploads.stop();
  }

  async #stopSteady(): Promise<void> {
    if (!this.#steadyRuns) return;
    this.#steadyRuns = false;
    await this.#steady?.stop();
  }
}

const testClient = (url: string) => createTestClient({ mode: "anvil", transport: http(url, { retryCount: 0 }) });

/** SIDE EFFECTS: starts the network; waits are short, so that a worker that is gone is noticed within a scenario. */
export async function openWorld(signal: AbortSignal): Promise<World> {
  let uploads: HttpFaultProxy | undefined;
  let registryHost = "";
  const rig = await startRig(
    {
      wallets: WALLETS,
      patience: { uploadStartMs: 5_000, uploadRetryMs: 500, unnotifiedMs: 1_500 },
      resultProxyFor: async (url) => {
        uploads = await startHttpFaultProxy(url);
        return uploads.url;
      },
      image: (deps, stop) => {
        registryHost = deps.registry.host;
        return buildProbeImage(deps, stop);
      },
    },
    signal,
  );
  if (uploads === undefined) throw new Error("the network does not use the proxy before its result proxy");
  return new World(rig, uploads, registryHost);
}

/** Where a run of the end-to-end sets leaves the histories it recorded. */
export const HISTORIES = join(import.meta.dirname, "../../../out/histories");
