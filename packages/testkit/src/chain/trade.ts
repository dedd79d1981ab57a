import { randomBytes } from "node:crypto";
import {
  type AppOrder,
  type Bytes32,
  type DatasetOrder,
  type DealId,
  HUB_ABI,
  NULL_DATASET_ORDER,
  type OrderKind,
  type OrderOf,
  orderTypedData,
  type RequestOrder,
  type Signed,
  type TaskId,
  taskIdOf,
  type WorkerpoolOrder,
} from "@iexec-ts/poco";
import { CodedError } from "@iexec-ts/service";
import { type Address, bytesToHex, encodeFunctionData, type LocalAccount, parseEventLogs, zeroAddress, zeroHash } from "viem";
import type { PocoDeployment } from "./deploy-poco.ts";
import type { Sender } from "./sender.ts";

export interface SignedOrders {
  readonly app: Signed<AppOrder>;
  /** Absent: a deal without a dataset. */
  readonly dataset?: Signed<DatasetOrder>;
  readonly workerpool: Signed<WorkerpoolOrder>;
  readonly request: Signed<RequestOrder>;
}

export interface MatchedDeal {
  readonly dealId: DealId;
  /** Index of the first task inside the request. */
  readonly botFirst: bigint;
  readonly taskIds: readonly TaskId[];
}

/** What one side of a deal brings: its contract and who signs for it. Prices are nRLC per task. */
export interface Side {
  readonly address: Address;
  readonly owner: LocalAccount;
  readonly price?: bigint;
}

export interface Purchase {
  readonly app: Side;
  readonly dataset?: Side;
  readonly workerpool: Side;
  readonly requester: LocalAccount;
  readonly category?: bigint;
  readonly trust?: bigint;
  readonly tag?: Bytes32;
  /** Number of tasks; default 1. */
  readonly volume?: bigint;
  readonly beneficiary?: Address;
  readonly callback?: Address;
  /** The deal's parameters as the app and the worker see them; an object becomes JSON. */
  readonly params?: string | Readonly<Record<string, unknown>>;
}

export interface Trade {
  /** Fills what is left out with "no restriction, volume 1, random salt". */
  appOrder(fields: Partial<AppOrder> & Pick<AppOrder, "app">): AppOrder;
  datasetOrder(fields: Partial<DatasetOrder> & Pick<DatasetOrder, "dataset">): DatasetOrder;
  workerpoolOrder(fields: Partial<WorkerpoolOrder> & Pick<WorkerpoolOrder, "workerpool">): WorkerpoolOrder;
  requestOrder(fields: Partial<RequestOrder> & Pick<RequestOrder, "app" | "requester">): RequestOrder;
  signOrder<Kind extends OrderKind>(kind: Kind, order: OrderOf[Kind], owner: LocalAccount): Promise<Signed<OrderOf[Kind]>>;
  /** Errors: NET-1301 with the contract's reason. SIDE EFFECTS: sends one transaction of `sender`. */
  matchOrders(sender: LocalAccount, orders: SignedOrders): Promise<MatchedDeal>;
  /** Signs four fitting orders and matches them. Errors: NET-1301. SIDE EFFECTS: sends one transaction of the requester. */
  buy(purchase: Purchase): Promise<MatchedDeal>;
}

const offer = () => ({ volume: 1n, tag: zeroHash, salt: bytesToHex(randomBytes(32)) });
const unrestricted = {
  apprestrict: zeroAddress,
  datasetrestrict: zeroAddress,
  workerpoolrestrict: zeroAddress,
  requesterrestrict: zeroAddress,
};

