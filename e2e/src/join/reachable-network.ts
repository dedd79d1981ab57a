import { buyTask, type NetworkOptions } from "@iexec-ts/network";
import type { Address, TaskId } from "@iexec-ts/poco";
import { type Rig, startRig } from "../rig/rig.ts";
import { type Relay, startRelay } from "./relay.ts";

/** A network whose services are reached by one more address than loopback, and say so: workers in containers or guests can join it. */
export interface ReachableNetwork {
  readonly rig: Rig;
  /** How workers reach the scheduler. */
  readonly scheduler: Pick<Relay, "host" | "port" | "url">;
  /** Buys a task of the probe app without a dataset, which only workers on this host could download. */
  buy(args: string): Promise<TaskId>;
  /** Has the task done by this worker, and paid. @returns what the worker earned, in nRLC, and how long it took, in seconds */
  doTask(worker: Address, args: string, signal: AbortSignal): Promise<{ readonly earned: bigint; readonly seconds: number }>;
  close(): Promise<void>;
}

/** SIDE EFFECTS: starts a network and relays. @param at - as for `startRelay` */
export async function startReachableNetwork(
  at: { readonly listenOn: string; readonly as: string; readonly wallets: number; readonly join?: NetworkOptions["join"] },
  signal: AbortSignal,
): Promise<ReachableNetwork> {
  const [scheduler, node, results] = await Promise.all([startRelay(at), startRelay(at), startRelay(at)]);
  const relays = [scheduler, node, results];
  const through = async (relay: Relay, url: string): Promise<string> => {
    relay.to(url);
    return relay.url;
  };
  try {
    const rig = await startRig(
      {
        wallets: at.wallets,
        ...(at.join === undefined ? {} : { join: at.join }),
        publicSchedulerUrl: scheduler.url,
        nodeFor: async (who, url) => (who === "worker" ? through(node, url) : url),
        resultProxyFor: (url) => through(results, url),
      },
      signal,
    );
    scheduler.to(rig.network.schedulerUrl);
    const { network } = rig;
    const buy = async (args: string): Promise<TaskId> => {
      const deal = await buyTask(
        { ...network.prepared, dataset: undefined },
        { args, params: { iexec_result_storage_provider: "ipfs", iexec_result_storage_proxy: network.resultProxyUrl } },
      );
      const [taskId] = deal.taskIds;
      if (taskId === undefined) throw new Error("the deal has no task");
      return taskId;
    };
    const owned = async (worker: Address): Promise<bigint> => {
      const { stake, locked } = await network.hub.account(worker);
      return stake + locked;
    };
    return {
      rig,
      scheduler,
      buy,
      async doTask(worker, args, stop) {
        const before = await owned(worker);
        const began = performance.now();
        const taskId = await buy(args);
        await rig.untilStatus(taskId, "COMPLETED", stop, worker);
        const earned = (await owned(worker)) - before;
        if (earned <= 0n) throw new Error(`the task ${taskId} was done and not paid`);
        return { earned, seconds: Math.round((performance.now() - began) / 100) / 10 };
      },
      async close() {
        await rig.close();
        await Promise.all(relays.map((relay) => relay.close()));
      },
    };
  } catch (thrown) {
    await Promise.all(relays.map((relay) => relay.close()));
    throw thrown;
  }
}
