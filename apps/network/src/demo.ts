import { mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { TaskId } from "@iexec-ts/poco";
import { CodedError, type Logger } from "@iexec-ts/service";
import type { NetworkSettings } from "./config.ts";
import type { Doing } from "./limit.ts";
import { buyTask } from "./local/buy-task.ts";
import { type Holding, moneyJson, moneyTable, totalOf } from "./money.ts";
import { type Network, startNetwork } from "./network.ts";
import type { PoolTask } from "./pool-view.ts";
import { fetchResult } from "./result.ts";
import { watchTasks } from "./watch.ts";

/** What `--json` prints for one task. */
export interface DemoTask {
  readonly taskId: TaskId;
  readonly status: string;
  readonly replicates: readonly {
    readonly worker: string;
    readonly statuses: readonly { readonly status: string; readonly at: string }[];
  }[];
  readonly digest: string;
  readonly onChainDigest: string;
  readonly resultPath: string;
  /** From the deal's block to COMPLETED, without the longest computation among its replicates. */
  readonly overheadMs: number;
}

export interface DemoReport extends DemoTask {
  readonly tasks: readonly DemoTask[];
  readonly completed: number;
  /** Blocks mined from the deal to the end. */
  readonly blocks: number;
  readonly balances: { readonly before: ReturnType<typeof moneyJson>; readonly after: ReturnType<typeof moneyJson> };
}

export interface DemoDeps {
  readonly log: Logger;
  /** Where people look; data goes elsewhere. */
  readonly screen: NodeJS.WriteStream;
  readonly signal: AbortSignal;
  readonly doing: Doing;
  /** Gets the network as soon as it runs, and closes it at the end, however the demo ends. */
  readonly own: (network: Network) => void;
}

/**
 * The whole thing once: starts the network, buys tasks, shows them being computed, fetches and checks the results, accounts for the money.
 *
 * SIDE EFFECTS: everything `startNetwork` does; writes the pictures to `settings.out`.
 * Errors: NET-2005 when anything is not as the chain says, NET-2006 when a task cannot be completed any more; those of `startNetwork`.
 */
export async function runDemo(
  settings: NetworkSettings,
  deps: DemoDeps,
): Promise<{ readonly report: DemoReport; readonly network: Network }> {
  const { screen, signal, log, doing } = deps;
  const say = (text: string) => screen.write(`${text}\n`);
  const progress = (what: string) => {
    doing.now(what);
    say(what);
  };
  const network = await startNetwork(settings, { log, progress, signal });
  deps.own(network);
  doing.now("buying the task");
  const before = await network.holdings();
  const firstBlock = network.pool.head().number;
  const height = Math.round((settings.width * 10) / 16);
  const deal = await buyTask(network.prepared, {
    trust: BigInt(settings.trust),
    volume: BigInt(settings.tasks),
    args: `--width ${settings.width} --height ${height} --samples ${settings.samples} --seed 1`,
    params: { iexec_result_storage_provider: "ipfs", iexec_result_storage_proxy: network.resultProxyUrl },
  });
  const boughtAt = Date.now();
  say(`bought ${deal.taskIds.length} task${deal.taskIds.length === 1 ? "" : "s"} with trust ${settings.trust}: deal ${deal.dealId}`);
  doing.now("waiting for the tasks");
  const pooled = await watchTasks(network, deal.taskIds, { screen, signal, onLook: (what) => doing.tasks(what) });
  doing.now("fetching the results");
  const after = await settledHoldings(network, before);
  const tasks = await Promise.all(deal.taskIds.map((taskId) => conclude(network, taskId, pooled, { settings, boughtAt, signal })));
  const first = tasks[0];
  if (first === undefined) throw new CodedError("NET-2005", { reason: "the deal has no task" });
  say("");
  say(moneyTable(before, after));
  say("");
  for (const task of tasks.slice(0, 3))
    say(`task ${task.taskId}: ${task.status}, digest as on chain, picture in ${task.resultPath}, overhead ${task.overheadMs} ms`);
  if (totalOf(after) !== totalOf(before)) throw new CodedError("NET-2005", { reason: "the balances do not add up" });
  const blocks = Number(network.pool.head().number - firstBlock);
  const completed = tasks.filter((task) => task.status === "COMPLETED").length;
  return { network, report: { ...first, tasks, completed, blocks, balances: { before: moneyJson(before), after: moneyJson(after) } } };
}

/** Balances once nothing of the deal is locked any more. */
async function settledHoldings(network: Network, before: readonly Holding[]): Promise<readonly Holding[]> {
  const after = await network.holdings();
  const locked = after.filter((h) => h.locked > (before.find((b) => b.address === h.address)?.locked ?? 0n));
  if (locked.length > 0) throw new CodedError("NET-2005", { reason: `${locked.map((h) => h.who).join(", ")} still have RLC locked` });
  return after;
}

async function conclude(
  network: Network,
  taskId: TaskId,
  pooled: ReadonlyMap<TaskId, PoolTask>,
  { settings, boughtAt, signal }: { readonly settings: NetworkSettings; readonly boughtAt: number; readonly signal: AbortSignal },
): Promise<DemoTask> {
  const [task, onChain] = [pooled.get(taskId), await network.hub.task(taskId)];
  if (task === undefined || onChain === undefined) throw new CodedError("NET-2005", { reason: `task ${taskId} is not known` });
  const folder = resolve(settings.out);
  await mkdir(folder, { recursive: true });
  const resultPath = join(folder, settings.tasks === 1 ? "demo.png" : `demo-${onChain.index}.png`);
  const digest = await fetchResult(
    onChain,
    { gatewayUrl: network.gatewayUrl, dir: network.dir, file: "result.png", target: resultPath },
    signal,
  );
  const at = (r: PoolTask["replicates"][number], status: string) => r.history.find((h) => h.status === status)?.at.getTime();
  const computing = task.replicates.map((r) => (at(r, "COMPUTED") ?? 0) - (at(r, "COMPUTING") ?? 0));
  const finishedAt = Math.max(...task.replicates.map((r) => at(r, "COMPLETED") ?? 0));
  return {
    taskId,
    status: onChain.status,
    replicates: task.replicates.map((r) => ({
      worker: r.wallet,
      statuses: r.history.map((h) => ({ status: h.status, at: h.at.toISOString() })),
    })),
    digest,
    onChainDigest: onChain.resultDigest,
    resultPath,
    overheadMs: finishedAt - boughtAt - Math.max(0, ...computing),
  };
}
