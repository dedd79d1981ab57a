import type { Address, Bytes32 } from "@iexec-ts/poco";
import type { MatchedDeal, Side } from "@iexec-ts/testkit";
import type { PreparedChain } from "./prepare-chain.ts";

export interface TaskOrder {
  /** The network's own app and dataset unless told. */
  readonly app?: Side;
  readonly dataset?: Side;
  readonly trust?: bigint;
  /** Id of the category; default 0, the shortest. */
  readonly category?: bigint;
  /** Number of tasks in the deal; default 1. */
  readonly volume?: bigint;
  /** Arguments of the app, as on its command line. */
  readonly args?: string;
  /** More keys of the deal's parameters, by their names on the wire. */
  readonly params?: Readonly<Record<string, unknown>>;
  readonly tag?: Bytes32;
  readonly beneficiary?: Address;
  readonly callback?: Address;
}

/**
 * Buys work as a requester does: four signed orders, matched on chain.
 *
 * Errors: NET-1301 the orders made no deal.
 * SIDE EFFECTS: one transaction of the requester; locks its and the scheduler's part.
 */
export function buyTask(prepared: PreparedChain, order: TaskOrder = {}): Promise<MatchedDeal> {
  const { args, params, app = prepared.app, dataset = prepared.dataset, ...terms } = order;
  return prepared.chain.buy({
    ...terms,
    app,
    ...(dataset === undefined ? {} : { dataset }),
    workerpool: prepared.workerpool,
    requester: prepared.roles.requester,
    params: { ...(args === undefined ? {} : { iexec_args: args }), ...params },
  });
}
