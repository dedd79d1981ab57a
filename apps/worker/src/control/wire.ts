import { join } from "node:path";
import type { Address } from "@iexec-ts/poco";
import { CATALOGUE, CodedError, type ErrorCode } from "@iexec-ts/service";
import { z } from "zod";

/**
 * How the operator's commands speak to a running worker: HTTP over a socket in the state directory, `POST /<action>` with a JSON body. The
 * answer is one JSON object a line: any number of `told`, then one `done` or `failed`. Whoever may open the socket may use it: mode 0600.
 */
export const socketPath = (stateDir: string, wallet: Address): string => join(stateDir, `${wallet.slice(0, 10)}.sock`);

/** What a socket address holds on Linux, without its closing zero. */
export const MAX_SOCKET_PATH_BYTES = 107;

type Plain = string | number | boolean | null | readonly Plain[] | { readonly [key: string]: Plain };
export type Facts = { readonly [key: string]: Plain };

export type Line =
  | { readonly told: Facts }
  | { readonly done: Facts }
  | { readonly failed: { readonly code: string; readonly args: Facts } };

const plain: z.ZodType<Plain> = z.lazy(() =>
  z.union([z.string(), z.number(), z.boolean(), z.null(), z.array(plain), z.record(z.string(), plain)]),
);
const facts = z.record(z.string(), plain);
const scalar = z.union([z.string(), z.number(), z.boolean()]);

export const lineSchema = z.union([
  z.object({ told: facts }),
  z.object({ done: facts }),
  z.object({ failed: z.object({ code: z.string(), args: z.record(z.string(), scalar) }) }),
]);

export function failedLine(error: CodedError): Line {
  const args: Record<string, string | number | boolean> = {};
  for (const [name, value] of Object.entries(error.args)) {
    if (value !== undefined) args[name] = typeof value === "bigint" ? value.toString() : value;
  }
  return { failed: { code: error.code, args } };
}

const isKnown = (code: string): code is ErrorCode => Object.hasOwn(CATALOGUE, code);

/** The error as the worker threw it. */
export function errorOf({
  code,
  args,
}: {
  readonly code: string;
  readonly args: Readonly<Record<string, string | number | boolean>>;
}): CodedError {
  return isKnown(code) ? new CodedError(code, args) : new CodedError("WRK-1518", { what: "the answer", reason: `it fails with ${code}` });
}
