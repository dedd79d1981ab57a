import { type Hex, hashDomain, hashTypedData } from "viem";
import { ZERO_ADDRESS, ZERO_BYTES32 } from "./hex.ts";
import type { Address, Bytes32 } from "./structs.ts";

/** Prices are nRLC per task, volumes are numbers of tasks; a restriction of zero restricts nothing. */
interface Offer {
  readonly volume: bigint;
  readonly tag: Bytes32;
  readonly salt: Bytes32;
}
export interface AppOrder extends Offer {
  readonly app: Address;
  readonly appprice: bigint;
  readonly datasetrestrict: Address;
  readonly workerpoolrestrict: Address;
  readonly requesterrestrict: Address;
}
export interface DatasetOrder extends Offer {
  readonly dataset: Address;
  readonly datasetprice: bigint;
  readonly apprestrict: Address;
  readonly workerpoolrestrict: Address;
  readonly requesterrestrict: Address;
}
export interface WorkerpoolOrder extends Offer {
  readonly workerpool: Address;
  readonly workerpoolprice: bigint;
  readonly category: bigint;
  readonly trust: bigint;
  readonly apprestrict: Address;
  readonly datasetrestrict: Address;
  readonly requesterrestrict: Address;
}
export interface RequestOrder extends Offer {
  readonly app: Address;
  readonly appmaxprice: bigint;
  readonly dataset: Address;
  readonly datasetmaxprice: bigint;
  readonly workerpool: Address;
  readonly workerpoolmaxprice: bigint;
  readonly requester: Address;
  readonly category: bigint;
  readonly trust: bigint;
  readonly beneficiary: Address;
  readonly callback: Address;
  readonly params: string;
}
/** An order with its signature, as the contracts take it; `0x` when it is presigned on chain. */
export type Signed<Order> = Order & { readonly sign: Hex };

export interface OrderDomain {
  readonly chainId: number;
  /** The hub. */
  readonly verifyingContract: Address;
}

const address = <Name extends string>(name: Name) => ({ name, type: "address" }) as const;
const uint256 = <Name extends string>(name: Name) => ({ name, type: "uint256" }) as const;
const bytes32 = <Name extends string>(name: Name) => ({ name, type: "bytes32" }) as const;

/** @source IexecLibOrders_v5; chain.md 6 */
export const ORDER_TYPES = {
  AppOrder: [
    address("app"),
    uint256("appprice"),
    uint256("volume"),
    bytes32("tag"),
    address("datasetrestrict"),
    address("workerpoolrestrict"),
    address("requesterrestrict"),
    bytes32("salt"),
  ],
  DatasetOrder: [
    address("dataset"),
    uint256("datasetprice"),
    uint256("volume"),
    bytes32("tag"),
    address("apprestrict"),
    address("workerpoolrestrict"),
    address("requesterrestrict"),
    bytes32("salt"),
  ],
  WorkerpoolOrder: [
    address("workerpool"),
    uint256("workerpoolprice"),
    uint256("volume"),
    bytes32("tag"),
    uint256("category"),
    uint256("trust"),
    address("apprestrict"),
    address("datasetrestrict"),
    address("requesterrestrict"),
    bytes32("salt"),
  ],
  RequestOrder: [
    address("app"),
    uint256("appmaxprice"),
    address("dataset"),
    uint256("datasetmaxprice"),
    address("workerpool"),
    uint256("workerpoolmaxprice"),
    address("requester"),
    uint256("volume"),
    bytes32("tag"),
    uint256("category"),
    uint256("trust"),
    address("beneficiary"),
    address("callback"),
    { name: "params", type: "string" },
    bytes32("salt"),
  ],
} as const;
export type OrderKind = keyof typeof ORDER_TYPES;

export interface OrderOf {
  readonly AppOrder: AppOrder;
  readonly DatasetOrder: DatasetOrder;
  readonly WorkerpoolOrder: WorkerpoolOrder;
  readonly RequestOrder: RequestOrder;
}

