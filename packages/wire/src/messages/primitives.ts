import type { Address, Hex } from "@iexec-ts/poco";
import { z } from "zod";

/** Lower-case form of a hex text that is already known to begin with 0x. */
export const lowerHex = (text: string): Hex => `0x${text.slice(2).toLowerCase()}`;

export const addressSchema = z
  .string()
  .regex(/^0x[0-9a-fA-F]{40}$/)
  .transform((text): Address => lowerHex(text));

export const bytes32Schema = z
  .string()
  .regex(/^0x[0-9a-fA-F]{64}$/)
  .transform(lowerHex);

export const hexSchema = z
  .string()
  .max(1 << 20)
  .regex(/^0x(?:[0-9a-fA-F]{2})*$/)
  .transform(lowerHex);

/** A block number of a query string. Java sends decimal; 0 is legal here and means "unknown". */
export const blockNumberText = z
  .string()
  .regex(/^\d{1,18}$/)
  .transform(BigInt);

export const blockNumberJson = z.int().nonnegative().transform(BigInt);

/** What of zod's complaint fits in one line of an error. */
export const faultOf = (error: z.ZodError): string =>
  error.issues
    .slice(0, 3)
    .map((issue) => `${issue.path.join(".")} ${issue.message}`.trim())
    .join("; ")
    .slice(0, 300);
