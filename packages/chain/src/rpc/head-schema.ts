import { type ChainTime, chainTime, type Hex } from "@iexec-ts/poco";
import { z } from "zod";
import type { Head } from "../api.ts";

const quantity = z
  .string()
  .regex(/^0x[0-9a-f]{1,64}$/i)
  .transform((text) => BigInt(text));
const hash = z
  .string()
  .regex(/^0x[0-9a-f]{64}$/i)
  .transform((text): Hex => `0x${text.slice(2).toLowerCase()}`);

/** A block as eth_getBlockByNumber and newHeads give it. */
export const headSchema = z
  .object({
    number: quantity,
    hash,
    timestamp: quantity.transform((seconds): ChainTime => chainTime(seconds)),
    baseFeePerGas: quantity.nullish(),
  })
  .transform(
    ({ number, hash, timestamp, baseFeePerGas }): Head => ({ number, hash, timestamp, baseFeePerGas: baseFeePerGas ?? undefined }),
  );

export const quantitySchema = quantity;
export const bytesSchema = z.string().regex(/^0x[0-9a-f]*$/i);
