import type { FastifyInstance } from "fastify";
import { z } from "zod";
import { blockNumberText, bytes32Schema } from "../messages/primitives.ts";
import { v9UpdateSchema } from "../messages/status.ts";
import { writeAssignment, writeNotification } from "../messages/tasks.ts";
import { read, sendJson, whileThere, withWallet } from "./requests.ts";
import type { RouteContext } from "./routes.ts";
import { reportFromV9 } from "./v9-report.ts";

const blockQuery = z.object({ blockNumber: blockNumberText });
const taskParams = z.object({ taskId: bytes32Schema });
/** Two logs of 100 000 units, each up to six characters in JSON. */
export const REPORT_BODY_LIMIT = 2 * 1024 * 1024;

/** @source wire.md 1.2 rows 8-10 */
export function registerReplicateRoutes(scope: FastifyInstance, { port, tokens, clock, random, closing, v9WaitMs }: RouteContext): void {
  scope.get(
    "/replicates/available",
    withWallet(tokens, async (request, reply, wallet) => {
      const { blockNumber } = read(blockQuery, request.query);
      const assignment = await whileThere(reply, closing, (signal) => port.demand(wallet, { blockNumber, waitMs: v9WaitMs }, signal));
      return assignment === undefined ? reply.code(204).send() : sendJson(reply, writeAssignment(assignment));
    }),
  );

  scope.get(
    "/replicates/interrupted",
    withWallet(tokens, async (request, reply, wallet) => {
      const notifications = await port.interrupted(wallet, read(blockQuery, request.query));
      return sendJson(reply, notifications.map(writeNotification));
    }),
  );

  scope.post(
    "/replicates/:taskId/updateStatus",
    { bodyLimit: REPORT_BODY_LIMIT },
    withWallet(tokens, async (request, reply, wallet) => {
      const { taskId } = read(taskParams, request.params);
      const update = read(v9UpdateSchema, request.body);
      const { httpStatus, action } = await whileThere(reply, closing, (signal) =>
        reportFromV9(wallet, taskId, update, { port, clock, random, signal }),
      );
      return sendJson(reply.code(httpStatus), action);
    }),
  );
}
