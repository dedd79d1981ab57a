import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import swagger from "@fastify/swagger";
import { type FastifyBaseLogger, type FastifyInstance, fastify, type RawServerDefault } from "fastify";
import { jsonSchemaTransform, serializerCompiler, validatorCompiler, type ZodTypeProvider } from "fastify-type-provider-zod";
import { z } from "zod";
import { CodedError } from "../errors/coded-error.ts";
import type { Logger } from "../logger.ts";
import type { Metrics } from "../metrics.ts";
import { bodyOf, normalise } from "./errors.ts";
import type { Health } from "./health.ts";

/** Fastify with zod schemas: `app.get(path, { schema: { params: z.object(...) } }, handler)`. */
export type HttpApp = FastifyInstance<RawServerDefault, IncomingMessage, ServerResponse, FastifyBaseLogger, ZodTypeProvider>;

export interface HttpServerOptions {
  /** The service, as shown at /version and /openapi.json. */
  readonly name: string;
  readonly version: string;
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  /** What moves the port, named when it is taken, such as `IEXEC_WORKER_PORT or --port`. */
  readonly portSetting?: string;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly health: Health;
  /** 1 MiB unless told; a route may set its own. */
  readonly bodyLimitBytes?: number;
  /** Longest time to receive a whole request; 30 s unless told. */
  readonly requestTimeoutMs?: number;
  /** Behind a proxy whose `X-Forwarded-*` are to be believed. */
  readonly trustProxy?: boolean;
  /** Paths that this service answers itself, such as its own `/version` or `/metrics`. */
  readonly without?: readonly ("/health" | "/actuator/health" | "/metrics" | "/version" | "/openapi.json")[];
}

export interface HttpServer {
  /** Add routes before `listen`. */
  readonly app: HttpApp;
  /** Errors: SVC-1201 when the port is taken, SVC-1202 when the address cannot be used. */
  listen(): Promise<{ readonly url: string; readonly port: number }>;
  /** Takes no more requests, lets running ones end, and cuts what is left after `deadlineMs` (5 s unless told). */
  close(deadlineMs?: number): Promise<void>;
}

const DEFAULT_BODY_LIMIT_BYTES = 1_024 * 1_024;
const DEFAULT_REQUEST_TIMEOUT_MS = 30_000;
const DEFAULT_CLOSE_DEADLINE_MS = 5_000;

const componentSchema = z.object({
  status: z.enum(["UP", "DOWN"]),
  details: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).optional(),
});
const healthSchema = z.object({ status: z.enum(["UP", "DOWN"]), components: z.record(z.string(), componentSchema) });

function addOwnRoutes(app: HttpApp, { name, version, metrics, health, without = [] }: HttpServerOptions): void {
  const wanted = (path: NonNullable<HttpServerOptions["without"]>[number]): boolean => !without.includes(path);
  for (const path of (["/health", "/actuator/health"] as const).filter(wanted)) {
    app.get(
      path,
      { schema: { tags: ["shell"], summary: "Health by part", response: { 200: healthSchema, 503: healthSchema } } },
      async (_, reply) => {
        const report = await health.report();
        return reply.status(report.status === "UP" ? 200 : 503).send(report);
      },
    );
  }
  if (wanted("/metrics")) {
    app.get("/metrics", { schema: { tags: ["shell"], summary: "Metrics for Prometheus" } }, async (_, reply) =>
      reply.type(metrics.contentType).send(await metrics.text()),
    );
  }
  if (wanted("/version")) {
    const response = { 200: z.object({ name: z.string(), version: z.string() }) };
    app.get("/version", { schema: { tags: ["shell"], summary: "Name and version", response } }, () => ({ name, version }));
  }
  if (wanted("/openapi.json")) app.get("/openapi.json", { schema: { hide: true } }, () => app.swagger());
}

function observe(app: HttpApp, { logger, metrics }: HttpServerOptions, limitBytes: number): void {
  const seconds = metrics.histogram({
    name: "http_request_seconds",
    help: "How long requests take, by route; tells a slow route from a slow host.",
    labels: ["method", "route", "status"],
    buckets: [0.005, 0.02, 0.1, 0.5, 2, 10, 60],
  });
  app.addHook("onResponse", async (request, reply) => {
    const route = request.routeOptions.url ?? "none";
    seconds.observe(reply.elapsedTime / 1_000, { method: request.method, route, status: String(reply.statusCode) });
    logger.debug("request answered", { method: request.method, route, status: reply.statusCode, ms: Math.round(reply.elapsedTime) });
  });
  app.setErrorHandler((thrown, request, reply) => {
    const { error, status } = normalise(thrown, limitBytes);
    metrics.countError(error);
    if (status >= 500) logger.error("request failed", { method: request.method, route: request.routeOptions.url ?? "none", error });
    return reply.status(status).send(bodyOf(error));
  });
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split("?", 1)[0]?.slice(0, 200) ?? "/";
    return reply.status(404).send(bodyOf(new CodedError("SVC-1205", { method: request.method, path })));
  });
}

function listenError(thrown: unknown, { host, port, portSetting = "the port setting" }: HttpServerOptions): CodedError {
  const code = thrown instanceof Error && "code" in thrown ? thrown.code : undefined;
  if (code === "EADDRINUSE") return new CodedError("SVC-1201", { host, port, setting: portSetting }, { cause: thrown });
  return new CodedError("SVC-1202", { host, port, setting: portSetting, reason: String(code ?? thrown) }, { cause: thrown });
}

/**
 * The HTTP shell of a process: coded errors as `{ code, message, fix }`, /health and /actuator/health (503 when DOWN), /metrics, /version,
 * /openapi.json, limits on body size and request time.
 *
 * SIDE EFFECTS: none until `listen`.
 */
export async function createHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  const bodyLimit = options.bodyLimitBytes ?? DEFAULT_BODY_LIMIT_BYTES;
  const requestTimeout = options.requestTimeoutMs ?? DEFAULT_REQUEST_TIMEOUT_MS;
  const app: HttpApp = fastify({
    bodyLimit,
    requestTimeout,
    logger: false,
    trustProxy: options.trustProxy ?? false,
    forceCloseConnections: "idle",
    routerOptions: { maxParamLength: 512 },
  }).withTypeProvider<ZodTypeProvider>();
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  const sockets = new Set<Socket>();
  app.server.on("connection", (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  await app.register(swagger, {
    openapi: { openapi: "3.1.0", info: { title: options.name, version: options.version } },
    transform: jsonSchemaTransform,
  });
  observe(app, options, bodyLimit);
  addOwnRoutes(app, options);

  return {
    app,
    async listen() {
      try {
        await app.listen({ host: options.host, port: options.port });
      } catch (thrown) {
        await app.close();
        throw listenError(thrown, options);
      }
      const address = app.server.address();
      const port = address !== null && typeof address === "object" ? address.port : options.port;
      const anywhere = options.host === "0.0.0.0" || options.host === "::";
      const host = anywhere ? "127.0.0.1" : options.host.includes(":") ? `[${options.host}]` : options.host;
      options.logger.info("listening", { service: options.name, host: options.host, port });
      return { url: `http://${host}:${port}`, port };
    },
    async close(deadlineMs = DEFAULT_CLOSE_DEADLINE_MS) {
      const cut = setTimeout(() => {
        for (const socket of sockets) socket.destroy();
      }, deadlineMs);
      try {
        await app.close();
      } finally {
        clearTimeout(cut);
      }
    },
  };
}
