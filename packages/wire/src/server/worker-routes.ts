import { type Address, isLoginSignature } from "@iexec-ts/poco";
import type { FastifyInstance } from "fastify";
import { z } from "zod";
import {
  configurationHash,
  readWorkerDescription,
  workerDescriptionSchema,
  writePublicChainConfig,
  writePublicConfiguration,
} from "../messages/configuration.ts";
import { addressSchema, hexSchema } from "../messages/primitives.ts";
import { read, sendJson, sendText, withWallet } from "./requests.ts";
import type { RouteContext } from "./routes.ts";

const BODY_LIMIT = 64 * 1024;
const walletQuery = z.object({ walletAddress: addressSchema });
const signatureBody = z.object({ value: hexSchema });

/** The calls that both dialects share. @source wire.md 1.2 rows 1-7, 1.3, 1.4 */
export function registerWorkerRoutes(scope: FastifyInstance, { port, tokens }: RouteContext): void {
  const options = { bodyLimit: BODY_LIMIT };

  scope.get("/version", async (_request, reply) => sendText(reply, port.version));
  scope.get("/workers/config", async (_request, reply) => sendJson(reply, writePublicConfiguration(port.configuration())));
  scope.get("/config/chain", async (_request, reply) => sendJson(reply, writePublicChainConfig(port.chainConfiguration())));

  scope.get("/workers/challenge", async (request, reply) => {
    const { walletAddress } = read(walletQuery, request.query);
    if (!(await port.isAllowed(walletAddress))) return reply.code(401).send();
    return sendText(reply, tokens.challenge(walletAddress));
  });

  scope.post("/workers/login", options, async (request, reply) => {
    const { walletAddress } = read(walletQuery, request.query);
    const { value } = read(signatureBody, request.body);
    if (!(await port.isAllowed(walletAddress))) return reply.code(401).send();
    for (const challenge of tokens.openChallenges(walletAddress)) {
      if (await isLoginSignature(challenge, value, walletAddress)) return sendText(reply, tokens.issue(walletAddress));
    }
    return reply.code(401).send();
  });

  scope.post(
    "/workers/register",
    options,
    withWallet(tokens, async (request, reply, wallet: Address) => {
      const body = read(workerDescriptionSchema, request.body);
      await port.register(wallet, readWorkerDescription(body, wallet));
      return reply.code(200).send();
    }),
  );

  scope.post(
    "/workers/ping",
    options,
    withWallet(tokens, async (_request, reply, wallet) => {
      await port.ping(wallet);
      return sendText(reply, configurationHash(port.configuration()));
    }),
  );

  scope.get(
    "/workers/computing",
    withWallet(tokens, async (_request, reply, wallet) => sendJson(reply, await port.computing(wallet))),
  );
}
