import { z } from "zod";
import type { Address, Bytes32, Hex } from "./structs.ts";

export const ZERO_ADDRESS: Address = "0x0000000000000000000000000000000000000000";
export const ZERO_BYTES32: Bytes32 = "0x0000000000000000000000000000000000000000000000000000000000000000";

/** The same hex in lower case: the form in which ids and addresses are compared, stored and signed off chain. */
export function lowerHex(hex: Hex): Hex {
  return hex.toLowerCase() as Hex;
}

/** Whether two addresses, or two byte strings, are the same whatever their case. */
export function sameHex(a: Hex, b: Hex): boolean {
  return a.toLowerCase() === b.toLowerCase();
}

/** Hex of these bytes, `0x` included. */
export function hexOf(bytes: Uint8Array): Hex {
  return `0x${Buffer.from(bytes).toString("hex")}`;
}

const hexText = (pattern: RegExp, what: string) =>
  z
    .string()
    .regex(pattern, what)
    .transform((text) => lowerHex(text as Hex));

/** 20 bytes in hex of any case; lower-cased. */
export const addressSchema = hexText(/^0x[0-9a-fA-F]{40}$/, "not an address");
/** 32 bytes in hex of any case; lower-cased. */
export const bytes32Schema = hexText(/^0x[0-9a-fA-F]{64}$/, "not 32 bytes of hex");

/** Whole bytes in hex, at most `maxBytes` of them; lower-cased. */
export function hexSchema(maxBytes: number) {
  return z
    .string()
    .max(2 + 2 * maxBytes, "too long")
    .regex(/^0x(?:[0-9a-fA-F]{2})*$/, "not hex")
    .transform((text) => lowerHex(text as Hex));
}
