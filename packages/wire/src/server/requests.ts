import type { Address } from "@iexec-ts/poco";
import { CodedError, openScope } from "@iexec-ts/service";
import type { FastifyReply, FastifyRequest } from "fastify";
import type { z } from "zod";
import type { LoginTokens } from "../login/tokens.ts";
import { faultOf } from "../messages/primitives.ts";

/** Parses one part of a request; anything else than the schema is WIR-2001, which is answered with 400. */
export function read<T extends z.ZodType>(schema: T, value: unknown): z.output<T> {
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw new CodedError("WIR-2001", { reason: faultOf(parsed.error) });
  return parsed.data;
}

export type Authenticated = (request: FastifyRequest, reply: FastifyReply, wallet: Address) => Promise<unknown>;

/**
 * Runs the handler for a logged-in worker. No Authorization header is 400: a Java worker pings before it has logged in, and a 401
 * there would make it exit. Any other fault of the token is 401 with an empty body.
 *
 * @source wire.md 1.1, 9.1.5
 */
export const withWallet =
  (tokens: LoginTokens, handler: Authenticated) =>
  async (request: FastifyRequest, reply: FastifyReply): Promise<unknown> => {
    const { authorization } = request.headers;
    if (authorization === undefined) throw new CodedError("WIR-2001", { reason: "no Authorization header" });
    const wallet = authorization.startsWith("Bearer ") ? tokens.verify(authorization.slice("Bearer ".length)) : undefined;
    if (wallet === undefined) return reply.code(401).send();
    return handler(request, reply, wallet);
  };

/** Text as it is: Java reads String results verbatim, so quotes would become part of a token. @source wire.md 1.1 */
export const sendText = (reply: FastifyReply, text: string): FastifyReply => reply.type("text/plain; charset=utf-8").send(text);

export const sendJson = (reply: FastifyReply, body: unknown): FastifyReply => reply.type("application/json").send(JSON.stringify(body));

/** Runs `work` with a signal that aborts when the client goes away, or when the server stops. */
export async function whileThere<T>(reply: FastifyReply, closing: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  using scope = openScope([closing]);
  const gone = (): void => scope.end(new CodedError("WIR-1006"));
  if (reply.raw.destroyed) gone();
  reply.raw.once("close", gone);
  try {
    return await work(scope.signal);
  } finally {
    reply.raw.removeListener("close", gone);
  }
}
