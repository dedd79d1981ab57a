import { z } from "zod";

/** `true` or `false`, also yes/no, on/off, 1/0. */
export const asSwitch = (): z.ZodType<boolean, string> => z.stringbool({ error: "expected true or false" });

/** A whole number within limits, written in digits. */
export function asWholeNumber(limits: { readonly min?: number; readonly max?: number } = {}): z.ZodType<number, string> {
  const { min = Number.MIN_SAFE_INTEGER, max = Number.MAX_SAFE_INTEGER } = limits;
  return z
    .string()
    .regex(/^-?\d{1,16}$/, "expected a whole number")
    .transform(Number)
    .pipe(z.number().min(min, `must be at least ${min}`).max(max, `must be at most ${max}`));
}

/** A decimal number within limits, such as a multiplier. */
export function asDecimal(limits: { readonly min?: number; readonly max?: number } = {}): z.ZodType<number, string> {
  const { min = -Number.MAX_VALUE, max = Number.MAX_VALUE } = limits;
  return z
    .string()
    .regex(/^-?\d{1,15}(\.\d{1,15})?$/, "expected a number such as 1.3")
    .transform(Number)
    .pipe(z.number().min(min, `must be at least ${min}`).max(max, `must be at most ${max}`));
}

/** An amount in its smallest unit; never a float. */
export function asAmount(limits: { readonly min?: bigint; readonly max?: bigint } = {}): z.ZodType<bigint, string> {
  const { min = 0n, max } = limits;
  const amount = z.bigint().min(min, `must be at least ${min}`);
  return z
    .string()
    .regex(/^-?\d{1,78}$/, "expected a whole number without separators")
    .transform(BigInt)
    .pipe(max === undefined ? amount : amount.max(max, `must be at most ${max}`));
}

/** A TCP port; 0 lets the system choose. */
export const asPort = (): z.ZodType<number, string> => asWholeNumber({ min: 0, max: 65_535 });

/** Text without surrounding blanks, not empty, at most `maxLength` characters. */
export const asText = (maxLength = 1_024): z.ZodType<string, string> =>
  z.string().trim().min(1, "must not be empty").max(maxLength, `must be at most ${maxLength} characters`);

/** One of a few words, spelled exactly. */
export const asChoice = <const Choice extends string>(choices: readonly [Choice, ...Choice[]]): z.ZodType<Choice, string> =>
  z.string().transform((text, context) => {
    const found = choices.find((choice) => choice === text);
    if (found !== undefined) return found;
    context.addIssue({ code: "custom", message: `expected one of ${choices.join(", ")}` });
    return z.NEVER;
  });

/** An address such as `https://host:port/path`, kept as text without a final slash. */
export function asUrl(protocols: readonly [string, ...string[]] = ["http", "https"]): z.ZodType<string, string> {
  return z
    .string()
    .trim()
    .max(2_048)
    .transform((text, context) => {
      const url = URL.canParse(text) ? new URL(text) : undefined;
      if (url !== undefined && protocols.includes(url.protocol.slice(0, -1))) return text.replace(/\/+$/, "");
      context.addIssue({ code: "custom", message: `expected an address beginning with ${protocols.map((p) => `${p}://`).join(" or ")}` });
      return z.NEVER;
    });
}

const MS_PER: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const SIMPLE_DURATION = /^(\d{1,12}(?:\.\d{1,3})?)\s*(ms|s|m|h|d)?$/;
const ISO_DURATION = /^P(?:(\d{1,5})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,8})M)?(?:(\d{1,9}(?:\.\d{1,3})?)S)?)?$/;

function durationMs(text: string): number | undefined {
  const simple = SIMPLE_DURATION.exec(text);
  if (simple !== null) return Math.round(Number(simple[1]) * (MS_PER[simple[2] ?? "ms"] ?? 1));
  const iso = ISO_DURATION.exec(text);
  if (iso === null || /[PT]$/.test(text)) return undefined;
  const [days = 0, hours = 0, minutes = 0, seconds = 0] = iso.slice(1).map((part) => Number(part ?? 0));
  return Math.round(days * 86_400_000 + hours * 3_600_000 + minutes * 60_000 + seconds * 1_000);
}

/** A duration in milliseconds, written `500ms`, `30s`, `5m`, `2h`, `1d`, `PT5M`, or plain milliseconds. */
export function asDurationMs(limits: { readonly minMs?: number; readonly maxMs?: number } = {}): z.ZodType<number, string> {
  const { minMs = 0, maxMs = 10 * 365 * 86_400_000 } = limits;
  return z
    .string()
    .trim()
    .transform((text, context) => {
      const ms = durationMs(text);
      if (ms !== undefined) return ms;
      context.addIssue({ code: "custom", message: "expected a duration such as 500ms, 30s, 5m or PT5M" });
      return z.NEVER;
    })
    .pipe(z.number().min(minMs, `must be at least ${minMs} ms`).max(maxMs, `must be at most ${maxMs} ms`));
}

/** An Ethereum address, kept in lower case. */
export const asAddress = (): z.ZodType<`0x${string}`, string> =>
  z
    .string()
    .trim()
    .regex(/^0x[0-9a-fA-F]{40}$/, "expected an Ethereum address (0x and 40 hexadecimal digits)")
    .transform((text): `0x${string}` => `0x${text.slice(2).toLowerCase()}`);

const MAX_ITEMS = 256;

/** Items separated by commas. */
export const asList = <T>(item: z.ZodType<T, string>): z.ZodType<readonly T[], string> =>
  z
    .string()
    .transform((text) =>
      text
        .split(",")
        .map((part) => part.trim())
        .filter((part) => part !== ""),
    )
    .pipe(z.array(item).max(MAX_ITEMS, `must have at most ${MAX_ITEMS} items`));
