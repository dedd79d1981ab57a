import type { AppRecord, CategoryRecord, DatasetRecord, Hub } from "@iexec-ts/chain";
import { type Deal, type DealParams, parseDealParams } from "@iexec-ts/poco";
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

/**
 * Reads a task's description from the chain; nothing of it travels from the scheduler.
 *
 * Errors: WRK-1308 when the app or the category is not registered as it must be; CHN-… when the chain cannot be read.
 * @source compute.md 1.7, 3.2
 */
export async function describeTask(replicate: Pick<Replicate, "taskId" | "dealId">, hub: Hub): Promise<TaskDescription> {
  const deal = await hub.deal(replicate.dealId);
  if (deal === undefined) throw new CodedError("WRK-1310", { taskId: replicate.taskId, dealId: replicate.dealId });
  const [app, dataset, category] = await Promise.all([
    hub.app(deal.app.pointer),
    deal.dataset.pointer === zeroAddress ? undefined : hub.dataset(deal.dataset.pointer),
    hub.category(deal.category),
  ]);
  if (app === undefined) throw new CodedError("WRK-1308", { taskId: replicate.taskId, app: deal.app.pointer, reason: "not registered" });
  if (category === undefined) throw new CodedError("WRK-1310", { taskId: replicate.taskId, dealId: replicate.dealId });
  return { deal, app, dataset, category, params: parseDealParams(deal.params) };
}

/** A dataset without a location or a checksum counts as no dataset. @source compute.md 3.2 (containsDataset) */
export const hasDataset = (dataset: DatasetRecord): boolean => dataset.multiaddr !== "0x" && !/^0x0*$/.test(dataset.checksum);