/** Orders and deals of a local chain. @source chain.md 6 */
export function tradeOf(deployment: PocoDeployment, sender: Sender): Trade {
  const domain = { chainId: deployment.chainId, verifyingContract: deployment.hub };
  const { apprestrict, datasetrestrict, workerpoolrestrict, requesterrestrict } = unrestricted;

  const trade: Trade = {
    appOrder: (fields) => ({ appprice: 0n, datasetrestrict, workerpoolrestrict, requesterrestrict, ...offer(), ...fields }),
    datasetOrder: (fields) => ({ datasetprice: 0n, apprestrict, workerpoolrestrict, requesterrestrict, ...offer(), ...fields }),
    workerpoolOrder: (fields) => ({
      workerpoolprice: 0n,
      category: 0n,
      trust: 1n,
      apprestrict,
      datasetrestrict,
      requesterrestrict,
      ...offer(),
      ...fields,
    }),
    requestOrder: (fields) => ({
      appmaxprice: 0n,
      dataset: zeroAddress,
      datasetmaxprice: 0n,
      workerpool: zeroAddress,
      workerpoolmaxprice: 0n,
      category: 0n,
      trust: 1n,
      beneficiary: fields.requester,
      callback: zeroAddress,
      params: "",
      ...offer(),
      ...fields,
    }),
    async signOrder(kind, order, owner) {
      return { ...order, sign: await owner.signTypedData(orderTypedData(kind, order, domain)) };
    },
    async matchOrders(account, orders) {
      const data = encodeFunctionData({
        abi: HUB_ABI,
        functionName: "matchOrders",
        args: [orders.app, orders.dataset ?? NULL_DATASET_ORDER, orders.workerpool, orders.request],
      });
      const receipt = await sender.send(account, { what: "matchOrders", to: deployment.hub, data }).catch((error: unknown) => {
        const reason = error instanceof CodedError ? error.args.reason : String(error);
        throw new CodedError("NET-1301", { reason }, { cause: error });
      });
      const [event] = parseEventLogs({ abi: HUB_ABI, logs: receipt.logs, eventName: "OrdersMatched" });
      if (event === undefined) throw new CodedError("NET-1301", { reason: "no OrdersMatched event" });
      const dealId = event.args.dealid;
      const deal = await sender.client.readContract({ address: deployment.hub, abi: HUB_ABI, functionName: "viewDeal", args: [dealId] });
      const taskIds = Array.from({ length: Number(event.args.volume) }, (_, index) => taskIdOf(dealId, deal.botFirst + BigInt(index)));
      return { dealId, botFirst: deal.botFirst, taskIds };
    },
    async buy(purchase) {
      return trade.matchOrders(purchase.requester, await signedOrders(trade, purchase));
    },
  };
  return trade;
}

async function signedOrders(trade: Trade, purchase: Purchase): Promise<SignedOrders> {
  const { app, dataset, workerpool, requester } = purchase;
  const volume = purchase.volume ?? 1n;
  const terms = { volume, tag: purchase.tag ?? zeroHash };
  const work = { ...terms, category: purchase.category ?? 0n, trust: purchase.trust ?? 1n };
  const params = typeof purchase.params === "object" ? JSON.stringify(purchase.params) : (purchase.params ?? "");
  const request = trade.requestOrder({
    ...work,
    app: app.address,
    appmaxprice: app.price ?? 0n,
    dataset: dataset?.address ?? zeroAddress,
    datasetmaxprice: dataset?.price ?? 0n,
    workerpool: workerpool.address,
    workerpoolmaxprice: workerpool.price ?? 0n,
    requester: requester.address,
    beneficiary: purchase.beneficiary ?? requester.address,
    callback: purchase.callback ?? zeroAddress,
    params,
  });
  const appOrder = trade.appOrder({ ...terms, app: app.address, appprice: app.price ?? 0n });
  const poolOrder = trade.workerpoolOrder({ ...work, workerpool: workerpool.address, workerpoolprice: workerpool.price ?? 0n });
  const [signedApp, signedPool, signedRequest] = await Promise.all([
    trade.signOrder("AppOrder", appOrder, app.owner),
    trade.signOrder("WorkerpoolOrder", poolOrder, workerpool.owner),
    trade.signOrder("RequestOrder", request, requester),
  ]);
  const orders = { app: signedApp, workerpool: signedPool, request: signedRequest };
  if (dataset === undefined) return orders;
  // The dataset's own tag stays empty: 6.1.0 would otherwise ask the pool for the same TEE framework.
  const datasetOrder = trade.datasetOrder({ volume, dataset: dataset.address, datasetprice: dataset.price ?? 0n });
  return { ...orders, dataset: await trade.signOrder("DatasetOrder", datasetOrder, dataset.owner) };
}
