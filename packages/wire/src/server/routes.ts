import { type Clock, CodedError, hasCode, type Logger, type Random, systemRandom } from "@iexec-ts/service";
import type { FastifyInstance } from "fastify";
import type { SchedulerPort } from "../api.ts";
import { LoginTokens } from "../login/tokens.ts";
import { registerNativeRoutes } from "./native-routes.ts";
import { registerReplicateRoutes } from "./replicate-routes.ts";
import { sendJson } from "./requests.ts";
import { registerWorkerRoutes } from "./worker-routes.ts";

export interface SchedulerRoutesOptions {
  /** At least 32 random bytes, the same for every scheduler process of a pool. */
  readonly loginKey: Uint8Array;
  readonly logger?: Logger;
  readonly clock: Clock;
  /** Jitter of back-offs; the host's randomness unless given. */
  readonly random?: Random;
  /**
   * How long a v9 worker's question for a task is held when there is none, in milliseconds. 0 (default) answers at once as a Java core does;
   * a Java worker waits 60 s for an answer, so up to 50 000 is safe and spares the 5 s between two questions.
   */
  readonly v9WaitMs?: number;
}

export interface RouteContext {
  readonly port: SchedulerPort;
  readonly tokens: LoginTokens;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger | undefined;
  readonly v9WaitMs: number;
  /** Aborted when the server stops: held requests end. */
  readonly closing: AbortSignal;
}

/**
 * Adds everything a worker asks of a scheduler, in both dialects: version, configuration, login, registration, ping, demand, interrupted
 * replicates and status reports. Port failures become 503 (retry class `retry` or `environment`) or 500.
 *
 * Errors: WIR-2002 for a short login key, thrown at once.
 * SIDE EFFECTS: registers an encapsulated plugin on `app`; call before `app.listen`.
 * @source wire.md 1, 9.1
 */
export function registerSchedulerRoutes(app: FastifyInstance, port: SchedulerPort, options: SchedulerRoutesOptions): void {
  const closing = new AbortController();
  const context: RouteContext = {
    port,
    tokens: new LoginTokens(options.loginKey, options.clock),
    clock: options.clock,
    random: options.random ?? systemRandom,
    logger: options.logger,
    v9WaitMs: Math.min(options.v9WaitMs ?? 0, 50_000),
    closing: closing.signal,
  };
  app.register(async (scope) => {
    scope.addHook("preClose", async () => closing.abort(new CodedError("WIR-1006")));
    acceptJavaBodies(scope);
    scope.setErrorHandler((thrown, request, reply) => {
      const status = statusOf(thrown);
      // A bug's own text stays with us; a fault of the request that fastify found is told like any other.
      const error = thrown instanceof CodedError || status >= 500 ? CodedError.from(thrown) : malformedRequest(thrown);
      if (status >= 500) options.logger?.warn("request failed", { method: request.method, route: request.routeOptions.url, status, error });
      const { code, message, fix } = error;
      return sendJson(reply.code(status), status === 500 ? { code } : { code, message, fix });
    });
    registerWorkerRoutes(scope, context);
    registerReplicateRoutes(scope, context);
    registerNativeRoutes(scope, context);
  });
}

/** Java sends `Content-Type: application/json` with every request, also those without a body. @source wire.md 1.1 */
function acceptJavaBodies(scope: FastifyInstance): void {
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser("*", { parseAs: "string" }, async (_request: unknown, body: string | Buffer): Promise<unknown> => {
    const text = String(body);
    if (text === "") return undefined;
    try {
      return JSON.parse(text);
    } catch (thrown) {
      throw new CodedError("WIR-2001", { reason: "the body is not JSON" }, { cause: thrown });
    }
  });
}

const malformedRequest = (thrown: unknown): CodedError =>
  new CodedError("WIR-2001", { reason: thrown instanceof Error ? thrown.message : "unknown" }, { cause: thrown });

function statusOf(thrown: unknown): number {
  if (hasCode(thrown, "WIR-2001")) return 400;
  if (thrown instanceof CodedError) return thrown.retry === "retry" || thrown.retry === "environment" ? 503 : 500;
  if (typeof thrown === "object" && thrown !== null && "statusCode" in thrown && typeof thrown.statusCode === "number")
    return thrown.statusCode;
  return 500;
}
