import type { FastifyError } from "fastify";
import { hasZodFastifySchemaValidationErrors } from "fastify-type-provider-zod";
import { CodedError } from "../errors/coded-error.ts";
import type { RetryClass } from "../errors/descriptor.ts";

export interface ErrorBody {
  readonly code: string;
  readonly message: string;
  readonly fix: string;
}

const STATUS_BY_CLASS: Readonly<Record<RetryClass, number>> = { retry: 503, environment: 503, operator: 409, protocol: 422, bug: 500 };
const STATUS_BY_CODE: Readonly<Record<string, number>> = { "SVC-1203": 400, "SVC-1204": 413, "SVC-1205": 404, "SVC-1206": 400 };

/** The HTTP status of a coded error, unless a route knows better. */
export const statusOf = ({ code, retry }: CodedError): number => STATUS_BY_CODE[code] ?? STATUS_BY_CLASS[retry];

const isFastifyError = (thrown: unknown): thrown is FastifyError =>
  thrown instanceof Error && "code" in thrown && typeof thrown.code === "string" && thrown.code.startsWith("FST_ERR_");

/** What a route or the HTTP layer threw, as a coded error and its status. */
export function normalise(thrown: unknown, limitBytes: number): { readonly error: CodedError; readonly status: number } {
  if (hasZodFastifySchemaValidationErrors(thrown)) {
    const reason = thrown.validation.map(({ instancePath, message }) => `${instancePath || "/"} ${message ?? ""}`.trim()).join("; ");
    const error = new CodedError("SVC-1203", { reason: `${thrown.validationContext ?? "request"} ${reason}` }, { cause: thrown });
    return { error, status: 400 };
  }
  if (isFastifyError(thrown)) {
    if (thrown.statusCode === 413) return { error: new CodedError("SVC-1204", { limitBytes }, { cause: thrown }), status: 413 };
    if (thrown.statusCode !== undefined && thrown.statusCode < 500) {
      return { error: new CodedError("SVC-1206", { reason: thrown.message }, { cause: thrown }), status: thrown.statusCode };
    }
  }
  const error = CodedError.from(thrown);
  return { error, status: statusOf(error) };
}

/** What the caller sees. Of an unforeseen error only the code: its text may hold what the caller must not see. */
export const bodyOf = (error: CodedError): ErrorBody => ({
  code: error.code,
  message: error.code === "SVC-1000" ? "Unexpected error" : error.message,
  fix: error.fix,
});
