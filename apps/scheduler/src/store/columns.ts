import { type Address, type ChainTime, chainTime, type Hex, type NanoRlc, nanoRlc } from "@iexec-ts/poco";
import { z } from "zod";

/** Readers of single columns: what node-postgres gives (int8 and numeric as text, null) to what we use. */
export const units: z.ZodType<bigint> = z.union([z.string(), z.number()]).transform((value) => BigInt(value));
export const count: z.ZodType<number> = z.coerce.number().int().nonnegative();
export const hex: z.ZodType<Hex> = z.templateLiteral(["0x", z.string()]);
export const address: z.ZodType<Address> = z.templateLiteral(["0x", z.string()]);
export const chainSeconds: z.ZodType<ChainTime> = units.transform((value) => chainTime(value));
export const rlc: z.ZodType<NanoRlc> = units.transform((value) => nanoRlc(value));

/** SQL NULL as undefined. */
export const optional = <T>(inner: z.ZodType<T>): z.ZodType<T | undefined> => z.union([z.null().transform(() => undefined), inner]);
