import { CodedError } from "@iexec-ts/service";
import type { FastifyReply, FastifyRequest } from "fastify";

const STATUS: Readonly<Record<string, number>> = {
  "PRX-1001": 401,
  "PRX-1002": 401,
  "PRX-1003": 409,
  "PRX-1004": 409,
  "PRX-1005": 401,
  "PRX-1006": 401,
  "PRX-1010": 409,
  "PRX-1011": 409,
  "PRX-1012": 422,
  "PRX-1013": 401,
  "PRX-1014": 413,
  "PRX-1015": 409,
  "PRX-1016": 503,
  "PRX-1017": 400,
  "PRX-1018": 507,
  "PRX-1019": 400,
  "PRX-1020": 404,
  "PRX-1021": 408,
  "PRX-1030": 503,
};
/** What version 9 answers to everything that speaks against an upload or a token, and to a failed store. */
const V9_REFUSED = 401;
const V9_NOT_STORED = 400;
const V9_OWN = new Set([400, 413, 503]);

/** Any error of a route as a coded one; what the HTTP layer found wrong becomes PRX-1014 or PRX-1019. */
export function codedRefusal(thrown: unknown, limit: number): CodedError {
  if (thrown instanceof CodedError) return thrown;
  const status = thrown instanceof Error && "statusCode" in thrown ? thrown.statusCode : undefined;
  if (status === 413) return new CodedError("PRX-1014", { limit }, { cause: thrown });
  if (typeof status === "number" && status < 500) {
    return new CodedError("PRX-1019", { reason: thrown instanceof Error ? thrown.message : "" }, { cause: thrown });
  }
  if (thrown instanceof Error && "validation" in thrown) return new CodedError("PRX-1019", { reason: thrown.message }, { cause: thrown });
  return CodedError.from(thrown);
}

/** HTTP status of a refusal in our own dialect. */
export function statusOf({ code, retry }: CodedError): number {
  if (STATUS[code] !== undefined) return STATUS[code];
  if (code.startsWith("PAY-12")) return 422;
  return retry === "retry" || retry === "environment" ? 503 : 500;
}

/**
 * HTTP status of a refusal in version 9's dialect: 401 for whatever speaks against it, a second upload included (its sender then asks for
 * `ipfshash`), 400 for a result that could not be stored.
 * @source reference/services.md 3.1; reference/compute.md 5.4, 5.8 no. 18
 */
export function v9StatusOf(error: CodedError): number {
  const status = statusOf(error);
  if (V9_OWN.has(status)) return status;
  return status >= 500 ? V9_NOT_STORED : V9_REFUSED;
}

export type Refuse = (thrown: unknown, request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply>;

/** An error handler for routes. `onError` hears of each refusal. */
export function refusing(status: (error: CodedError) => number, limit: number, onError: (error: CodedError) => void): Refuse {
  return async (thrown, _request, reply) => {
    const error = codedRefusal(thrown, limit);
    onError(error);
    const code = status(error);
    if (code === 503) reply.header("retry-after", "5");
    // What is still to come of the body is not waited for.
    if (code === 408) reply.header("connection", "close");
    const message = error.code === "SVC-1000" ? "Unexpected error" : error.message;
    return await reply.code(code).type("application/json").send({ code: error.code, message, fix: error.fix });
  };
}
