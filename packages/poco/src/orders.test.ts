import fc from "fast-check";
import { encodeFunctionData, hashTypedData, keccak256, recoverTypedDataAddress, toHex } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { describe, expect, test } from "vitest";
import { HUB_ABI } from "./generated/hub-abi.ts";
import { ZERO_ADDRESS, ZERO_BYTES32 } from "./hex.ts";
import { networkOf } from "./networks.ts";
import {
  appOrderSchema,
  datasetOrderSchema,
  MAX_PARAMS_LENGTH,
  requestOrderSchema,
  uint256Schema,
  workerpoolOrderSchema,
} from "./order-schemas.ts";
import { hashAppOrder, hashDatasetOrder, NULL_DATASET_ORDER, ORDER_TYPES, orderOperationTypedData, orderTypedData } from "./orders.ts";

const domain = { chainId: 31337, verifyingContract: "0x9a9f2ccfde556a7e9ff0848998aa4a0cfd8863ae" } as const;
const offer = { volume: 1n, tag: ZERO_BYTES32, salt: ZERO_BYTES32, requesterrestrict: ZERO_ADDRESS, sign: "0x" } as const;
const appOrder = { app: ZERO_ADDRESS, appprice: 2n ** 200n, datasetrestrict: ZERO_ADDRESS, workerpoolrestrict: ZERO_ADDRESS, ...offer };
const poolOrder = {
  workerpool: ZERO_ADDRESS,
  workerpoolprice: 1n,
  category: 0n,
  trust: 1n,
  apprestrict: ZERO_ADDRESS,
  datasetrestrict: ZERO_ADDRESS,
  ...offer,
};
const { requesterrestrict: _, ...requestOffer } = offer;
const requestOrder = {
  app: ZERO_ADDRESS,
  appmaxprice: 0n,
  dataset: ZERO_ADDRESS,
  datasetmaxprice: 0n,
  workerpool: ZERO_ADDRESS,
  workerpoolmaxprice: 0n,
  requester: ZERO_ADDRESS,
  category: 0n,
  trust: 0n,
  beneficiary: ZERO_ADDRESS,
  callback: ZERO_ADDRESS,
  params: "{}",
  ...requestOffer,
};

test("type hashes are those of the contracts", () => {
  const hashes = Object.fromEntries(
    Object.entries(ORDER_TYPES).map(([kind, fields]) => [
      kind,
      keccak256(toHex(`${kind}(${fields.map(({ name, type }) => `${type} ${name}`).join(",")})`)),
    ]),
  );
  expect(hashes).toEqual({
    AppOrder: "0x60815a0eeec47dddf1615fe53b31d016c31444e01b9d796db365443a6445d008",
    DatasetOrder: "0x6cfc932a5a3d22c4359295b9f433edff52b60703fa47690a04a83e40933dd47c",
    WorkerpoolOrder: "0xaa3429fb281b34691803133d3d978a75bb77c617ed6bc9aa162b9b30920022bb",
    RequestOrder: "0xf24e853034a3a450aba845a82914fbb564ad85accca6cf62be112a154520fae0",
  });
});

test("the signature is not part of the hash", () => {
  const signed = { ...appOrder, sign: "0x1234" };
  expect(hashAppOrder(signed, domain)).toBe(hashAppOrder(appOrder, domain));
});

test("the hash depends on every field and on the domain", () => {
  const hashes = new Set([
    hashAppOrder(appOrder, domain),
    hashAppOrder({ ...appOrder, salt: `0x${"1".repeat(64)}` }, domain),
    hashAppOrder({ ...appOrder, appprice: 0n }, domain),
    hashAppOrder(appOrder, { ...domain, chainId: 1 }),
    hashAppOrder(appOrder, { ...domain, verifyingContract: ZERO_ADDRESS }),
  ]);
  expect(hashes.size).toBe(5);
});

test("typed data of orders and operations is signed and recovered", async () => {
  const account = privateKeyToAccount(`0x${"11".repeat(32)}`);
  const documents = [orderTypedData("AppOrder", appOrder, domain), orderOperationTypedData("WorkerpoolOrder", poolOrder, "close", domain)];
  for (const document of documents) {
    const signature = await account.signTypedData(document);
    expect(await recoverTypedDataAddress({ ...document, signature })).toBe(account.address);
  }
  expect(hashTypedData(orderOperationTypedData("AppOrder", appOrder, "sign", domain))).not.toBe(
    hashTypedData(orderOperationTypedData("AppOrder", appOrder, "close", domain)),
  );
});

test("the orders are what matchOrders takes", () => {
  const data = encodeFunctionData({
    abi: HUB_ABI,
    functionName: "matchOrders",
    args: [appOrder, NULL_DATASET_ORDER, poolOrder, requestOrder],
  });
  expect(data.slice(0, 10)).toBe("0x156194d4");
  expect(hashDatasetOrder(NULL_DATASET_ORDER, domain)).toMatch(/^0x[0-9a-f]{64}$/);
});

describe("orders from outside", () => {
  const asText = (order: object): Record<string, unknown> =>
    JSON.parse(JSON.stringify(order, (_key, value: unknown) => (typeof value === "bigint" ? String(value) : value)));

  test.each([
    ["app", appOrderSchema, appOrder],
    ["dataset", datasetOrderSchema, NULL_DATASET_ORDER],
    ["workerpool", workerpoolOrderSchema, poolOrder],
    ["request", requestOrderSchema, requestOrder],
  ] as const)("%s", (_kind, schema, order) => {
    expect(schema.parse(asText(order))).toEqual(order);
    expect(schema.parse({ ...asText(order), extra: 1 })).toEqual(order);
  });

  test.each([
    ["a missing field", { app: undefined }],
    ["a negative price", { appprice: "-1" }],
    ["a hex price", { appprice: "0x10" }],
    ["a price of 2^256", { appprice: String(2n ** 256n) }],
    ["a fraction", { volume: 1.5 }],
    ["an unsafe number", { volume: 2 ** 60 }],
    ["a short address", { app: "0x11" }],
    ["a short tag", { tag: "0x1" }],
    ["half a byte", { sign: "0x1" }],
    ["a huge signature", { sign: `0x${"00".repeat(5000)}` }],
  ])("refuses %s", (_what, change) => {
    expect(appOrderSchema.safeParse({ ...asText(appOrder), ...change }).success).toBe(false);
  });

  test("refuses endless params", () => {
    expect(requestOrderSchema.safeParse({ ...asText(requestOrder), params: "x".repeat(MAX_PARAMS_LENGTH + 1) }).success).toBe(false);
  });

  test("numbers of every form", () => {
    fc.assert(
      fc.property(fc.bigInt(0n, 2n ** 256n - 1n), (value) => {
        expect(uint256Schema.parse(String(value))).toBe(value);
        expect(uint256Schema.parse(value)).toBe(value);
      }),
    );
    expect(uint256Schema.parse(7)).toBe(7n);
  });
});

test("networks by chain id", () => {
  expect(networkOf(42161)?.name).toBe("Arbitrum One");
  expect(networkOf(134)?.escrow).toBe("native");
  expect(networkOf(31337)).toBeUndefined();
});
