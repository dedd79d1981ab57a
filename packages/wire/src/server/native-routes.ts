import type { FastifyInstance } from "fastify";
import { z } from "zod";
import { blockNumberText, bytes32Schema } from "../messages/primitives.ts";
import { nativeReportSchema } from "../messages/status.ts";
import { writeAssignment } from "../messages/tasks.ts";
import { REPORT_BODY_LIMIT } from "./replicate-routes.ts";
import { read, sendJson, whileThere, withWallet } from "./requests.ts";
import type { RouteContext } from "./routes.ts";

/** Longest a demand is held, in seconds: below the 30 s after which proxies close an idle request. */
export const MAX_WAIT_SECONDS = 25;

const demandQuery = z.object({
  blockNumber: blockNumberText,
  wait: z
    .string()
    .regex(/^\d{1,4}$/)
    .transform((text) => Math.min(Number(text), MAX_WAIT_SECONDS))
    .default(0),
});
const taskParams = z.object({ taskId: bytes32Schema });

/** The native dialect; configuration, login, registration, ping and interrupted replicates are shared with v9. */
export function registerNativeRoutes(scope: FastifyInstance, { port, tokens, closing }: RouteContext): void {
  scope.get("/v1/info", async (_request, reply) => sendJson(reply, { product: "iexec-ts", version: port.version, dialect: "native" }));

  scope.get(
    "/v1/replicates/demand",
    withWallet(tokens, async (request, reply, wallet) => {
      const { blockNumber, wait } = read(demandQuery, request.query);
      const assignment = await whileThere(reply, closing, (signal) => port.demand(wallet, { blockNumber, waitMs: wait * 1000 }, signal));
      return assignment === undefined ? reply.code(204).send() : sendJson(reply, writeAssignment(assignment));
    }),
  );

  scope.post(
    "/v1/replicates/:taskId/statuses",
    { bodyLimit: REPORT_BODY_LIMIT },
    withWallet(tokens, async (request, reply, wallet) => {
      const { taskId } = read(taskParams, request.params);
      const { cause, details, ...report } = read(nativeReportSchema, request.body);
      const { kind, action } = await port.report(wallet, {
        taskId,
        ...report,
        ...(cause === undefined ? {} : { cause }),
        ...(details === undefined ? {} : { details }),
      });
      return sendJson(reply, { kind, action: action ?? null });
    }),
  );
}
