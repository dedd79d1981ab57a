import type { AppRecord, CategoryRecord, DatasetRecord, Hub } from "@iexec-ts/chain";
import { type Deal, type DealId, type DealParams, parseDealParams } from "@iexec-ts/poco";
import { CodedError } from "@iexec-ts/service";
import { zeroAddress } from "viem";
import type { Replicate } from "./replicate.ts";

/** Everything the chain says about the work itself. It never changes, so a stage may read it again at any time. */
export interface TaskDescription {
  readonly deal: Deal;
  readonly app: AppRecord;
  readonly dataset: DatasetRecord | undefined;
  readonly category: CategoryRecord;
  readonly params: DealParams;
}

/** A worker has a handful of deals at a time. */
const KEPT_DEALS = 100;
const known = new WeakMap<Hub, Map<DealId, TaskDescription>>();

function keep(hub: Hub, task: TaskDescription): void {
  const deals = known.get(hub) ?? new Map<DealId, TaskDescription>();
  known.set(hub, deals.set(task.deal.id, task));
  const oldest = deals.keys().next().value;
  if (deals.size > KEPT_DEALS && oldest !== undefined) deals.delete(oldest);
}

/**
 * Reads a task's description from the chain, once per deal; nothing of it travels from the scheduler. What was read is enough to go on while
 * no node answers.
 *
 * Errors: WRK-1308 when the app or the category is not registered as it must be; CHN-… when the chain cannot be read.
 * @source compute.md 1.7, 3.2
 */
export async function describeTask(replicate: Pick<Replicate, "taskId" | "dealId">, hub: Hub): Promise<TaskDescription> {
  const before = known.get(hub)?.get(replicate.dealId);
  if (before !== undefined) return before;
  const deal = await hub.deal(replicate.dealId);
  if (deal === undefined) throw new CodedError("WRK-1310", { taskId: replicate.taskId, dealId: replicate.dealId });
  const [app, dataset, category] = await Promise.all([
    hub.app(deal.app.pointer),
    deal.dataset.pointer === zeroAddress ? undefined : hub.dataset(deal.dataset.pointer),
    hub.category(deal.category),
  ]);
  if (app === undefined) throw new CodedError("WRK-1308", { taskId: replicate.taskId, app: deal.app.pointer, reason: "not registered" });
  if (category === undefined) throw new CodedError("WRK-1310", { taskId: replicate.taskId, dealId: replicate.dealId });
  const task = { deal, app, dataset, category, params: parseDealParams(deal.params) };
  keep(hub, task);
  return task;
}

/** A dataset without a location or a checksum counts as no dataset. @source compute.md 3.2 (containsDataset) */
export const hasDataset = (dataset: DatasetRecord): boolean => dataset.multiaddr !== "0x" && !/^0x0*$/.test(dataset.checksum);