/** What a wallet signs for an order: pass it to `signTypedData` as it is. */
export interface OrderTypedData {
  readonly domain: OrderDomain & { readonly name: "iExecODB"; readonly version: "5.0.0" };
  readonly types: Readonly<Record<string, readonly { readonly name: string; readonly type: string }[]>>;
  readonly primaryType: string;
  readonly message: Record<string, unknown>;
}

/** 0: the order is presigned on chain; 1: it is closed for ever. @source IexecLibOrders_v5.OrderOperationEnum */
export const ORDER_OPERATIONS = { sign: 0, close: 1 } as const;
export type OrderOperation = keyof typeof ORDER_OPERATIONS;

const domainOf = ({ chainId, verifyingContract }: OrderDomain): OrderTypedData["domain"] => ({
  name: "iExecODB",
  version: "5.0.0",
  chainId,
  verifyingContract,
});

const DOMAIN_TYPE = [
  { name: "name", type: "string" },
  { name: "version", type: "string" },
  { name: "chainId", type: "uint256" },
  { name: "verifyingContract", type: "address" },
] as const;

const messageOf = (kind: OrderKind, order: object): Record<string, unknown> => {
  const fields: Record<string, unknown> = { ...order };
  return Object.fromEntries(ORDER_TYPES[kind].map(({ name }) => [name, fields[name]]));
};

/**
 * The EIP-712 document of an order; a `sign` field is left out.
 *
 * @source chain.md 6
 */
export function orderTypedData<Kind extends OrderKind>(kind: Kind, order: OrderOf[Kind], domain: OrderDomain): OrderTypedData {
  return { domain: domainOf(domain), types: { [kind]: ORDER_TYPES[kind] }, primaryType: kind, message: messageOf(kind, order) };
}

/**
 * The EIP-712 document that signs or closes an order through `manage...Order`.
 *
 * @source IexecOrderManagement; chain.md 6
 */
export function orderOperationTypedData<Kind extends OrderKind>(
  kind: Kind,
  order: OrderOf[Kind],
  operation: OrderOperation,
  domain: OrderDomain,
): OrderTypedData {
  const primaryType = `${kind}Operation`;
  return {
    domain: domainOf(domain),
    types: { [kind]: ORDER_TYPES[kind], [primaryType]: [{ name: "order", type: kind }, uint256("operation")] },
    primaryType,
    message: { order: messageOf(kind, order), operation: BigInt(ORDER_OPERATIONS[operation]) },
  };
}

/** Hash of an order of this kind, as the contracts know it. @source chain.md 5: orderHash */
export function hashOrder<Kind extends OrderKind>(kind: Kind, order: OrderOf[Kind], domain: OrderDomain): Bytes32 {
  return hashTypedData(orderTypedData(kind, order, domain));
}

export const hashAppOrder = (order: AppOrder, domain: OrderDomain): Bytes32 => hashOrder("AppOrder", order, domain);
export const hashDatasetOrder = (order: DatasetOrder, domain: OrderDomain): Bytes32 => hashOrder("DatasetOrder", order, domain);
export const hashWorkerpoolOrder = (order: WorkerpoolOrder, domain: OrderDomain): Bytes32 => hashOrder("WorkerpoolOrder", order, domain);
export const hashRequestOrder = (order: RequestOrder, domain: OrderDomain): Bytes32 => hashOrder("RequestOrder", order, domain);

/**
 * The domain separator a hub on this chain must answer from `eip712domain_separator()`; refuse to work with one that differs.
 *
 * @source chain.md 4
 */
export function domainSeparatorOf(domain: OrderDomain): Bytes32 {
  return hashDomain({
    domain: { ...domainOf(domain), chainId: BigInt(domain.chainId) },
    types: { EIP712Domain: DOMAIN_TYPE },
  });
}

/** Stands for "no dataset" in `matchOrders`. */
export const NULL_DATASET_ORDER: Signed<DatasetOrder> = {
  dataset: ZERO_ADDRESS,
  datasetprice: 0n,
  volume: 0n,
  tag: ZERO_BYTES32,
  apprestrict: ZERO_ADDRESS,
  workerpoolrestrict: ZERO_ADDRESS,
  requesterrestrict: ZERO_ADDRESS,
  salt: ZERO_BYTES32,
  sign: "0x",
};
