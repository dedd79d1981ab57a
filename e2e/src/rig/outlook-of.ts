import type { Network, Outlook, OutlookChain, OutlookWorker } from "@iexec-ts/network";
import type { TaskId } from "@iexec-ts/poco";
import type { PoolTaskView } from "./rig.ts";
import { WorkerProcess } from "./worker-process.ts";

interface PoolWorker {
  readonly wallet: string;
  readonly alive: boolean;
}

/**
 * Workers that could take the task: those the pool counts as alive, and every process that a scenario has running. One that a scenario has
 * stopped or killed counts as well, since it may be started again; one that ended by itself with an error does not.
 */
async function workersOf(network: Network, wanted: string | undefined): Promise<readonly OutlookWorker[]> {
  const response = await fetch(`${network.schedulerUrl}/v1/workers?limit=500`);
  const { workers } = (await response.json()) as { readonly workers: readonly PoolWorker[] };
  const known = new Map<string, string | undefined>(
    workers.filter(({ alive }) => alive).map(({ wallet }) => [wallet.toLowerCase(), undefined]),
  );
  for (const { address, running, endedAs, env } of WorkerProcess.started) {
    if (!(env.IEXEC_WORKER_STATE_DIR ?? "").startsWith(network.dir)) continue;
    const wallet = address.toLowerCase();
    if (running) known.set(wallet, undefined);
    // Those of earlier scenarios say nothing about this one.
    else if (endedAs !== undefined && wallet === wanted?.toLowerCase()) known.set(wallet, endedAs);
  }
  return [...known].map(([wallet, gone]) => ({ wallet, gone }));
}

/**
 * What is known about a task of a running network now; what cannot be read at the moment speaks for nothing.
 *
 * @param wanted - the worker that is waited for, where it is a certain one
 */
export async function outlookOf(
  network: Network,
  taskId: TaskId,
  task: PoolTaskView | undefined,
  wanted: string | undefined,
): Promise<Outlook> {
  const [onChain, workers] = await Promise.all([
    network.hub.task(taskId).catch(() => undefined),
    workersOf(network, wanted).catch((): readonly OutlookWorker[] | undefined => undefined),
  ]);
  const chain: OutlookChain | undefined = onChain === undefined ? undefined : { ...onChain, now: network.pool.head().timestamp };
  // Without the list of workers nothing is known about who is left.
  const known = workers === undefined && task !== undefined ? { ...task, wantsReplicates: false } : task;
  return { task: known, chain, workers: workers ?? [], silent: [] };
}
