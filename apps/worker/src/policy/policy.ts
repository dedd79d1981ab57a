import type { AppRecord, CategoryRecord } from "@iexec-ts/chain";
import { type Deal, parseImageReference, sameHex } from "@iexec-ts/poco";
import { rlc } from "../cli/view/amounts.ts";
import type { WorkerSettings } from "../config.ts";

export type Policy = Pick<
  WorkerSettings,
  "minPrice" | "allowRequesters" | "denyRequesters" | "allowApps" | "denyApps" | "categories" | "maxTaskMs" | "onlyDigestApps"
>;

/** The part of a deal that a policy looks at. */
export interface Offer {
  readonly deal: Pick<Deal, "requester" | "category" | "app" | "workerpool">;
  readonly category: Pick<CategoryRecord, "period">;
  /** Undefined when it cannot be read; only needed for `onlyDigestApps`. */
  readonly app: Pick<AppRecord, "multiaddr"> | undefined;
}

const has = (list: readonly `0x${string}`[], address: `0x${string}`): boolean => list.some((one) => sameHex(one, address));

/** Why a task is not taken, in words; undefined when it is. Pure. */
export function whyNot(policy: Policy, { deal, category, app }: Offer): string | undefined {
  const { price } = deal.workerpool;
  if (price < policy.minPrice) return `it pays ${rlc(price)}, the least is ${rlc(policy.minPrice)}`;
  if (has(policy.denyRequesters, deal.requester)) return `requester ${deal.requester} is on the deny-list`;
  if (policy.allowRequesters.length > 0 && !has(policy.allowRequesters, deal.requester))
    return `requester ${deal.requester} is not on the allow-list`;
  const address = deal.app.pointer;
  if (has(policy.denyApps, address)) return `app ${address} is on the deny-list`;
  if (policy.allowApps.length > 0 && !has(policy.allowApps, address)) return `app ${address} is not on the allow-list`;
  if (policy.categories.length > 0 && !policy.categories.some((id) => BigInt(id) === deal.category))
    return `its category ${deal.category} is not one of ${policy.categories.join(", ")}`;
  if (policy.maxTaskMs !== undefined && Number(category.period) * 1_000 > policy.maxTaskMs)
    return `its category allows ${category.period} s of computing, the most is ${Math.floor(policy.maxTaskMs / 1_000)} s`;
  if (policy.onlyDigestApps && parseImageReference(app?.multiaddr.trim() ?? "")?.digest === undefined)
    return "the app's image is not named by its digest";
  return undefined;
}
