import { z } from "zod";
import { addressSchema, bytes32Schema, hexSchema } from "./hex.ts";
import type { AppOrder, DatasetOrder, RequestOrder, Signed, WorkerpoolOrder } from "./orders.ts";

const UINT256_MAX = (1n << 256n) - 1n;

/** Longest `params` of a request order this code base takes, in UTF-16 units. */
export const MAX_PARAMS_LENGTH = 64 * 1024;
/** Longest signature of an order, in bytes: contracts may own assets and sign with more than 65. */
const MAX_SIGNATURE_BYTES = 4096;

/** A uint256 as the SDK writes it (decimal string), as JSON numbers, or as a bigint. */
export const uint256Schema = z
  .union([
    z.bigint(),
    z.number().int().min(0).max(Number.MAX_SAFE_INTEGER),
    z
      .string()
      .max(78)
      .regex(/^(?:0|[1-9][0-9]*)$/, "not a decimal number"),
  ])
  .transform((value) => BigInt(value))
  .refine((value) => value >= 0n && value <= UINT256_MAX, "not a uint256");

const sign = hexSchema(MAX_SIGNATURE_BYTES);
const offer = { volume: uint256Schema, tag: bytes32Schema, salt: bytes32Schema, sign };

/** A signed app order from outside; unknown keys are dropped, addresses lower-cased. */
export const appOrderSchema: z.ZodType<Signed<AppOrder>> = z.object({
  app: addressSchema,
  appprice: uint256Schema,
  datasetrestrict: addressSchema,
  workerpoolrestrict: addressSchema,
  requesterrestrict: addressSchema,
  ...offer,
});

/** A signed dataset order from outside. */
export const datasetOrderSchema: z.ZodType<Signed<DatasetOrder>> = z.object({
  dataset: addressSchema,
  datasetprice: uint256Schema,
  apprestrict: addressSchema,
  workerpoolrestrict: addressSchema,
  requesterrestrict: addressSchema,
  ...offer,
});

/** A signed workerpool order from outside. */
export const workerpoolOrderSchema: z.ZodType<Signed<WorkerpoolOrder>> = z.object({
  workerpool: addressSchema,
  workerpoolprice: uint256Schema,
  category: uint256Schema,
  trust: uint256Schema,
  apprestrict: addressSchema,
  datasetrestrict: addressSchema,
  requesterrestrict: addressSchema,
  ...offer,
});

/** A signed request order from outside. */
export const requestOrderSchema: z.ZodType<Signed<RequestOrder>> = z.object({
  app: addressSchema,
  appmaxprice: uint256Schema,
  dataset: addressSchema,
  datasetmaxprice: uint256Schema,
  workerpool: addressSchema,
  workerpoolmaxprice: uint256Schema,
  requester: addressSchema,
  category: uint256Schema,
  trust: uint256Schema,
  beneficiary: addressSchema,
  callback: addressSchema,
  params: z.string().max(MAX_PARAMS_LENGTH),
  ...offer,
});
